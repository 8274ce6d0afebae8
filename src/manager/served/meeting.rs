//! What stands behind a barrier.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::super::exposed::Exposed;
use super::fault::{Fault, within};

#[derive(Debug)]
pub(crate) struct Meeting {
    parties: u64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    arrived: u64,
    /// Rounds that have come to an end, by all being there or by a reset.
    rounds: u64,
    /// The last round that was broken off by a reset, counted from 1.
    reset: u64,
    broken: bool,
}

/// Somebody who waits. Whoever leaves before the others are there breaks the barrier.
struct Party<'m> {
    meeting: &'m Meeting,
    round: u64,
    through: bool,
}

pub(super) fn expose(meeting: Exposed<Meeting>) -> Exposed<Meeting> {
    meeting
        .create(Meeting::new)
        .method("wait", Meeting::wait)
        .method("abort", Meeting::abort)
        .method("reset", Meeting::reset)
        .method("broken", Meeting::broken)
        .method("n_waiting", Meeting::n_waiting)
        .method("parties", Meeting::parties)
}

impl Meeting {
    fn new(parties: u64) -> Self {
        Self { parties, state: Mutex::default(), changed: Notify::new() }
    }

    /// Its number among those that have come, from 0.
    async fn wait(&self, limit: Option<Duration>) -> Result<u64, Fault> {
        let (place, round) = {
            let mut state = self.state();
            if state.broken {
                return Err(Fault::BrokenBarrier);
            }
            state.arrived += 1;
            (state.arrived - 1, state.rounds)
        };
        let mut party = Party { meeting: self, round, through: false };
        if place + 1 == self.parties {
            self.next_round();
        }
        let met = within(limit, self.met(round)).await.unwrap_or(Err(Fault::BrokenBarrier));
        party.through = met.is_ok();
        met.map(|()| place)
    }

    async fn met(&self, round: u64) -> Result<(), Fault> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.state();
                if state.rounds > round {
                    let was_reset = state.reset == round + 1;
                    return if was_reset { Err(Fault::BrokenBarrier) } else { Ok(()) };
                }
                if state.broken {
                    return Err(Fault::BrokenBarrier);
                }
            }
            changed.await;
        }
    }

    fn next_round(&self) {
        let mut state = self.state();
        state.rounds += 1;
        state.arrived = 0;
        drop(state);
        self.changed.notify_waiters();
    }

    fn abort(&self) {
        self.state().broken = true;
        self.changed.notify_waiters();
    }

    fn reset(&self) {
        let mut state = self.state();
        if state.arrived > 0 {
            state.rounds += 1;
            state.reset = state.rounds;
            state.arrived = 0;
        }
        state.broken = false;
        drop(state);
        self.changed.notify_waiters();
    }

    fn broken(&self) -> bool {
        self.state().broken
    }

    fn n_waiting(&self) -> u64 {
        let state = self.state();
        if state.broken { 0 } else { state.arrived }
    }

    fn parties(&self) -> u64 {
        self.parties
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Party<'_> {
    fn drop(&mut self) {
        let mut state = self.meeting.state();
        if !self.through && state.rounds == self.round {
            state.broken = true;
            drop(state);
            self.meeting.changed.notify_waiters();
        }
    }
}
