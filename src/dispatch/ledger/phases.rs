//! The pool as a whole: open, closing, terminated or broken, larger or smaller.

use super::alarms::Alarms;
use super::awake::Watch;
use super::{Action, Condition, Killed, Ledger, Phase, Stage};
use crate::dispatch::lanes::Lanes;
use crate::error::Error;

impl<T: Clone> Ledger<T> {
    pub(in crate::dispatch) fn close(&mut self, out: &mut Vec<Action<T>>) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
            self.settle_phase(out);
        }
    }

    pub(in crate::dispatch) fn terminate(&mut self, out: &mut Vec<Action<T>>, error: impl Fn(&T) -> Error) {
        if self.phase != Phase::Broken {
            self.phase = Phase::Terminated;
        }
        let settled = self.end_all(out, error);
        self.stats.cancelled += settled;
    }

    pub(super) fn break_down(&mut self, out: &mut Vec<Action<T>>) {
        let causes = std::mem::take(&mut self.causes);
        let error = match causes.last() {
            Some(
                own @ (Error::Initializer { .. }
                | Error::Preload { .. }
                | Error::NotAlone { .. }
                | Error::Sandbox { .. }),
            ) => own.clone(),
            _ => Error::Broken { causes },
        };
        self.phase = Phase::Broken;
        self.broken = Some(error.clone());
        let settled = self.end_all(out, |_| error.clone());
        self.stats.failed += settled;
    }

    /// Fails all units and ends all workers; the number of elements that failed so.
    pub(super) fn end_all(&mut self, out: &mut Vec<Action<T>>, error: impl Fn(&T) -> Error) -> u64 {
        let mut settled = 0;
        self.timed = 0;
        self.alarms = Alarms::default();
        for entry in self.units.drain() {
            if !entry.wanted {
                out.push(Action::Forget { task: entry.task });
                continue;
            }
            let (first, elements) = (entry.done, entry.elements - entry.done);
            settled += u64::from(elements);
            let error = error(&entry.task);
            out.push(Action::Fail { task: entry.task, first, elements, error });
        }
        self.lanes = Lanes::default();
        self.stale = 0;
        self.restarts.clear();
        self.idle.clear();
        self.at_work.clear();
        self.watch = Watch::default();
        for worker in self.workers.values_mut() {
            worker.condition = Condition::Fine;
            worker.stage = Stage::Ending;
            worker.calls.clear();
            worker.alarm = None;
        }
        for id in self.workers.keys().copied().collect::<Vec<_>>() {
            self.kill(id, Killed::Unwanted, out);
        }
        settled
    }

    /// More workers are started; of too many, those that are idle or starting end now, the others when they next
    /// have nothing to do.
    pub(in crate::dispatch) fn resize(&mut self, target: usize, out: &mut Vec<Action<T>>) {
        self.target = target;
        self.start_missing(out);
        self.settle_phase(out);
    }

    /// Ends workers that are not needed any more.
    pub(super) fn settle_phase(&mut self, out: &mut Vec<Action<T>>) {
        let closing = self.phase == Phase::Closing && !self.has_work();
        if closing {
            self.restarts.clear();
        }
        // Asked after every reply, and nearly always all of them are wanted.
        if !closing && self.workers.len() <= self.target {
            return;
        }
        let mut surplus = if closing { usize::MAX } else { self.living().saturating_sub(self.target) };
        if surplus == 0 {
            return;
        }
        for (id, worker) in self.workers.iter_mut().rev() {
            if surplus == 0 {
                break;
            }
            let action = match worker.stage {
                Stage::Starting => Action::Kill { worker: *id },
                Stage::Ready if worker.calls.is_empty() => Action::Stop { worker: *id },
                Stage::Ready | Stage::Ending => continue,
            };
            worker.stage = Stage::Ending;
            self.alarms.clear(&mut worker.alarm);
            worker.condition = Condition::Fine;
            self.idle.retain(|idle| idle != id);
            surplus = surplus.saturating_sub(1);
            out.push(action);
        }
    }
}
