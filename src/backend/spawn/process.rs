//! A process with one call: everything it is to do is in its pipe before it looks there, so that it may outlive whoever has started it.

use std::ffi::OsString;
use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::oneshot;

use super::forkserver::Forkserver;
use super::link::SpawnLink;
use super::start::{Born, Listened, Silent, printable};
use crate::backend::{Call, Home, Link, Profile, StartRequest, Streams};
use crate::error::{Error, Exit, Result};
use crate::os::{self, background};
use crate::wait::block_on;
use crate::wire::{Configure, DEFAULT_MAX};
use crate::worker::program_name;

/// Starts a process that has nothing to do yet. Blocks for about a millisecond.
///
/// # Errors
///
/// [`Error::Start`].
pub(crate) fn bear(profile: &Arc<Profile>, title: &str, streams: Streams, forkserver: bool) -> Result<Born> {
    let title = printable(title);
    if forkserver { by_forkserver(profile, title, streams) } else { Born::spawn(profile, title, streams) }
}

/// Has it forked by the one forkserver that all processes of the program share. That is started at the first need and ends with the program.
fn by_forkserver(profile: &Arc<Profile>, title: OsString, streams: Streams) -> Result<Born> {
    static FORKSERVER: OnceLock<Forkserver> = OnceLock::new();
    let forkserver = FORKSERVER.get_or_init(|| Forkserver::new(&Arc::new(Profile::of_forkserver())));
    let background = background().map_err(|cause| Error::start("start the background thread", cause))?;
    let profile = Arc::clone(profile);
    let born = background.spawn(async move { forkserver.bear(&profile, title, streams).await });
    block_on(born).map_err(|cause| Error::start("have it forked", io::Error::other(cause)))?
}

impl Profile {
    /// How a forkserver is to be that loads nothing.
    fn of_forkserver() -> Self {
        let configure = Configure { name: program_name(), max_frame: DEFAULT_MAX, ..Configure::default() };
        Self {
            configure,
            setup: None,
            preload: None,
            env: Vec::new(),
            current_dir: None,
            capture_stderr: false,
            start_timeout: Duration::MAX,
            stores: None,
        }
    }
}

/// A process that has its call and is not listened to yet.
pub(crate) struct Entrusted {
    link: Arc<SpawnLink>,
    silent: Silent,
}

impl Born {
    /// Gives it its one call.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] if the background thread cannot be made; the process is killed then.
    pub(crate) fn entrust(self, request: &StartRequest, call: Call) -> Result<Entrusted> {
        let home = Home::own().map_err(|cause| Error::start("start the background thread", cause))?;
        let (link, silent) = self.link(request, Arc::new(home));
        link.configure(request, false);
        link.enter(call.head.slot, call.head.call);
        link.send(call);
        Arc::clone(&link).flush();
        Ok(Entrusted { link, silent })
    }
}

impl Entrusted {
    /// Its board, among others. It is there until its end was told.
    pub(crate) fn link(&self) -> Weak<dyn Link> {
        let link: Arc<dyn Link> = Arc::<SpawnLink>::clone(&self.link);
        Arc::downgrade(&link)
    }

    /// Listens to it until its end, which is told to its events. Why it does not even start is told to `failed` before.
    pub(crate) fn follow(self, failed: impl FnOnce(Error) + Send + 'static) {
        let background = background().expect("it was started for the link");
        let (greeting, greeted) = oneshot::channel();
        background.spawn(async move {
            let Self { link, silent } = self;
            let (error, exit) = match silent.listen() {
                // It is dropped, and so has been killed and reaped.
                Err(error) => (error, Exit::Unknown),
                Ok(newborn) => match raise(newborn, &link, greeting).await {
                    Ok(()) => return,
                    Err(failure) => failure,
                },
            };
            failed(error);
            link.ended(exit);
        });
        if os::ignores_signals() {
            // It does too until it has said hello, and what it was sent before would be lost.
            let _or_gone = block_on(greeted);
        }
    }
}

/// Sees a process through its start. If that fails: why, and how the process has ended.
async fn raise(
    mut newborn: Listened,
    link: &Arc<SpawnLink>,
    greeting: oneshot::Sender<()>,
) -> Result<(), (Error, Exit)> {
    let greeted = match newborn.hello().await {
        Ok(()) => {
            let _nobody_waits = greeting.send(());
            newborn.ready().await
        }
        failed => failed,
    };
    match greeted {
        Ok(()) => newborn.begin(link).map_err(|error| (error, Exit::Unknown)),
        Err(Error::WorkerDied(death)) => {
            let exit = death.exit;
            Err((Error::WorkerDied(death), exit))
        }
        Err(error) => {
            // One whose sandbox does not hold ends by itself.
            if !matches!(error, Error::Sandbox { .. }) {
                link.kill();
            }
            Err((error, newborn.ended.await))
        }
    }
}
