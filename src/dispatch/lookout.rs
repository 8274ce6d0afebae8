//! Whoever awaits a call looks for its result himself for a moment: no wake-up then lies between the worker and him.
//!
//! 1. Only while calls come back in quick succession, and less and less often after looking in vain.
//! 2. Never more at once than there are cores besides one, in all pools of the process.
//! 3. Between two looks others may run: a worker that shares the core would otherwise never come to answer.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use crate::backend::Link;
use crate::os::cores;

/// After looking in vain at most so many quick calls are let pass before the next attempt.
const LONGEST_PAUSE: u32 = 255;

/// So many looks, a fraction of a microsecond, until others may run. A look is cheap, and letting others run is not.
const LOOKS: u32 = 8;

/// Those who look just now.
static LOOKING: AtomicUsize = AtomicUsize::new(0);

/// Whether it is worth to look, by what came of it lately.
#[derive(Debug)]
pub(crate) struct Looking {
    limit: Duration,
    /// Quick calls to let pass.
    pause: AtomicU32,
    /// The last pause.
    longest: AtomicU32,
}

/// One caller who waits.
#[derive(Default)]
pub(crate) struct Lookout {
    began: Option<Instant>,
}

/// Where he looks, while he does.
struct Watched(Arc<dyn Link>);

impl Looking {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, pause: AtomicU32::new(1), longest: AtomicU32::new(0) }
    }

    fn is_worth_it(&self) -> bool {
        !self.limit.is_zero() && self.pause.load(Ordering::Relaxed) == 0
    }

    fn was_in_vain(&self) {
        let pause = (self.longest.load(Ordering::Relaxed) * 2 + 1).min(LONGEST_PAUSE);
        self.longest.store(pause, Ordering::Relaxed);
        self.pause.store(pause, Ordering::Relaxed);
    }

    /// A call came back within the limit. These counts may miss one now and then, which does no harm.
    fn was_quick(&self) {
        let falling = if self.pause.load(Ordering::Relaxed) > 0 { &self.pause } else { &self.longest };
        let left = falling.load(Ordering::Relaxed);
        if left > 0 {
            falling.store(left - 1, Ordering::Relaxed);
        }
    }
}

impl Lookout {
    /// Looks until `came` finds the result there, once for each call, if it is worth it and no longer than the limit.
    ///
    /// It keeps the thread meanwhile. Going on in a later poll was tried: other threads of the runtime then take the
    /// task, and it takes twice as long.
    pub(crate) fn look(
        &mut self,
        looking: &Looking,
        link: impl FnOnce() -> Option<Arc<dyn Link>>,
        mut came: impl FnMut() -> bool,
    ) {
        if self.began.is_some() {
            return;
        }
        let began = *self.began.insert(Instant::now());
        let worthy = if looking.is_worth_it() { link() } else { None };
        let Some(watched) = worthy.filter(|_| enter()).map(Watched) else { return };
        while began.elapsed() <= looking.limit {
            for _ in 0..LOOKS {
                watched.0.look();
                if came() {
                    return;
                }
                spin_loop();
            }
            yield_now();
        }
        looking.was_in_vain();
    }

    /// The result is there, however it came.
    pub(crate) fn came(&self, looking: &Looking) {
        if self.began.is_some_and(|began| began.elapsed() < looking.limit) {
            looking.was_quick();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.look_away();
        LOOKING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One more looks, if a core is to spare for him.
fn enter() -> bool {
    static CORES: OnceLock<usize> = OnceLock::new();
    let cores = *CORES.get_or_init(cores);
    let one_more = |looking| (looking + 1 < cores).then_some(looking + 1);
    LOOKING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
}
