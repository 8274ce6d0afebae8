//! What workers write to stderr: passed on to our own, and the end of it kept for whoever asks why one died.
//!
//! ```text
//! worker, its children ──pipe──► waiting ──► our stderr          a thread of the crate does both
//!                                  └─ the last 8 KiB of each
//! ```
//!
//! 1. Bytes are taken out and put behind those that wait under one lock, so that they stay in their order whoever takes them.
//! 2. Only the thread of the crate waits for our stderr. A worker that writes faster than that takes waits too, as it
//!    would if it had our stderr itself.
//! 3. What is under way when the program exits is written first.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::CancellationToken;

use super::background::stderr_runtime;
use super::{forked, read_now, run_at_exit, set_nonblocking, write_to_stderr};

/// How much of the end is kept.
const TAIL: usize = 8 * 1024;
/// What a dead worker has left in its pipe is no more than this, unless others write on.
const MOST_LEFT: usize = 256 * 1024;
/// How long the end of the program waits for our stderr.
const AT_EXIT: Duration = Duration::from_millis(100);

/// Bytes that were taken out of pipes and not written yet.
static WAITING: Mutex<VecDeque<u8>> = Mutex::new(VecDeque::new());
/// Held by whoever writes them.
static WRITING: Mutex<()> = Mutex::new(());
/// All pipes that are followed.
static FOLLOWED: Mutex<Vec<Weak<Stderr>>> = Mutex::new(Vec::new());

/// The parent's end of one worker's stderr.
#[derive(Debug)]
pub(crate) struct Stderr {
    pipe: OwnedFd,
    tail: Mutex<VecDeque<u8>>,
    gone: CancellationToken,
}

impl Stderr {
    /// Passes on from now on what comes out of this pipe.
    ///
    /// # Errors
    ///
    /// Those of the operating system when the pipe cannot be watched.
    pub(crate) fn follow(pipe: OwnedFd) -> io::Result<Arc<Self>> {
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| run_at_exit(write_the_rest));
        set_nonblocking(&pipe)?;
        let runtime = stderr_runtime()?;
        let receiver = {
            let _inside = runtime.enter();
            Receiver::from_owned_fd(pipe.try_clone()?)?
        };
        let stderr = Arc::new(Self { pipe, tail: Mutex::default(), gone: CancellationToken::new() });
        let mut followed = lock(&FOLLOWED);
        followed.retain(|other| other.strong_count() > 0);
        followed.push(Arc::downgrade(&stderr));
        drop(followed);
        runtime.spawn(Arc::clone(&stderr).pass_on(receiver));
        Ok(stderr)
    }

    async fn pass_on(self: Arc<Self>, receiver: Receiver) {
        loop {
            tokio::select! {
                biased;
                () = self.gone.cancelled() => return,
                ready = receiver.readable() => if ready.is_err() { return },
            }
            let taken = receiver.try_io(|| self.take_out());
            write(lock(&WRITING));
            match taken {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Nobody can write to it any more.
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Takes some bytes out of the pipe. 0 is the end.
    fn take_out(&self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let mut waiting = lock(&WAITING);
        let taken = read_now(&self.pipe, &mut buffer)?;
        waiting.extend(&buffer[..taken]);
        let mut tail = lock(&self.tail);
        tail.extend(&buffer[..taken]);
        let surplus = tail.len().saturating_sub(TAIL);
        tail.drain(..surplus);
        Ok(taken)
    }

    /// Takes out what is there.
    fn take_all_out(&self) {
        let mut left = MOST_LEFT;
        while let (1.., Ok(taken @ 1..)) = (left, self.take_out()) {
            left = left.saturating_sub(taken);
        }
    }

    /// The end of what a worker wrote that is gone now. Nothing more is passed on.
    pub(crate) fn tail(&self) -> String {
        self.gone.cancel();
        self.take_all_out();
        if let Ok(runtime) = stderr_runtime() {
            runtime.spawn(async { write(lock(&WRITING)) });
        }
        String::from_utf8_lossy(lock(&self.tail).make_contiguous()).into_owned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes what waits, however long our stderr takes.
fn write(_only_one: MutexGuard<'_, ()>) {
    loop {
        let bytes: Vec<u8> = lock(&WAITING).drain(..).collect();
        if bytes.is_empty() {
            return;
        }
        write_to_stderr(&bytes);
    }
}

/// At the end of the program. It waits for our stderr only for a moment: nobody may read it. A forked child of the program leaves it
/// alone: the pipes are its parent's, and so are the locks.
extern "C" fn write_the_rest() {
    if forked() {
        return;
    }
    let end = Instant::now() + AT_EXIT;
    let followed: Vec<_> = lock(&FOLLOWED).iter().filter_map(Weak::upgrade).collect();
    for stderr in &followed {
        stderr.take_all_out();
    }
    while Instant::now() < end {
        match WRITING.try_lock() {
            Ok(only_one) => return write(only_one),
            Err(TryLockError::Poisoned(only_one)) => return write(only_one.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
}
