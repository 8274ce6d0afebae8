//! Who acts in this process: the task, or the thread where there is none.

use std::hash::{Hash as _, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that no other task or thread of this process has: that of tokio's task if this is in one, and that of the thread otherwise.
pub(crate) fn current() -> u64 {
    match tokio::task::try_id() {
        Some(id) => {
            let mut number = Number(0);
            id.hash(&mut number);
            number.0 << 1 | 1
        }
        None => thread() << 1,
    }
}

fn thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static OURS: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    OURS.with(|ours| *ours)
}

/// Takes the number of a task, which its `Id` shows to a hasher and to nobody else.
struct Number(u64);

impl Hasher for Number {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

#[cfg(all(test, not(models)))]
mod tests {
    use std::collections::HashSet;

    use super::current;

    #[test]
    fn every_task_and_every_thread_is_somebody_else_and_stays_the_same() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        let mut seen = HashSet::from([current()]);
        assert!(!seen.insert(current()), "this thread");
        seen.insert(std::thread::spawn(current).join().expect("it does not panic"));
        for _ in 0..2 {
            let task = async {
                let first = current();
                tokio::task::yield_now().await;
                assert_eq!(first, current());
                first
            };
            seen.insert(runtime.block_on(runtime.spawn(task)).expect("it does not panic"));
        }
        assert_eq!(seen.len(), 4);
    }
}
