//! A forkserver at work: requests to it, and what it tells of them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::start::Ended;
use crate::error::{Error, Exit, Result};
use crate::os::{self, Child, Killer, Launch, background};
use crate::wire::{ForkNotice, ForkRequest};
use crate::worker::REQUEST_ROOM;

/// A forkserver that has not forked by then, nor worked on it, is stopped and will be killed. One that has much to share takes its time.
const FORKED_WITHIN: Duration = Duration::from_secs(5);
/// A process that was killed and is still there then stays for ever.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Far more than a notice takes, the names of a few hundred threads included.
const NOTICE_ROOM: usize = 16 * 1024;

/// A forkserver that takes requests. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    control: Arc<OwnedFd>,
    pid: u32,
    killer: Killer,
    next: AtomicU64,
    open: Arc<Open>,
    /// Told when it was reaped.
    gone: CancellationToken,
}

/// Why there is no new process.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The forkserver lives, and has said why.
    Refused(Error),
    /// It has died, or does not answer.
    Gone,
}

/// The requests whose processes have not ended; nothing once the forkserver has.
#[derive(Debug)]
struct Open(Mutex<Option<HashMap<u64, Stage>>>);

/// How far a request has come.
#[derive(Debug)]
enum Stage {
    Asked(oneshot::Sender<Result<Child>>),
    Forked(oneshot::Sender<Exit>),
}

impl Running {
    /// Listens to it from now on. Runs on the background runtime.
    pub(super) fn new(control: OwnedFd, pid: u32, killer: Killer, ended: Ended) -> io::Result<Self> {
        os::set_nonblocking(&control)?;
        let control = Arc::new(control);
        let heard = os::watch(Arc::clone(&control))?;
        let open = Arc::new(Open(Mutex::new(Some(HashMap::new()))));
        tokio::spawn(Arc::clone(&open).listen(heard));
        let gone = CancellationToken::new();
        let told = gone.clone().drop_guard();
        tokio::spawn(async move {
            ended.await;
            drop(told);
        });
        Ok(Self { control, pid, killer, next: AtomicU64::new(0), open, gone })
    }

    pub(super) fn is_gone(&self) -> bool {
        self.open.lock().is_none()
    }

    /// It has nothing to put in order, and one that is stopped or was refused the signal goes all the same.
    fn stop(&self) {
        os::hang_up(&self.control);
        self.killer.kill();
    }

    /// Ends it, and waits until it is gone, or does not even go when it is killed.
    pub(super) async fn end(&self) {
        self.stop();
        let gone = self.gone.clone();
        let waits = async move { tokio::time::timeout(GONE_WITHIN, gone.cancelled()).await };
        if let Ok(background) = background() {
            let _waited = background.spawn(waits).await;
        }
    }

    /// Asks for one more process, and waits for it.
    pub(super) async fn fork(
        &self,
        launch: &Launch,
        env: &[(OsString, OsString)],
        current_dir: Option<&Path>,
    ) -> Result<Child, Refusal> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let request = ForkRequest {
            id,
            title: launch.title.as_bytes().to_vec(),
            env: env
                .iter()
                .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
            current_dir: current_dir.map(|path| path.as_os_str().as_bytes().to_vec()),
            stdout: launch.stdout.is_some(),
            stderr: launch.stderr.is_some(),
        };
        let forked = self.ask(&request, launch).map_err(Refusal::Refused)?.ok_or(Refusal::Gone)?;
        match self.answer(forked).await {
            Some(Ok(forked)) => forked.map_err(Refusal::Refused),
            Some(Err(_gone)) => Err(Refusal::Gone),
            None => {
                self.killer.kill();
                Err(Refusal::Gone)
            }
        }
    }

    /// Waits for an answer; nothing if it does nothing more.
    async fn answer<T>(&self, mut answer: oneshot::Receiver<T>) -> Option<Result<T, RecvError>> {
        let mut worked = os::time_worked(self.pid);
        loop {
            if let Ok(answered) = tokio::time::timeout(FORKED_WITHIN, &mut answer).await {
                return Some(answered);
            }
            let now = os::time_worked(self.pid);
            if now.is_none() || now == worked {
                return None;
            }
            worked = now;
        }
    }

    /// Sends a request; nothing if the forkserver takes none.
    fn ask(
        &self,
        request: &ForkRequest,
        launch: &Launch,
    ) -> Result<Option<oneshot::Receiver<Result<Child>>>> {
        let failed = |cause| Error::start("ask for its fork", cause);
        let message = postcard::to_stdvec(request).map_err(|cause| failed(io::Error::other(cause)))?;
        if message.len() > REQUEST_ROOM {
            return Err(failed(io::Error::other("its environment is too large for a forkserver")));
        }
        let mut descriptors = vec![launch.control.as_fd()];
        descriptors.extend(launch.stdout.as_ref().map(OwnedFd::as_fd));
        descriptors.extend(launch.stderr.as_ref().map(OwnedFd::as_fd));
        let (tell, told) = oneshot::channel();
        let mut open = self.open.lock();
        let Some(requests) = &mut *open else { return Ok(None) };
        // A socket that is full belongs to a forkserver that does not read.
        if os::send(&self.control, &message, &descriptors).is_err() {
            return Ok(None);
        }
        requests.insert(request.id, Stage::Asked(tell));
        Ok(Some(told))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !os::forked() {
            self.stop();
        }
    }
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, Stage>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the forkserver tells until there is nothing more to come.
    async fn listen(self: Arc<Self>, control: AsyncFd<Arc<OwnedFd>>) {
        let mut buffer = vec![0; NOTICE_ROOM];
        while let Ok(mut ready) = control.readable().await {
            let (length, descriptors) = match os::receive_now(control.get_ref(), &mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    continue;
                }
                received => received.unwrap_or_default(),
            };
            // It has ended, which is an empty message, or it says what it never would.
            if self.heard(&buffer[..length], descriptors).is_none() {
                break;
            }
        }
        self.lock().take();
    }

    /// Takes note of what it tells; nothing if that makes no sense.
    fn heard(&self, message: &[u8], descriptors: Vec<OwnedFd>) -> Option<()> {
        let notice = postcard::from_bytes::<ForkNotice>(message).ok()?;
        let mut open = self.lock();
        let requests = open.as_mut()?;
        match notice {
            ForkNotice::Forked { id, pid } => {
                let Stage::Asked(tell) = requests.remove(&id)? else { return None };
                let (ended, end) = oneshot::channel();
                let child = Child::of_forkserver(pid, descriptors.into_iter().next()?, end)?;
                requests.insert(id, Stage::Forked(ended));
                // If nobody wants it any more, it is dropped here, which kills it.
                let _unwanted = tell.send(Ok(child));
            }
            ForkNotice::Ended { id, exit } => {
                if let Stage::Forked(ended) = requests.remove(&id)? {
                    let _nobody_asks = ended.send(exit.into());
                }
            }
            ForkNotice::Failed { id, errno } => {
                let cause = io::Error::from_raw_os_error(errno);
                refuse(requests, id, Error::start("fork it", cause))?;
            }
            ForkNotice::NotAlone { id, threads } => refuse(requests, id, Error::NotAlone { threads })?,
        }
        Some(())
    }
}

fn refuse(requests: &mut HashMap<u64, Stage>, id: u64, error: Error) -> Option<()> {
    let Stage::Asked(tell) = requests.remove(&id)? else { return None };
    let _unwanted = tell.send(Err(error));
    Some(())
}
