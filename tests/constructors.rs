//! What a program sets up before its `main` is there in its tasks too, although its workers never come to `main`.

#![expect(unsafe_code, reason = "a section of the linker's is what makes the loader call a function")]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};

use multiprocess::ProcessPool;
use support::run;

static ORDINARY: AtomicU32 = AtomicU32::new(0);
static EARLY: AtomicU32 = AtomicU32::new(0);
static LATE: AtomicU32 = AtomicU32::new(0);

extern "C" fn ordinary() {
    ORDINARY.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn early() {
    EARLY.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn late() {
    LATE.fetch_add(1, Ordering::Relaxed);
}

// As C++ statics are: where it stands, before or behind the crate's own, is up to the linker.
#[used]
// SAFETY: the section holds pointers to functions that the loader calls with more arguments than this one takes.
#[unsafe(link_section = ".init_array")]
static ORDINARY_ENTRY: extern "C" fn() = ordinary;

// Before all that have no number.
#[used]
// SAFETY: as above.
#[unsafe(link_section = ".init_array.00200")]
static EARLY_ENTRY: extern "C" fn() = early;

// Some linkers put this behind all that have no number, others before them.
#[used]
// SAFETY: as above.
#[unsafe(link_section = ".init_array.99999")]
static LATE_ENTRY: extern "C" fn() = late;

struct Plugin(&'static str);

inventory::collect!(Plugin);
inventory::submit!(Plugin("red"));
inventory::submit!(Plugin("green"));

fn plugins() -> Vec<String> {
    let mut names: Vec<_> = inventory::iter::<Plugin>.into_iter().map(|plugin| plugin.0.to_owned()).collect();
    names.sort_unstable();
    names
}

fn constructed() -> [u32; 3] {
    [&EARLY, &ORDINARY, &LATE].map(|counter| counter.load(Ordering::Relaxed))
}

#[test]
fn every_constructor_has_run_exactly_once_in_a_worker() {
    assert_eq!(constructed(), [1; 3], "they have here");
    run(async {
        let pool = ProcessPool::new(1).expect("the pool starts");
        assert_eq!(pool.apply(constructed, ()).await.expect("no task fails"), [1; 3]);
        pool.shutdown().await.expect("it ends");
    });
}

#[test]
fn items_of_an_inventory_are_there_in_a_task() {
    run(async {
        let pool = ProcessPool::new(1).expect("the pool starts");
        assert_eq!(pool.apply(plugins, ()).await.expect("no task fails"), ["green", "red"]);
        pool.shutdown().await.expect("it ends");
    });
}
