//! What the tests share: both kinds of pool, a deadline for everything, gates that hold a task until the test lets
//! it go, tallies that count executions across processes, and a census of what a test leaves behind.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    clippy::needless_pass_by_value,
    reason = "each test file uses a part of this"
)]

pub mod alone;
pub mod census;
pub mod evil;
pub mod foreign;
pub mod gate;
pub mod odd;
pub mod tally;

use std::time::Duration;

/// A test that takes longer hangs.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// Runs a test on a runtime of its own, under the deadline.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let outcome = runtime.block_on(async { tokio::time::timeout(DEADLINE, test).await });
    assert!(outcome.is_ok(), "the test hangs");
}

/// Makes each generic `async fn name<K: Kind>()` two tests: on processes and on threads.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        $(
            mod $name {
                #[test]
                fn on_processes() {
                    crate::support::run(super::$name::<multiprocess::Processes>());
                }

                #[test]
                fn on_threads() {
                    crate::support::run(super::$name::<multiprocess::dummy::Threads>());
                }
            }
        )*
    };
}
pub(crate) use on_both;
