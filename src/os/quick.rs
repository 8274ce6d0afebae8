//! Looking again and again for a moment, instead of sleeping at once: where what is waited for comes soon, that saves a wake-up, which takes ten times as long as all the rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// For how long one looks at most.
const LIMIT: Duration = Duration::from_micros(50);

/// Whether it is worth to look: what was waited for the last time came soon. So one that is idle sleeps, and one that is busy does not.
#[derive(Debug, Default)]
pub(crate) struct Quick(AtomicBool);

/// One wait.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    quick: &'a Quick,
    began: Instant,
    /// Nothing once it is time to sleep.
    until: Option<Instant>,
}

impl Quick {
    /// Somebody begins to wait on a thread, at most until then.
    pub(crate) fn begin(&self, end: Option<Instant>) -> Waiting<'_> {
        let began = Instant::now();
        // In the models whoever waits sleeps.
        let looks = !cfg!(models) && self.0.load(Ordering::Relaxed);
        let limit = began + LIMIT;
        Waiting { quick: self, began, until: looks.then(|| end.map_or(limit, |end| end.min(limit))) }
    }
}

impl Waiting<'_> {
    /// Whether to look once more. Others have had the core meanwhile: the one that is waited for may need it.
    pub(crate) fn once_more(&mut self) -> bool {
        self.until = self.until.filter(|until| Instant::now() < *until);
        if self.until.is_some() {
            std::thread::yield_now();
        }
        self.until.is_some()
    }

    /// What was waited for has come.
    pub(crate) fn came(&self) {
        let soon = self.began.elapsed() < LIMIT;
        self.quick.0.store(soon, Ordering::Relaxed);
    }
}
