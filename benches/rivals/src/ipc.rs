//! What one writes by hand around ipc-channel: a child, which is this program again, that gets requests and sends replies.

use std::env;
use std::process::{Child, Command};

use ipc_channel::IpcError;
use ipc_channel::ipc::{
    IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender, IpcSharedMemory, channel,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::cases::burn;

const SERVER: &str = "RIVALS_IPC_SERVER";
const JOB: &str = "RIVALS_IPC_JOB";

/// What a child does with its requests until there are no more.
pub(crate) struct Job<A, R> {
    name: &'static str,
    serve: fn(IpcReceiver<A>, IpcSender<R>),
}

pub(crate) const ADD: Job<u64, u64> = Job { name: "add", serve: |from, to| answer(from, to, |x| x + 1) };
pub(crate) const SQUARE: Job<u64, u64> =
    Job { name: "square", serve: |from, to| answer(from, to, |x| x * x) };
pub(crate) const SQUARES: Job<Vec<u64>, Vec<u64>> = Job {
    name: "squares",
    serve: |from, to| answer(from, to, |batch| batch.into_iter().map(|x| x * x).collect()),
};
pub(crate) const BURN: Job<u64, u64> = Job { name: "burn", serve: |from, to| answer(from, to, burn) };
pub(crate) const ECHO: Job<Vec<u8>, Vec<u8>> =
    Job { name: "echo", serve: |from, to| answer(from, to, |bytes| bytes) };
/// The last byte of what is shared. To write there is unsafe.
pub(crate) const PEEK: Job<IpcSharedMemory, u8> =
    Job { name: "peek", serve: |from, to| answer(from, to, |bytes| bytes.last().copied().unwrap_or(0)) };
/// Echoes what comes over a channel of bytes, which takes no part in serialization.
pub(crate) const ECHO_RAW: Job<(IpcBytesReceiver, IpcBytesSender), ()> = Job {
    name: "echo_raw",
    serve: |from, _| {
        let Ok((bytes, back)) = from.recv() else { return };
        while let Ok(bytes) = bytes.recv() {
            back.send(&bytes).expect("somebody waits for it");
        }
    },
};
/// So many numbers for each request.
pub(crate) const PRODUCE: Job<u64, u64> = Job {
    name: "produce",
    serve: |from, to| {
        while let Ok(count) = from.recv() {
            (0..count).for_each(|number| to.send(number).expect("somebody waits for it"));
        }
    },
};

fn answer<A, R>(requests: IpcReceiver<A>, replies: IpcSender<R>, work: fn(A) -> R)
where
    A: DeserializeOwned + Serialize,
    R: Serialize,
{
    while let Ok(request) = requests.recv() {
        replies.send(work(request)).expect("somebody waits for it");
    }
}

/// Ends here if this process was started as such a child.
pub(crate) fn serve_if_asked() {
    let (Ok(server), Ok(job)) = (env::var(SERVER), env::var(JOB)) else { return };
    let serve = |served: Result<(), IpcError>| served.expect("the parent waits for its child");
    match job.as_str() {
        name if name == ADD.name => serve(ADD.enter(server)),
        name if name == SQUARE.name => serve(SQUARE.enter(server)),
        name if name == SQUARES.name => serve(SQUARES.enter(server)),
        name if name == BURN.name => serve(BURN.enter(server)),
        name if name == ECHO.name => serve(ECHO.enter(server)),
        name if name == ECHO_RAW.name => serve(ECHO_RAW.enter(server)),
        name if name == PEEK.name => serve(PEEK.enter(server)),
        name if name == PRODUCE.name => serve(PRODUCE.enter(server)),
        name => panic!("no child does {name}"),
    }
    std::process::exit(0);
}

impl<A, R> Job<A, R>
where
    A: DeserializeOwned + Serialize,
    R: DeserializeOwned + Serialize,
{
    fn enter(&self, server: String) -> Result<(), IpcError> {
        let (to, requests) = channel::<A>()?;
        let (replies, from) = channel::<R>()?;
        IpcSender::connect(server)?.send((to, from))?;
        (self.serve)(requests, replies);
        Ok(())
    }
}

/// A child that has not said anything yet.
pub(crate) struct Starting<A, R> {
    server: IpcOneShotServer<(IpcSender<A>, IpcReceiver<R>)>,
    child: Child,
}

impl<A, R> Starting<A, R>
where
    A: DeserializeOwned + Serialize,
    R: DeserializeOwned + Serialize,
{
    pub(crate) fn new(job: &Job<A, R>) -> Self {
        let (server, name) = IpcOneShotServer::new().expect("there are descriptors left");
        let program = env::current_exe().expect("a program has a path");
        let child = Command::new(program).env(SERVER, name).env(JOB, job.name).spawn();
        Self { server, child: child.expect("a child can be started") }
    }

    pub(crate) fn arrived(self) -> Peer<A, R> {
        let (_, (to, from)) = self.server.accept().expect("the child connects");
        Peer { to: Some(to), from, child: self.child }
    }
}

/// A child at work. It ends when this is dropped.
pub(crate) struct Peer<A, R> {
    to: Option<IpcSender<A>>,
    from: IpcReceiver<R>,
    child: Child,
}

impl<A, R> Peer<A, R>
where
    A: DeserializeOwned + Serialize,
    R: DeserializeOwned + Serialize,
{
    pub(crate) fn start(job: &Job<A, R>) -> Self {
        Starting::new(job).arrived()
    }

    pub(crate) fn send(&self, request: A) {
        self.to.as_ref().expect("it is open until the drop").send(request).expect("the child reads");
    }

    pub(crate) fn recv(&self) -> R {
        self.from.recv().expect("the child answers")
    }

    pub(crate) fn call(&self, request: A) -> R {
        self.send(request);
        self.recv()
    }

    /// Its two ends, for two threads.
    pub(crate) fn ends(&mut self) -> (&mut IpcSender<A>, &mut IpcReceiver<R>) {
        (self.to.as_mut().expect("it is open until the drop"), &mut self.from)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl<A, R> Drop for Peer<A, R> {
    fn drop(&mut self) {
        self.to = None;
        let _ended = self.child.wait();
    }
}
