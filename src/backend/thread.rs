//! Workers as threads of this process: the same calls, encoded all the same, so that a program that runs on
//! threads runs on processes.
//!
//! What a thread cannot do: die alone, or be ended while it runs a task. A killed one is asked to stop, and its
//! result is passed over.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{Backend, Call, End, Events, Link, StartRequest, Vitals, WorkerId};
use crate::error::{Error, Exit, Result};
use crate::os::{self, Board, Running, SLOTS, Start};
use crate::task::{self, State, Task};
use crate::wire::{Duty, Freight, Luggage, Parcel};
use crate::worker::{Answer, Context, Order, Worker, execute, run_preload};

/// The stack of a worker thread unless the builder says otherwise: that of a program's main thread.
const STACK: usize = 8 << 20;

/// Starts threads.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    preloaded: Preloaded,
}

/// What the first of them has loaded for all, once it has; nothing if that has failed and may.
type Preloaded = Arc<Mutex<Option<Option<State>>>>;

/// The pool's end of one thread.
struct ThreadLink {
    worker: WorkerId,
    thread_id: u32,
    context: Arc<Context>,
    /// Nothing more can be sent once this is gone.
    calls: Mutex<Option<Sender<Call>>>,
    killed: Arc<AtomicBool>,
    events: Arc<dyn Events>,
}

/// What the thread itself works with.
struct Server {
    worker: WorkerId,
    context: Arc<Context>,
    calls: Receiver<Call>,
    max: usize,
    killed: Arc<AtomicBool>,
    events: Arc<dyn Events>,
}

type Begun = Result<(Arc<Context>, u32)>;

#[async_trait]
impl Backend for Threads {
    fn check(&self, _task: Task) -> Result<()> {
        Ok(())
    }

    async fn start(&self, request: StartRequest) -> Result<Arc<dyn Link>> {
        task::capture_panics();
        let (begun, begins) = oneshot::channel();
        let (sender, calls) = channel();
        let killed = Arc::new(AtomicBool::new(false));
        let (worker, events) = (request.worker, Arc::clone(&request.events));
        let configure = &request.profile.configure;
        let thread = thread::Builder::new()
            .name(Worker::name(&configure.name, request.index).replace('\0', " "))
            .stack_size(configure.stack_size.unwrap_or(STACK));
        let theirs = Arc::clone(&killed);
        let preloaded = Arc::clone(&self.preloaded);
        let serving = thread.spawn(move || serve(request, &preloaded, calls, theirs, begun));
        serving.map_err(|cause| Error::start("start its thread", cause))?;
        let ended = |_| Error::start("wait for its thread", io::ErrorKind::UnexpectedEof.into());
        let (context, thread_id) = begins.await.map_err(ended)??;
        let calls = Mutex::new(Some(sender));
        Ok(Arc::new(ThreadLink { worker, thread_id, context, calls, killed, events }))
    }
}

fn serve(
    request: StartRequest,
    preloaded: &Preloaded,
    calls: Receiver<Call>,
    killed: Arc<AtomicBool>,
    begun: oneshot::Sender<Begun>,
) {
    let context = match prepare(&request, preloaded) {
        Ok(context) => context,
        Err(error) => return drop(begun.send(Err(error))),
    };
    context.enter_thread();
    let max = request.profile.configure.max_frame;
    let StartRequest { worker, events, .. } = request;
    let server = Server { worker, context: Arc::clone(&context), calls, max, killed, events };
    if begun.send(Ok((context, os::thread_id()))).is_ok() {
        server.run();
    }
}

fn prepare(request: &StartRequest, preloaded: &Preloaded) -> Result<Arc<Context>> {
    let (board, _) = Board::create().map_err(|cause| Error::start("make its board", cause))?;
    let preloaded = preload(request, preloaded)?;
    let setup = request.profile.setup.as_ref();
    let state = setup.map(|setup| setup.function.call(&setup.arguments)).transpose();
    let state = state.map_err(|cause| Error::Initializer { cause })?;
    let configure = &request.profile.configure;
    let worker = Worker {
        index: request.index,
        id: os::thread_id(),
        pool: configure.name.clone(),
        depth: configure.depth,
    };
    Ok(Context::new(worker, Duty::PoolWorker, Arc::new(board), state, preloaded, None))
}

/// Loads what is to be loaded, unless another worker has. The others wait meanwhile.
fn preload(request: &StartRequest, preloaded: &Preloaded) -> Result<Option<State>> {
    let Some((setup, on_error)) = &request.profile.preload else { return Ok(None) };
    let mut preloaded = preloaded.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(preloaded) = &*preloaded {
        return Ok(preloaded.clone());
    }
    let loaded = run_preload(setup.function, &setup.arguments, *on_error);
    let loaded = loaded.map_err(|cause| Error::Preload { cause })?;
    Ok(preloaded.insert(loaded).clone())
}

impl Server {
    fn run(self) {
        while let (false, Ok(call)) = (self.is_killed(), self.calls.recv()) {
            let Call { head, task, parcel: Parcel { records, luggage, .. }, watched } = call;
            let freight = Freight::default();
            let order = Order {
                head,
                task: Ok(task),
                payload: &records,
                luggage,
                freight,
                watched,
                max: self.max,
                store: None,
            };
            let ran = execute(&self.context, order, &mut |Answer { reply, records, handles, .. }| {
                if self.is_killed() {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                let luggage = Luggage::of(reply.elements - 1, handles);
                let told = self.events.replies(self.worker, vec![(reply, Parcel::new(records, luggage))]);
                told.map_err(io::Error::other)
            });
            if ran.is_err() {
                break;
            }
        }
        if !self.killed.swap(true, Ordering::AcqRel) {
            self.events.gone(self.worker, End::new(Exit::Code(0)));
        }
    }

    fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }
}

impl Link for ThreadLink {
    fn id(&self) -> u32 {
        self.thread_id
    }

    fn attend(self: Arc<Self>, _runtime: &tokio::runtime::Handle) {}

    fn enter(&self, slot: u8, call: u64) {
        self.context.board.enter(slot.into(), call);
    }

    fn send(&self, call: Call) {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(calls) = &*calls {
            // A thread that has ended has told so, and the call is sent elsewhere.
            let _ended = calls.send(call);
        }
    }

    fn revoke(&self, slot: u8, call: u64) -> bool {
        self.context.board.revoke(slot.into(), call)
    }

    fn cancel(&self, slot: u8) {
        self.context.board.cancel(slot.into());
    }

    fn running(&self, slot: u8, call: u64) -> Option<(u32, Duration)> {
        self.context.board.running(slot.into(), call).map(Running::so_far)
    }

    fn expire(&self, slot: u8, element: u32) -> bool {
        self.context.board.expire(slot.into(), element)
    }

    fn condemn(&self, slot: u8, element: u32) -> bool {
        self.context.board.condemn(slot.into(), element)
    }

    fn progress(&self, slot: u8, call: u64) -> Start {
        self.context.board.progress(slot.into(), call)
    }

    /// Asked of a thread that was given up: it is condemned, and writes nothing more to its board.
    fn unsent(&self, call: u64, received: u32) -> Option<(u32, Vec<u8>)> {
        self.context.board.unsent_results(call, received)
    }

    fn stop(self: Arc<Self>) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A thread gets no signals of its own; it was asked to end on its board.
    fn interrupt(&self) {}

    fn accuse(&self, _why: String) {
        self.kill();
    }

    fn ping(&self) {}

    /// A thread has no other life than this process, which asks.
    fn vitals(&self) -> Vitals {
        Vitals { answered: true, moved: 0, mid_frame: false }
    }

    fn kill(&self) {
        (0..SLOTS).for_each(|slot| self.context.board.cancel(slot));
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).take();
        if !self.killed.swap(true, Ordering::AcqRel) {
            self.events.gone(self.worker, End::new(Exit::Unknown));
        }
    }
}
