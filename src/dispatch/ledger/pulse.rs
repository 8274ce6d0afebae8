//! Signs of life: a worker that has work is asked for one now and then, and ended if it gives none.
//!
//! A worker that was stopped or frozen dies no death that anybody would hear of. It is not alive either if it answers,
//! but neither starts what it was sent nor takes it in, or stops in the middle of a frame.

use std::time::{Duration, Instant};

use super::{Action, Boards, Killed, Ledger, Worker};
use crate::backend::{Vitals, WorkerId};
use crate::os::Start;
use crate::wire::CallHead;

/// Signs of life missed in a row that end a worker. The first question is asked one interval after it got work.
const MOST_MISSED: u32 = 3;

/// What is known of a worker's life.
#[derive(Debug, Default)]
pub(super) struct Life {
    asked: bool,
    missed: u32,
    moved: u64,
}

/// What a worker fails to do.
fn fault(vitals: &Vitals, life: &Life, starts: bool) -> Option<&'static str> {
    let moves = vitals.moved != life.moved;
    if life.asked && !vitals.answered {
        Some("gave no sign of life")
    } else if !starts && !moves {
        Some("did not start what it was sent")
    } else if vitals.mid_frame && !moves {
        Some("did not go on in the middle of a frame")
    } else {
        None
    }
}

impl<T: Clone> Ledger<T> {
    /// True if a pulse must be set: there is work under way.
    pub(in crate::dispatch) fn needs_pulse(&self) -> bool {
        self.pulse.is_none() && self.rules.heartbeat.is_some() && self.units.len() > self.waiting()
    }

    pub(in crate::dispatch) fn set_pulse(&mut self, now: Instant) {
        self.pulse = self.interval().and_then(|interval| now.checked_add(interval));
    }

    fn interval(&self) -> Option<Duration> {
        self.rules.heartbeat.map(|limit| limit / (MOST_MISSED + 1))
    }

    /// Looks at all workers that have something to do, if it is time.
    pub(super) fn take_pulse(&mut self, now: Instant, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        let Some((due, interval)) = self.pulse.filter(|due| *due <= now).zip(self.interval()) else { return };
        self.pulse = None;
        // Whoever was late ourselves has no right to complain: all of us may have stood still.
        let is_fair = now.duration_since(due) <= interval / 2;
        let busy =
            self.workers.iter().filter(|(_, worker)| !worker.calls.is_empty() && worker.killed.is_none());
        let busy: Vec<_> = busy.map(|(id, _)| *id).collect();
        let check = |id| Some((id, self.check(id, is_fair, boards, out)?));
        let at_fault: Vec<_> = busy.into_iter().filter_map(check).collect();
        // What is taken back from one must not be sent to another of them, which is asked for it before it has it.
        for (id, _) in &at_fault {
            self.dismiss(*id, out);
        }
        for (id, fault) in at_fault {
            self.accuse(id, fault, boards, out);
        }
    }

    /// Asks a worker for a sign of life; what it has failed to do, if that was once too often.
    fn check(
        &mut self,
        id: WorkerId,
        is_fair: bool,
        boards: &impl Boards,
        out: &mut Vec<Action<T>>,
    ) -> Option<&'static str> {
        let worker = self.workers.get_mut(&id)?;
        let vitals = boards.vitals(id);
        let starts = has_started(worker, |head| boards.progress(id, head));
        let life = &mut worker.life;
        let fault = fault(&vitals, life, starts);
        life.moved = vitals.moved;
        life.asked = true;
        match fault {
            None => life.missed = 0,
            Some(_) if !is_fair => {}
            Some(_) => life.missed += 1,
        }
        let at_fault = fault.filter(|_| life.missed >= MOST_MISSED);
        if at_fault.is_none() {
            out.push(Action::Ping { worker: id });
        }
        at_fault
    }

    fn accuse(&mut self, id: WorkerId, fault: &str, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        let why = format!("it {fault} within {:?}", self.rules.heartbeat.unwrap_or_default());
        out.push(Action::Accuse { worker: id, why });
        self.give_up(id, boards, out);
        self.kill(id, Killed::AtFault, out);
    }
}

/// The call that a worker was sent first of those it has is under way.
fn has_started(worker: &Worker, progress: impl FnOnce(CallHead) -> Start) -> bool {
    worker.calls.front().is_none_or(|sent| progress(sent.head) != Start::NotStarted)
}
