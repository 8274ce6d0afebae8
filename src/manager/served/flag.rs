//! What stands behind an event.

use std::time::Duration;

use tokio::sync::watch;

use super::super::exposed::Exposed;
use super::fault::within;

#[derive(Debug, Default)]
pub(crate) struct Flag(watch::Sender<bool>);

pub(super) fn expose(flag: Exposed<Flag>) -> Exposed<Flag> {
    flag.create(Flag::default)
        .method("set", Flag::set)
        .method("clear", Flag::clear)
        .method("is_set", Flag::is_set)
        .method("wait", Flag::wait)
}

impl Flag {
    fn set(&self) {
        self.0.send_replace(true);
    }

    fn clear(&self) {
        self.0.send_replace(false);
    }

    fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// False if it is not set in time.
    async fn wait(&self, limit: Option<Duration>) -> bool {
        let mut seen = self.0.subscribe();
        let set = seen.wait_for(|set| *set);
        within(limit, set).await.is_some()
    }
}
