//! Workers that are gone: what becomes of their calls, and what comes in their place.

use std::time::Duration;

use super::{Action, Boards, Killed, Ledger, Restart, Sent, Stage};
use crate::backend::WorkerId;
use crate::error::{Error, Limit};
use crate::os::Start;

/// More failed starts in a row than this, and no worker that works: the pool gives up.
pub(super) const MOST_FAILURES: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl<T: Clone> Ledger<T> {
    /// A worker is gone, or could not be started. Its board tells how far its calls had come.
    pub(in crate::dispatch) fn lost(
        &mut self,
        id: WorkerId,
        cause: Error,
        boards: &impl Boards,
        out: &mut Vec<Action<T>>,
    ) {
        let Some(mut worker) = self.workers.remove(&id) else { return };
        self.forget_idle(id);
        self.at_work.retain(|other| *other != id);
        self.alarms.clear(&mut worker.alarm);
        let mut has_worked = worker.has_worked;
        // From the last to the first, so that those put back stand in their order again.
        for sent in worker.calls.iter().rev() {
            let begun = match boards.progress(id, sent.head) {
                Start::NotStarted => 0,
                Start::Begun(begun) => begun.min(sent.head.elements),
            };
            has_worked |= begun > 0;
            self.unsend(id, sent, begun, out);
        }
        let is_ending = worker.stage == Stage::Ending;
        self.stats.deaths += u64::from(!is_ending || worker.killed == Some(Killed::AtFault));
        if !is_ending {
            self.replace(worker.index, has_worked, cause, out);
        }
        self.start_missing(out);
        self.open_successor(id, out);
        self.assign(out);
        self.settle_phase(out);
    }

    /// A call of a lost worker, which had begun so many of its elements: those that were not answered fail, or run
    /// again if they may, and the others wait again.
    fn unsend(&mut self, worker: WorkerId, sent: &Sent, begun: u32, out: &mut Vec<Action<T>>) {
        let lost = begun.saturating_sub(sent.received);
        let entry = &mut self.units[sent.unit.key];
        entry.on = None;
        if begun > 0 {
            entry.has_begun();
        }
        let late = entry.take_overdue().filter(|overdue| lost > 0 && overdue.element == begun);
        if late.is_none() && lost > 0 && entry.may_run_again(lost) {
            self.stats.retried += u64::from(lost);
            return self.wait_again(sent.unit);
        }
        let (first, task, attempts) = (entry.done, entry.task.clone(), entry.attempts() + 1);
        entry.settle(lost);
        let after = entry.terms().timeout.unwrap_or_default();
        let wanted = entry.wanted;
        let is_over = entry.done >= entry.elements || !wanted;
        if wanted && lost > 0 {
            self.stats.failed += u64::from(lost);
            let late = u32::from(late.is_some());
            let died = lost - late;
            if died > 0 {
                let task = task.clone();
                out.push(Action::Died { worker, task, first, elements: died, attempts });
            }
            if late > 0 {
                let first = first + died;
                out.push(Action::TimedOut { task, first, elements: late, limit: Limit::Run, after });
            }
        }
        if is_over { self.forget(sent.unit, out) } else { self.wait_again(sent.unit) }
    }

    fn replace(&mut self, index: usize, has_worked: bool, cause: Error, out: &mut Vec<Action<T>>) {
        if has_worked {
            self.causes.clear();
        } else {
            self.causes.push(cause);
        }
        let failures = self.causes.len();
        let works = self.workers.values().any(|worker| worker.stage == Stage::Ready);
        if failures > MOST_FAILURES && !works {
            return self.break_down(out);
        }
        if !self.needs_workers() || self.living() + self.restarts.len() >= self.wanted() {
            return;
        }
        match u32::try_from(failures).unwrap_or(u32::MAX) {
            0 | 1 => self.start(Some(index), out),
            failures => {
                let pause = FIRST_PAUSE.saturating_mul(1 << (failures - 2).min(16)).min(LONGEST_PAUSE);
                self.restarts.push(Restart { index, at: self.now + pause });
            }
        }
    }
}
