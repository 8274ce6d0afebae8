//! Whatever is asked of a pool, in whatever order: each answer is the one that a simple model allows, and every call is
//! settled.

mod support;

use multiprocess::dummy::Threads;
use multiprocess::{Error, Kind, Pool, Processes, Result, TaskHandle};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::run;

/// What a program may do with a pool and the calls it has made.
#[derive(Debug, Clone)]
enum Step {
    Apply(u32),
    TryApply(u32),
    Map(u32),
    Cancel(usize),
    Await(usize),
    Forget(usize),
    Resize(usize),
    Ready,
    Join,
    Close,
    Terminate,
    DropAClone,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..100_u32).prop_map(Step::Apply),
        2 => (0..100_u32).prop_map(Step::TryApply),
        2 => (0..50_u32).prop_map(Step::Map),
        1 => any::<prop::sample::Index>().prop_map(|which| Step::Cancel(which.index(100))),
        2 => any::<prop::sample::Index>().prop_map(|which| Step::Await(which.index(100))),
        1 => any::<prop::sample::Index>().prop_map(|which| Step::Forget(which.index(100))),
        2 => (0..4_usize).prop_map(Step::Resize),
        1 => Just(Step::Ready),
        1 => Just(Step::Join),
        1 => Just(Step::Close),
        1 => Just(Step::Terminate),
        1 => Just(Step::DropAClone),
    ]
}

/// What the pool takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closed,
    Terminated,
}

/// A call, and what may come of it.
enum Call {
    One(TaskHandle<u32>, Fate<u32>),
    Many(TaskHandle<Vec<u32>>, Fate<Vec<u32>>),
}

struct Fate<T> {
    value: T,
    /// The pool took no more calls when it was made.
    refused: bool,
    /// It was cancelled, and not too late.
    cancelled: bool,
}

impl<T: PartialEq + std::fmt::Debug> Fate<T> {
    fn check(&self, result: Result<T>, phase: Phase) {
        let allowed = match &result {
            Ok(value) => *value == self.value && !self.refused && !self.cancelled,
            Err(Error::Closed) => self.refused,
            Err(Error::Cancelled { .. }) => !self.refused && (self.cancelled || phase == Phase::Terminated),
            Err(_) => false,
        };
        assert!(
            allowed,
            "{result:?} while {phase:?}, refused: {}, cancelled: {}",
            self.refused, self.cancelled
        );
    }
}

impl Call {
    fn cancel(&mut self) {
        match self {
            Self::One(handle, fate) => fate.cancelled |= handle.cancel(),
            Self::Many(handle, fate) => fate.cancelled |= handle.cancel(),
        }
    }

    async fn settles(self, phase: Phase) {
        match self {
            Self::One(handle, fate) => fate.check(handle.await, phase),
            Self::Many(handle, fate) => fate.check(handle.await, phase),
        }
    }

    fn is_settled(&self) -> bool {
        match self {
            Self::One(handle, _) => handle.is_finished(),
            Self::Many(handle, _) => handle.is_finished(),
        }
    }
}

fn double(n: u32) -> u32 {
    n * 2
}

/// A pool, what has become of it, and the calls that nobody has awaited.
struct World<K: Kind> {
    pool: Pool<K>,
    phase: Phase,
    calls: Vec<Call>,
}

impl<K: Kind> World<K> {
    fn fate<T>(&self, value: T) -> Fate<T> {
        Fate { value, refused: self.phase != Phase::Open, cancelled: false }
    }

    fn take(&mut self, which: usize) -> Option<Call> {
        let count = self.calls.len();
        (count > 0).then(|| self.calls.swap_remove(which % count))
    }

    async fn does(&mut self, step: Step) {
        match step {
            Step::Apply(n) => {
                let handle = self.pool.apply_async(double, (n,));
                self.calls.push(Call::One(handle, self.fate(double(n))));
            }
            Step::TryApply(n) => match self.pool.try_apply(double, (n,)) {
                Ok(call) => self.calls.push(Call::One(call.start(), self.fate(double(n)))),
                Err(error) => self.is_refused(&error),
            },
            Step::Map(n) => {
                let handle = self.pool.map_async(double, 0..n);
                self.calls.push(Call::Many(handle, self.fate((0..n).map(double).collect())));
            }
            Step::Cancel(which) => {
                let count = self.calls.len();
                if count > 0 {
                    self.calls[which % count].cancel();
                }
            }
            Step::Await(which) => {
                if let Some(call) = self.take(which) {
                    call.settles(self.phase).await;
                }
            }
            Step::Forget(which) => drop(self.take(which)),
            other => self.changes(other).await,
        }
    }

    /// What is asked of the pool as a whole.
    async fn changes(&mut self, step: Step) {
        match step {
            Step::Resize(0) => {
                assert!(matches!(self.pool.resize(0), Err(Error::Option { option: "resize", .. })));
            }
            Step::Resize(workers) => match self.pool.resize(workers) {
                Ok(()) => assert_eq!(self.phase, Phase::Open),
                Err(error) => self.is_refused(&error),
            },
            Step::Ready => match self.pool.ready().await {
                Ok(()) => assert_eq!(self.phase, Phase::Open),
                Err(error) => self.is_refused(&error),
            },
            Step::Join => match (self.phase, self.pool.join().await) {
                (Phase::Open, Err(Error::NotClosed)) => {}
                (Phase::Closed | Phase::Terminated, Ok(())) => self.is_over(),
                (phase, other) => panic!("{other:?} while {phase:?}"),
            },
            Step::Close => {
                self.pool.close();
                self.phase = if self.phase == Phase::Open { Phase::Closed } else { self.phase };
            }
            Step::Terminate => {
                self.pool.terminate();
                self.phase = Phase::Terminated;
            }
            _ => drop(self.pool.clone()),
        }
    }

    fn is_refused(&self, error: &Error) {
        assert!(
            self.phase != Phase::Open && matches!(error, Error::Closed),
            "{error:?} while {:?}",
            self.phase
        );
    }

    /// Nothing of a pool that was joined is under way.
    fn is_over(&self) {
        assert!(self.pool.worker_pids().is_empty());
        assert_eq!((self.pool.stats().queued, self.pool.stats().running), (0, 0));
    }

    /// The last handle goes, and takes the pool along, unless it was closed and is waited for.
    async fn ends(mut self, in_peace: bool) {
        if in_peace {
            self.pool.shutdown().await.expect("a pool can always be shut down");
            self.is_over();
            // Those of a map are told by the task that drives it.
            let singles = |call: &&Call| matches!(call, Call::One(..));
            assert!(self.calls.iter().filter(singles).all(Call::is_settled));
        } else {
            self.phase = Phase::Terminated;
        }
        let Self { pool, phase, calls } = self;
        drop(pool);
        for call in calls {
            call.settles(phase).await;
        }
    }
}

fn every_sequence_is_answered<K: Kind>(cases: u32) {
    let sequences = (1..4_usize, prop::collection::vec(step(), 0..30), any::<bool>());
    // A call that is never settled takes its deadline each time, so that few other cases can be tried.
    let config = Config { cases, failure_persistence: None, max_shrink_time: 10_000, ..Config::default() };
    let ran = TestRunner::new(config).run(&sequences, |(workers, steps, in_peace)| {
        run(async {
            let pool = Pool::<K>::new(workers).expect("the pool starts");
            let mut world = World { pool, phase: Phase::Open, calls: Vec::new() };
            for step in steps {
                world.does(step).await;
            }
            world.ends(in_peace).await;
        });
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

// fault 81
#[test]
fn whatever_is_asked_of_a_pool_of_processes_every_call_is_settled() {
    every_sequence_is_answered::<Processes>(150);
}

// fault 81
#[test]
fn whatever_is_asked_of_a_pool_of_threads_every_call_is_settled() {
    every_sequence_is_answered::<Threads>(1_000);
}
