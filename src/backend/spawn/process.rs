//! A process with one call: everything it is to do is in its pipe before it looks there, so that it may outlive whoever has started it.

use std::sync::{Arc, Weak};

use super::link::SpawnLink;
use super::start::{Born, Listened, Silent, printable};
use crate::backend::{Call, Home, Link, Profile, StartRequest, Streams};
use crate::error::{Error, Exit, Result};
use crate::os::background;
use crate::wire::StartMethod;

/// Starts a process that has nothing to do yet. Blocks for about a millisecond.
///
/// # Errors
///
/// [`Error::Start`]; [`Error::Option`] if there is no such start method here.
pub(crate) fn bear(profile: &Profile, title: &str, streams: Streams, method: StartMethod) -> Result<Born> {
    match method {
        StartMethod::Spawn => Born::spawn(profile, printable(title), streams),
        other => Err(Error::option("start_method", format!("{other} is not for processes"))),
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
        link.configure(request);
        link.enter(call.head.slot, call.head.call);
        Arc::clone(&link).send(call);
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
        background.spawn(async move {
            let Self { link, silent } = self;
            let (error, exit) = match silent.listen() {
                // It is dropped, and so has been killed and reaped.
                Err(error) => (error, Exit::Unknown),
                Ok(newborn) => match raise(newborn, &link).await {
                    Ok(()) => return,
                    Err(failure) => failure,
                },
            };
            failed(error);
            link.ended(exit);
        });
    }
}

/// Sees a process through its start. If that fails: why, and how the process has ended.
async fn raise(mut newborn: Listened, link: &Arc<SpawnLink>) -> Result<(), (Error, Exit)> {
    let greeted = match newborn.hello_in_time().await {
        Ok(()) => newborn.ready().await,
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
