//! Locks, semaphores, events, conditions and barriers between processes. `.ci/stress` does the same much more often.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use multiprocess::{Acquired, Barrier, Condition, Error, Event, Lock, OwnerDied, Process, RLock, Semaphore};

use super::support::executor::block_on;
use super::{children, threads};

super::cases!(
    another_process_sees_who_holds_a_lock,
    two_processes_hold_a_lock_in_turns,
    two_processes_hold_an_rlock_in_turns,
    two_processes_hold_the_one_permit_in_turns,
    futures_and_threads_of_processes_hold_a_lock_in_turns,
    an_rlock_belongs_to_its_process,
    what_one_process_releases_another_acquires,
    an_event_frees_processes,
    two_processes_set_each_other_free,
    one_sleeper_wakes_for_each_notification,
    all_sleepers_of_processes_wake,
    a_process_waits_until_something_holds,
    five_processes_pass_a_thousand_times_in_step,
    one_process_runs_the_action_of_each_round,
    a_signal_does_not_end_a_wait,
    a_copy_of_a_guard_releases_nothing,
    a_killed_holder_leaves_its_lock_to_whoever_waits,
    what_nobody_has_put_right_stays_so,
    a_killed_holder_leaves_its_rlock_to_whoever_waits,
    a_killed_holder_leaves_its_permit_to_whoever_waits,
    a_spent_permit_does_not_come_back,
    a_killed_holder_of_a_condition_wakes_whoever_sleeps,
    a_killed_sleeper_takes_no_notification,
    a_killed_party_breaks_the_barrier,
    whoever_is_killed_at_any_moment_leaves_the_others_working,
);

/// What the tests expect of what has no reason to fail.
pub(crate) const RUNS: &str = "it has no reason to fail";

/// How often a test does what it does often. `.ci/stress` sets it.
pub(crate) const ROUNDS: &str = "MULTIPROCESS_TEST_FORK_ROUNDS";

pub(crate) fn rounds(unless_set: u32) -> u32 {
    std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(unless_set)
}

pub(crate) fn fork<R: multiprocess::Payload>(act: impl FnOnce() -> R) -> Process<R> {
    Process::fork(act).expect("there is one thread")
}

/// Forks a process that does something and then stays, and waits until it has done it.
fn fork_and_stay(act: impl FnOnce()) -> Process<()> {
    let done = Event::new().expect(RUNS);
    let process = fork(|| {
        act();
        done.set();
        loop {
            std::thread::park();
        }
    });
    done.blocking_wait();
    process
}

pub(crate) fn kill(process: &Process<()>) {
    process.kill().expect("it runs");
    assert!(process.blocking_join().is_err());
}

/// A number in a file, which is read and written one after the other, so that it shows if two do it at once.
struct Number(File);

impl Number {
    fn new() -> Self {
        let path = crate::support::scratch("number");
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        std::fs::remove_file(&path).expect("it is there");
        let number = Self(file.expect("a file can be made"));
        number.set(0);
        number
    }

    fn get(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 0).expect("it was written");
        u64::from_ne_bytes(bytes)
    }

    fn set(&self, number: u64) {
        self.0.write_all_at(&number.to_ne_bytes(), 0).expect("there is room");
    }

    fn add_one(&self) {
        self.set(self.get() + 1);
    }
}

/// Two processes add to a number, each time by what `within` does around it.
fn count_beside_each_other(within: impl Fn(&dyn Fn())) {
    let (number, rounds) = (Number::new(), rounds(20_000));
    let count = || (0..rounds).for_each(|_| within(&|| number.add_one()));
    let other = fork(count);
    count();
    other.blocking_join().expect(RUNS);
    assert_eq!(number.get(), u64::from(rounds) * 2);
    assert_eq!((threads().len(), children()), (1, 0));
}

// C081
fn another_process_sees_who_holds_a_lock() {
    let lock = Lock::new().expect(RUNS);
    let guard = lock.blocking_acquire().expect(RUNS);
    assert!(fork(|| lock.locked()).blocking_join().expect(RUNS));
    drop(guard);
    assert!(!fork(|| lock.locked()).blocking_join().expect(RUNS));
}

// C080, fault 89
fn two_processes_hold_a_lock_in_turns() {
    let lock = Lock::new().expect(RUNS);
    count_beside_each_other(|act| {
        let _guard = lock.blocking_acquire().expect(RUNS);
        act();
    });
}

// C082, fault 89
fn two_processes_hold_an_rlock_in_turns() {
    let lock = RLock::new().expect(RUNS);
    count_beside_each_other(|act| {
        let _outer = lock.blocking_acquire().expect(RUNS);
        let _inner = lock.blocking_acquire().expect(RUNS);
        act();
    });
}

// C084, fault 89
fn two_processes_hold_the_one_permit_in_turns() {
    let semaphore = Semaphore::new(1).expect(RUNS);
    count_beside_each_other(|act| {
        let _permit = semaphore.blocking_acquire().expect(RUNS);
        act();
    });
}

// fault 89
fn futures_and_threads_of_processes_hold_a_lock_in_turns() {
    let (lock, number) = (Lock::new().expect(RUNS), Number::new());
    let rounds = rounds(20_000) / 10;
    let future = fork(|| {
        block_on(async {
            for _ in 0..rounds {
                let _guard = lock.acquire().await.expect(RUNS);
                number.add_one();
            }
        });
    });
    for _ in 0..rounds {
        let _guard = lock.blocking_acquire().expect(RUNS);
        number.add_one();
    }
    future.blocking_join().expect(RUNS);
    assert_eq!(number.get(), u64::from(rounds) * 2);
}

// C082
fn an_rlock_belongs_to_its_process() {
    let lock = RLock::new().expect(RUNS);
    let _guard = lock.blocking_acquire().expect(RUNS);
    let other = fork(|| (lock.try_acquire().is_none(), matches!(lock.release(), Err(Error::NotOwner))));
    assert_eq!(other.blocking_join().expect(RUNS), (true, true));
}

// C084
fn what_one_process_releases_another_acquires() {
    let (there, back) = (Semaphore::new(0).expect(RUNS), Semaphore::new(0).expect(RUNS));
    let rounds = rounds(5_000);
    let other = fork(|| {
        for _ in 0..rounds {
            there.blocking_acquire().expect(RUNS).forget();
            back.release().expect(RUNS);
        }
    });
    for _ in 0..rounds {
        there.release().expect(RUNS);
        back.blocking_acquire().expect(RUNS).forget();
    }
    other.blocking_join().expect(RUNS);
    assert_eq!((there.value(), back.value()), (0, 0));
}

// C094
fn an_event_frees_processes() {
    let event = Event::new().expect(RUNS);
    assert!(!event.blocking_wait_timeout(Duration::ZERO));
    let waits: Vec<_> = (0..3).map(|_| fork(|| event.blocking_wait())).collect();
    let sets = fork(|| event.set());
    event.blocking_wait();
    for process in waits.iter().chain([&sets]) {
        process.blocking_join().expect(RUNS);
    }
    assert!(event.is_set());
}

// C094, fault 89
fn two_processes_set_each_other_free() {
    let (there, back) = (Event::new().expect(RUNS), Event::new().expect(RUNS));
    let rounds = rounds(5_000);
    let other = fork(|| {
        for _ in 0..rounds {
            there.blocking_wait();
            there.clear();
            back.set();
        }
    });
    for _ in 0..rounds {
        there.set();
        back.blocking_wait();
        back.clear();
    }
    other.blocking_join().expect(RUNS);
}

/// A process in which a thread and the main one wait for the condition, and then say so.
fn two_sleepers(condition: &Condition, awake: &Semaphore) -> Process<()> {
    fork(|| {
        let sleep = || {
            drop(condition.blocking_acquire().expect(RUNS).blocking_wait().expect(RUNS));
            awake.release().expect(RUNS);
        };
        std::thread::scope(|scope| {
            scope.spawn(sleep);
            sleep();
        });
    })
}

pub(crate) fn wait_until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}

// C087
fn one_sleeper_wakes_for_each_notification() {
    let (condition, awake) = (Condition::new().expect(RUNS), Semaphore::new(0).expect(RUNS));
    let processes = [two_sleepers(&condition, &awake), two_sleepers(&condition, &awake)];
    wait_until(|| condition.waiting() == 4);
    for left in (0..4).rev() {
        condition.notify();
        awake.blocking_acquire().expect(RUNS).forget();
        assert_eq!((condition.waiting(), awake.value()), (left, 0));
    }
    for process in processes {
        process.blocking_join().expect(RUNS);
    }
}

// C088
fn all_sleepers_of_processes_wake() {
    let (condition, awake) = (Condition::new().expect(RUNS), Semaphore::new(0).expect(RUNS));
    let processes = [two_sleepers(&condition, &awake), two_sleepers(&condition, &awake)];
    wait_until(|| condition.waiting() == 4);
    condition.notify_all();
    for process in processes {
        process.blocking_join().expect(RUNS);
    }
    assert_eq!((condition.waiting(), awake.value()), (0, 4));
}

// C091, fault 89
fn a_process_waits_until_something_holds() {
    let (condition, number) = (Condition::new().expect(RUNS), Number::new());
    let rounds = u64::from(rounds(2_000));
    // Each of the two waits for the other one's turn to be over.
    let take_turns = |own: u64| {
        let mut guard = condition.blocking_acquire().expect(RUNS);
        for _ in 0..rounds {
            guard = guard.blocking_wait_for(|| number.get() % 2 == own).expect(RUNS);
            number.add_one();
            condition.notify();
        }
    };
    let other = fork(|| take_turns(1));
    take_turns(0);
    other.blocking_join().expect(RUNS);
    assert_eq!(number.get(), rounds * 2);
}

// C095, C096, C104
fn five_processes_pass_a_thousand_times_in_step() {
    let barrier = Barrier::new(5).expect(RUNS);
    let (numbers, rounds): (Vec<_>, _) = ((0..5).map(|_| Number::new()).collect(), u64::from(rounds(1_000)));
    let pass = |own: usize| {
        for round in 1..=rounds {
            numbers[own].set(round);
            barrier.blocking_wait().expect("nobody breaks it");
            let in_step = |number: &Number| number.get() == round || number.get() == round + 1;
            assert!(numbers.iter().all(in_step), "round {round}");
        }
    };
    let others: Vec<_> = (1..5).map(|own| fork(move || pass(own))).collect();
    pass(0);
    for other in others {
        other.blocking_join().expect(RUNS);
    }
}

// C097, C098
fn one_process_runs_the_action_of_each_round() {
    let runs = Semaphore::new(0).expect(RUNS);
    let counts = runs.clone();
    let barrier = Barrier::new(3).expect(RUNS).action(move || counts.release().expect(RUNS));
    let pass = || {
        let numbers = (0..100).map(|_| barrier.blocking_wait().expect("nobody breaks it"));
        numbers.collect::<Vec<_>>()
    };
    let others = [fork(pass), fork(pass)];
    let mut all = vec![pass()];
    all.extend(others.iter().map(|other| other.blocking_join().expect(RUNS)));
    for round in 0..100 {
        let mut numbers: Vec<_> = all.iter().map(|numbers| numbers[round]).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2]);
    }
    assert_eq!(runs.value(), 100);
}

// C093
fn a_signal_does_not_end_a_wait() {
    extern "C" fn ignore(_signal: i32) {}
    let (event, begun) = (Event::new().expect(RUNS), Event::new().expect(RUNS));
    let waits = fork(|| {
        super::support::foreign::on_signal(super::support::foreign::SIGTERM, ignore);
        begun.set();
        event.blocking_wait();
        event.is_set()
    });
    begun.blocking_wait();
    for _ in 0..20 {
        waits.terminate().expect("it runs");
    }
    assert!(waits.is_alive());
    event.set();
    assert!(waits.blocking_join().expect(RUNS));
}

fn a_copy_of_a_guard_releases_nothing() {
    let (lock, semaphore) = (Lock::new().expect(RUNS), Semaphore::new(1).expect(RUNS));
    let rlock = RLock::new().expect(RUNS);
    let guards = (
        lock.blocking_acquire().expect(RUNS),
        semaphore.blocking_acquire().expect(RUNS),
        rlock.blocking_acquire().expect(RUNS),
    );
    let mut guards = Some(guards);
    fork(|| drop(guards.take())).blocking_join().expect(RUNS);
    assert!(lock.locked() && rlock.locked());
    assert_eq!(semaphore.value(), 0);
    drop(guards);
    assert!(!lock.locked() && !rlock.locked());
    assert_eq!(semaphore.value(), 1);
}

fn died<G>(acquired: Acquired<G>) -> OwnerDied<G> {
    acquired.err().expect("its holder was killed")
}

// C105, fault 87
fn a_killed_holder_leaves_its_lock_to_whoever_waits() {
    let lock = Lock::new().expect(RUNS);
    let holder = fork_and_stay(|| lock.blocking_acquire().expect(RUNS).forget());
    let waits = fork(|| {
        let guard = lock.blocking_acquire();
        let had_died = guard.is_err();
        drop(guard.unwrap_or_else(OwnerDied::into_inner));
        had_died
    });
    kill(&holder);
    assert!(waits.blocking_join().expect(RUNS));
    assert!(lock.try_acquire().expect("it is free").is_ok(), "that one has put it right");
}

// C105, fault 87
fn what_nobody_has_put_right_stays_so() {
    let lock = Lock::new().expect(RUNS);
    kill(&fork_and_stay(|| lock.blocking_acquire().expect(RUNS).forget()));
    assert!(lock.locked(), "nobody has looked");
    drop(died(lock.try_acquire().expect("its holder is dead")));
    assert!(!lock.locked());
    let again = died(lock.blocking_acquire());
    assert!(lock.locked());
    drop(again.into_inner());
    assert!(lock.blocking_acquire().is_ok());
}

// C105, fault 87
fn a_killed_holder_leaves_its_rlock_to_whoever_waits() {
    let lock = RLock::new().expect(RUNS);
    kill(&fork_and_stay(|| (0..3).for_each(|_| lock.blocking_acquire().expect(RUNS).forget())));
    let guard = died(lock.blocking_acquire()).into_inner();
    assert!(lock.try_acquire().is_some(), "it is ours");
    drop(guard);
    assert!(!lock.locked());
}

// C105, fault 87
fn a_killed_holder_leaves_its_permit_to_whoever_waits() {
    let semaphore = Semaphore::new(2).expect(RUNS);
    let held = semaphore.blocking_acquire().expect(RUNS);
    let holder = fork_and_stay(|| std::mem::forget(semaphore.blocking_acquire()));
    let waits = fork(|| semaphore.blocking_acquire().is_err());
    kill(&holder);
    assert!(waits.blocking_join().expect(RUNS));
    // That one has put nothing right.
    drop(died(semaphore.blocking_acquire()).into_inner());
    drop(held);
    assert_eq!(semaphore.value(), 2);
}

fn a_spent_permit_does_not_come_back() {
    let semaphore = Semaphore::new(1).expect(RUNS);
    kill(&fork_and_stay(|| semaphore.blocking_acquire().expect(RUNS).forget()));
    assert!(semaphore.try_acquire().is_none());
}

// C105, fault 87
fn a_killed_holder_of_a_condition_wakes_whoever_sleeps() {
    let condition = Condition::new().expect(RUNS);
    let sleeps = fork(|| condition.blocking_acquire().expect(RUNS).blocking_wait().is_err());
    wait_until(|| condition.waiting() == 1);
    kill(&fork_and_stay(|| std::mem::forget(condition.blocking_acquire().expect(RUNS))));
    assert!(sleeps.blocking_join().expect(RUNS));
}

// C088, C105
fn a_killed_sleeper_takes_no_notification() {
    let condition = Condition::new().expect(RUNS);
    let sleep = || drop(condition.blocking_acquire().expect(RUNS).blocking_wait().expect(RUNS));
    let first = fork(sleep);
    wait_until(|| condition.waiting() == 1);
    let second = fork(sleep);
    wait_until(|| condition.waiting() == 2);
    kill(&first);
    condition.notify();
    second.blocking_join().expect(RUNS);
}

// C099, C105
fn a_killed_party_breaks_the_barrier() {
    let barrier = Barrier::new(3).expect(RUNS);
    let first = fork(|| drop(barrier.blocking_wait()));
    wait_until(|| barrier.n_waiting() == 1);
    let second = fork(|| matches!(barrier.blocking_wait(), Err(Error::BrokenBarrier)));
    kill(&first);
    assert!(second.blocking_join().expect(RUNS));
    barrier.reset();
    assert_eq!((barrier.broken(), barrier.n_waiting()), (false, 0));
}

/// One of each, of which processes do what they can until they are killed.
struct Everything {
    lock: Lock,
    rlock: RLock,
    semaphore: Semaphore,
    event: Event,
    condition: Condition,
    barrier: Barrier,
}

/// So long that nobody waits for the end of it.
const SHORTLY: Duration = Duration::from_micros(200);

impl Everything {
    fn new() -> Self {
        Self {
            lock: Lock::new().expect(RUNS),
            rlock: RLock::new().expect(RUNS),
            semaphore: Semaphore::new(2).expect(RUNS),
            event: Event::new().expect(RUNS),
            condition: Condition::new().expect(RUNS),
            barrier: Barrier::new(2).expect(RUNS),
        }
    }

    /// Each once. What a dead one has held is put right.
    fn use_all(&self) {
        drop(self.lock.blocking_acquire().unwrap_or_else(OwnerDied::into_inner));
        drop(self.rlock.blocking_acquire().unwrap_or_else(OwnerDied::into_inner));
        drop(self.semaphore.blocking_acquire().unwrap_or_else(OwnerDied::into_inner));
        self.event.set();
        self.event.clear();
        let guard = self.condition.blocking_acquire().unwrap_or_else(OwnerDied::into_inner);
        self.condition.notify();
        drop(
            guard.blocking_wait_timeout(SHORTLY).map_or_else(|died| died.into_inner().0, |(guard, _)| guard),
        );
        if self.barrier.blocking_wait_timeout(SHORTLY).is_err() {
            self.barrier.reset();
        }
    }
}

/// A sequence without a pattern, the same in each run.
pub(crate) fn scatter(number: u32) -> u32 {
    number.wrapping_mul(2_654_435_761) >> 20
}

// C105, faults 87, 91
fn whoever_is_killed_at_any_moment_leaves_the_others_working() {
    let (all, stop) = (Everything::new(), Event::new().expect(RUNS));
    let survivor = fork(|| {
        let mut times = 0_u64;
        while !stop.is_set() {
            all.use_all();
            times += 1;
        }
        times
    });
    for round in 0..rounds(300) {
        let begun = Event::new().expect(RUNS);
        let victim: Process<()> = fork(|| {
            begun.set();
            loop {
                all.use_all();
            }
        });
        begun.blocking_wait();
        let end = Instant::now() + Duration::from_micros(scatter(round).into());
        wait_until(|| Instant::now() > end);
        kill(&victim);
    }
    stop.set();
    assert!(survivor.blocking_join().expect("it does not wait for ever") > 0);
    all.use_all();
    let permits = [(); 2].map(|()| all.semaphore.blocking_acquire().unwrap_or_else(OwnerDied::into_inner));
    assert!(all.semaphore.try_acquire().is_none(), "no permit has come from nowhere");
    drop(permits);
    assert_eq!((all.semaphore.value(), all.condition.waiting(), children()), (2, 0, 0));
}
