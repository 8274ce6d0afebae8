//! Events that are made of the bytes of a fuzzer.

use std::time::Duration;

use super::events::{Event, run};
use crate::dispatch::terms::{Rules, Terms};

pub(crate) fn run_ledger(bytes: &[u8]) {
    let mut bytes = Source(bytes);
    let (workers, rules) = (1 + bytes.below(4), bytes.rules());
    run(workers, rules, std::iter::from_fn(|| bytes.event()));
}

/// What is left of the bytes. Behind their end stand zeros.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    fn below(&mut self, end: u8) -> usize {
        usize::from(self.byte() % end)
    }

    fn time(&mut self) -> Duration {
        Duration::from_millis(self.byte().into())
    }

    /// A number that is not 0, or none.
    fn limit(&mut self) -> Option<u8> {
        Some(self.byte() / 2).filter(|limit| *limit > 0)
    }

    fn rules(&mut self) -> Rules {
        let max_tasks = self.limit().map(u32::from);
        let min_workers = self.limit().map(|workers| usize::from(workers % 3));
        let idle_timeout = self.limit().map(|limit| Duration::from_millis((limit - 1).into()));
        Rules {
            max_tasks,
            min_workers: min_workers.or(idle_timeout.map(|_| 0)),
            idle_timeout,
            grace: self.time(),
            heartbeat: Some(Duration::from_millis(400)),
            cores: 1 + self.below(3),
        }
    }

    fn terms(&mut self) -> Terms {
        let which = self.byte();
        // None of 0, which is refused before it comes here.
        let timeout = (which & 1 == 1).then(|| self.time() + Duration::from_millis(1));
        let queue_timeout = (which & 2 == 2).then(|| self.time());
        Terms { timeout, queue_timeout, retries: u32::from(which >> 2 & 3), kill_on_drop: which & 16 == 16 }
    }

    fn event(&mut self) -> Option<Event> {
        if self.0.is_empty() {
            return None;
        }
        let (kind, byte) = (self.byte(), self.byte());
        let which = usize::from(byte);
        // What is likely by chance has several numbers here.
        Some(match kind % 32 {
            0..6 => Event::Submit {
                lane: u64::from(byte % 3),
                elements: u32::from(byte) / 3 % 5 + 1,
                terms: self.terms(),
            },
            6..9 => Event::Ready(which),
            9..13 => Event::Begin(which),
            13..16 => Event::Reply(which),
            16 => Event::Outgrow(which),
            17..21 => Event::Finish(which),
            21 => Event::Lose(which),
            22 => Event::LoseKilled(which),
            23 => Event::FailStart(which),
            24 => Event::Silence(which),
            25 => Event::Cancel(which),
            26 => Event::Resize(which % 4 + 1),
            27 | 28 => Event::Pass(Duration::from_millis(byte.into())),
            29 => Event::Pass(Duration::from_secs(6)),
            30 => Event::CancelPending,
            _ if which == 0 => Event::Terminate,
            _ => Event::Close,
        })
    }
}
