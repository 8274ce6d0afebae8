//! The entry: a process of this program finds out, before `main`, whether it is a worker.
//!
//! It is one only if all of this holds; otherwise the program starts as ever:
//!
//! 1. the environment has our variable, which holds a token;
//! 2. descriptor 0 is a control socket, made under our user, and we were given no extra rights;
//! 3. the first message on it repeats the token;
//! 4. its maker is our parent. If only this does not hold, the pool ended while we started, and so do we, unless we may outlive it.

use std::ffi::OsStr;
#[cfg(feature = "auto-entry")]
use std::ffi::{c_char, c_int};
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::blocks::Shared;
use super::forkserver;
use super::serve::{Pipes, serve};
use crate::os::{self, Maker};

/// The variable by which a pool tells its worker what it is. The worker removes it.
pub(crate) const ENV: &str = "MULTIPROCESS_WORKER";

/// Far more than a set-up message takes.
const MESSAGE_ROOM: usize = 256;

/// What a pool and the worker that it starts both know, and nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token(pub(crate) [u8; 16]);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first message on the control socket. With it come the read end of the orders, the write end of the
/// reports, and for a worker the socket for handles, the board, perhaps what large arguments and results lie in, and perhaps a stdin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) token: Token,
    pub(crate) role: Role,
    /// It may go on when its parent has ended.
    pub(crate) outlives: bool,
    /// There is shared memory for its large arguments and results.
    pub(crate) has_stores: bool,
}

/// What a process is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// To run tasks.
    Worker,
    /// To fork workers.
    Forkserver,
}

#[cfg(feature = "auto-entry")]
os::before_main!(ENTRY = enter);

#[cfg(feature = "auto-entry")]
extern "C" fn enter(argc: c_int, argv: *const *const c_char, envp: *const *const c_char) {
    if is_unserved_worker() {
        work(|| os::run_later_constructors(enter, argc, argv, envp));
    }
}

/// Serves and ends here if this process is a worker; returns at once if it is not.
///
/// With the feature `auto-entry`, which is on by default, workers enter before `main`, and this does nothing. Without it, this must be the
/// first statement of `main`, and a process pool made before it is an error. Python: `multiprocessing.freeze_support`.
///
/// # Examples
///
/// ```
/// // The first statement of `main`:
/// multiprocess::init();
/// ```
pub fn init() {
    if cfg!(not(feature = "auto-entry")) {
        INITIALISED.store(true, Ordering::Relaxed);
        if is_unserved_worker() {
            work(|| ());
        }
    }
}

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// True if workers of this program will enter: the entry is linked in, or `init` was called.
pub(super) fn entered() -> bool {
    // Looking at the entry is what makes the linker keep it.
    #[cfg(feature = "auto-entry")]
    let linked = !std::hint::black_box(&raw const ENTRY).is_null();
    #[cfg(not(feature = "auto-entry"))]
    let linked = false;
    linked || INITIALISED.load(Ordering::Relaxed)
}

/// True if this process was started as a worker and has not begun to serve.
pub(super) fn is_unserved_worker() -> bool {
    let Some(expected) = std::env::var_os(ENV) else { return false };
    if !os::stdin_is_control() {
        return false;
    }
    let mut message = [0; MESSAGE_ROOM];
    let Ok(length) = os::peek_stdin(&mut message) else { return false };
    let Some(setup) = confirmed(&message[..length], &expected) else { return false };
    if !setup.outlives && !os::stdin_is_our_parent() {
        // Meant as a worker, but its pool has ended meanwhile: nobody wants this process, least of all its `main`.
        os::leave_at_once(0);
    }
    true
}

/// The set-up message, if it comes from a pool that knows the token.
fn confirmed(message: &[u8], token: &OsStr) -> Option<Setup> {
    let (setup, rest) = postcard::take_from_bytes::<Setup>(message).ok()?;
    (rest.is_empty() && token == setup.token.to_string().as_str()).then_some(setup)
}

/// True if this is the set-up message of a pool that knows the token.
#[cfg(fuzzing)]
pub(crate) fn confirms(message: &[u8], token: &OsStr) -> bool {
    confirmed(message, token).is_some()
}

/// Makes this process a worker. `prepare` runs once it is cut off from what it inherited.
fn work(prepare: impl FnOnce()) -> ! {
    remove_variable();
    os::reset_signals();
    let control =
        os::accept_control().unwrap_or_else(|error| give_up("take over the control socket", &error));
    prepare();
    let maker = Maker::is_our_parent(&control);
    begin(control, maker)
}

/// Makes this process, which its program has just forked, what the message on this socket says.
pub(crate) fn enter_forked(control: OwnedFd) -> ! {
    os::reset_signals();
    os::close_stdin().unwrap_or_else(|error| give_up("let go of its stdin", &error));
    let maker = Maker::is_our_parent(&control);
    begin(control, maker)
}

/// Takes what this process needs from its control socket, and does what it was started for. Without a maker, that has ended.
pub(super) fn begin(control: OwnedFd, maker: Option<Maker>) -> ! {
    let mut message = [0; MESSAGE_ROOM];
    let received = os::receive(&control, &mut message);
    let (length, descriptors) = received.unwrap_or_else(|error| give_up("receive the pipes", &error));
    let setup = postcard::from_bytes::<Setup>(&message[..length]);
    let setup = setup.unwrap_or_else(|error| give_up("understand its set-up", &error));
    let Some(maker) = maker.or_else(|| setup.outlives.then(Maker::ended)) else {
        os::leave_at_once(os::LIFELINE_LOST)
    };
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.next().unwrap_or_else(|| give_up("receive the pipes", &"some are missing"));
    let pipes = Pipes { control, maker, orders: next(), reports: next() };
    if setup.role == Role::Forkserver {
        forkserver::serve(pipes)
    }
    let (handles, board) = (next(), next());
    let stores = setup.has_stores.then(|| (next(), next()));
    if let Some(stdin) = descriptors.next() {
        os::become_stdin(stdin).unwrap_or_else(|error| give_up("take its stdin", &error));
    }
    os::notice_forks().unwrap_or_else(|error| give_up("notice forks", &error));
    serve(pipes, handles, Shared { board, stores }, setup.outlives)
}

#[expect(unsafe_code, reason = "the environment is changed while there is one thread")]
fn remove_variable() {
    // SAFETY: this runs before `main` or as its first statement, when no other thread can read the environment.
    unsafe { std::env::remove_var(ENV) };
}

/// Ends a worker that cannot work, which its pool sees as a failed start.
pub(super) fn give_up(step: &str, cause: &dyn fmt::Display) -> ! {
    eprintln!("multiprocess: worker {}: cannot {step}: {cause}", std::process::id());
    os::leave_at_once(112)
}
