//! The thread that ends a worker with its parent.
//!
//! It is a bare one, since every worker has it: what `std` gives a thread costs memory and time that it has no use for.

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::control::{Maker, echo_until_end};
use super::entrance::{LIFELINE_LOST, leave_with_group};

/// A thread that only waits needs next to nothing.
const STACK: usize = 64 * 1024;

/// What the thread has.
struct Lifeline {
    /// Where it answers, until the other end is gone.
    control: Option<OwnedFd>,
    maker: Arc<Maker>,
}

/// Ends this process and its group as soon as its maker has ended, or has let go of the control socket.
///
/// Nothing outlives the parent: not even a task in an endless loop, or what it has started.
pub(crate) fn start_lifeline(control: Option<OwnedFd>, maker: Arc<Maker>) -> io::Result<()> {
    let lifeline = Box::into_raw(Box::new(Lifeline { control, maker }));
    let started = start(lifeline.cast());
    if started.is_err() {
        // SAFETY: it comes from a box, and there is no thread that has it.
        drop(unsafe { Box::from_raw(lifeline) });
    }
    started
}

fn start(argument: *mut c_void) -> io::Result<()> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the place is there to be initialised.
    unsafe { checked(libc::pthread_attr_init(attributes.as_mut_ptr()))? };
    // SAFETY: it was just initialised.
    let mut attributes = unsafe { attributes.assume_init() };
    // SAFETY: the attributes are valid; a size that cannot be is answered with an error.
    let sized = checked(unsafe { libc::pthread_attr_setstacksize(&raw mut attributes, STACK) });
    let mut thread = MaybeUninit::uninit();
    let started = sized.and_then(|()| {
        // SAFETY: the attributes are valid, and `run` takes over what it is handed, which is what it expects.
        checked(unsafe { libc::pthread_create(thread.as_mut_ptr(), &raw const attributes, run, argument) })
    });
    // SAFETY: the attributes are valid and not used again.
    unsafe { libc::pthread_attr_destroy(&raw mut attributes) };
    started?;
    // SAFETY: the thread was started, which has filled this in.
    let thread = unsafe { thread.assume_init() };
    // SAFETY: the thread is there, and nobody waits for it.
    unsafe { libc::pthread_detach(thread) };
    Ok(())
}

fn checked(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

extern "C" fn run(argument: *mut c_void) -> *mut c_void {
    // SAFETY: whoever has started this thread has made it from a box and has handed it over.
    let lifeline = unsafe { Box::from_raw(argument.cast::<Lifeline>()) };
    let _nameless = rustix::thread::set_name(c"lifeline");
    match &lifeline.control {
        Some(control) => echo_until_end(control, &lifeline.maker),
        None => lifeline.maker.wait_for_end(),
    }
    leave_with_group(LIFELINE_LOST)
}
