//! What a pool loads before its workers start: once where it can be shared, and what follows when it cannot be loaded.

mod support;

use std::any::type_name;

use multiprocess::{Error, Kind, OnError, Pool, ProcessPool, StartMethod, dummy, worker};
use support::start_method::is_on_forkserver;
use support::tally::{Tally, mark};
use support::values::Unencodable;
use support::{end, on_both, on_processes};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";

/// No serde could write it.
struct Table(Vec<u64>);

fn load(rows: u64) -> Table {
    Table((0..rows).map(|row| row * 3).collect())
}

fn look_up(row: usize) -> Option<u64> {
    worker::preloaded::<Table>().map(|table| table.0[row])
}

/// Loads nothing, and is counted.
fn count(key: String) {
    mark(&key, 1);
}

fn fail(text: String) -> Result<Table, String> {
    Err(text)
}

fn are_shared<K: Kind>() -> bool {
    is_on_forkserver() || type_name::<K>() == type_name::<dummy::Threads>()
}

// C245
async fn every_task_finds_what_was_preloaded<K: Kind>() {
    let pool = Pool::<K>::builder().workers(3).preload(load, (1_000,)).build().expect("the pool starts");
    let found = pool.map(look_up, 0..1_000).chunksize(7).await.expect(RUNS);
    assert!(found.into_iter().eq((0..1_000).map(|row| Some(row * 3))));
    end(pool).await;
}

// C245
async fn a_preload_runs_once_wherever_it_can_be_shared<K: Kind>() {
    let tally = Tally::new();
    let builder = Pool::<K>::builder().workers(3).max_tasks_per_child(5).preload(count, (tally.key(),));
    let pool = builder.build().expect("the pool starts");
    pool.ready().await.expect("they start");
    assert_eq!(tally.count(), if are_shared::<K>() { 1 } else { 3 });
    pool.map(|n: u32| n, 0..40).chunksize(1).await.expect(RUNS);
    assert_eq!(are_shared::<K>(), tally.count() == 1, "others have taken their places");
    end(pool).await;
}

// C245
async fn a_preload_that_fails_breaks_the_pool<K: Kind>() {
    let builder = Pool::<K>::builder().workers(2).try_preload(fail, ("no table".to_owned(),));
    let pool = builder.build().expect("the pool starts");
    let failed = pool.apply(look_up, (1,)).await.expect_err("there is no table");
    assert!(matches!(&failed, Error::Preload { cause } if cause == "no table"), "{failed:?}");
    end(pool).await;
}

// C245
async fn a_preload_that_panics_breaks_the_pool<K: Kind>() {
    let panics = || -> Table { panic!("out of tables") };
    let pool = Pool::<K>::builder().workers(1).preload(panics, ()).build().expect("the pool starts");
    let failed = pool.apply(look_up, (1,)).await.expect_err("there is no table");
    assert!(matches!(&failed, Error::Preload { cause } if cause.contains("out of tables")), "{failed:?}");
    end(pool).await;
}

// C245
async fn a_preload_that_may_fail_is_not_there<K: Kind>() {
    let builder = Pool::<K>::builder().workers(2).try_preload(fail, ("no table".to_owned(),));
    let pool = builder.preload_on_error(OnError::Ignore).build().expect("the pool starts");
    assert_eq!(pool.apply(look_up, (1,)).await.expect(RUNS), None);
    end(pool).await;
}

async fn a_preload_of_another_type_is_not_found<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).preload(|| 7_u8, ()).build().expect("the pool starts");
    let found =
        pool.apply(|| (worker::preloaded::<u16>().is_some(), worker::preloaded::<u8>().map(|n| *n)), ());
    assert_eq!(found.await.expect(RUNS), (false, Some(7)));
    end(pool).await;
}

async fn without_a_preload_nothing_is_found<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).build().expect("the pool starts");
    assert_eq!(pool.apply(look_up, (1,)).await.expect(RUNS), None);
    assert!(worker::preloaded::<Table>().is_none(), "this is no worker");
    end(pool).await;
}

async fn a_preload_and_an_initializer_do_not_disturb_each_other<K: Kind>() {
    let builder = Pool::<K>::builder().workers(1).preload(load, (10,)).initializer(|n: u64| n, (5,));
    let pool = builder.build().expect("the pool starts");
    let both = || (look_up(3), worker::state::<u64>().map(|n| *n));
    assert_eq!(pool.apply(both, ()).await.expect(RUNS), (Some(9), Some(5)));
    end(pool).await;
}

on_both!(
    every_task_finds_what_was_preloaded,
    a_preload_runs_once_wherever_it_can_be_shared,
    a_preload_that_fails_breaks_the_pool,
    a_preload_that_panics_breaks_the_pool,
    a_preload_that_may_fail_is_not_there,
    a_preload_of_another_type_is_not_found,
    without_a_preload_nothing_is_found,
    a_preload_and_an_initializer_do_not_disturb_each_other,
);

async fn an_initializer_of_a_process_finds_what_was_preloaded() {
    let builder = ProcessPool::builder().workers(1).preload(load, (10,)).initializer(look_up, (2,));
    let pool = builder.build().expect("the pool starts");
    let found = pool.apply(|| worker::state::<Option<u64>>().map(|found| *found), ()).await;
    assert_eq!(found.expect(RUNS), Some(Some(6)));
    end(pool).await;
}

/// More than a pipe takes.
async fn large_arguments_of_a_preload_arrive() {
    let rows: Vec<u64> = (0..500_000).collect();
    for method in [StartMethod::Spawn, StartMethod::Forkserver] {
        let builder = ProcessPool::builder().workers(1).start_method(method);
        let pool = builder.preload(|rows: Vec<u64>| Table(rows), (rows.clone(),)).build();
        let pool = pool.expect("the pool starts");
        assert_eq!(pool.apply(look_up, (499_999,)).await.expect(RUNS), Some(499_999), "{method}");
        end(pool).await;
    }
}

on_processes!(an_initializer_of_a_process_finds_what_was_preloaded, large_arguments_of_a_preload_arrive);

#[test]
fn a_preload_that_returns_a_result_is_told_which_method_is_for_it() {
    let built = ProcessPool::builder().preload(fail, (String::new(),)).build();
    let refused = built.map(drop).expect_err("nobody would look at its error");
    assert!(matches!(&refused, Error::Option { option: "preload", why } if why.contains("try_preload")));
}

#[test]
fn arguments_of_a_preload_that_cannot_be_encoded_are_refused() {
    let built = ProcessPool::builder().preload(|_: Unencodable| (), (Unencodable,)).build();
    let refused = built.map(drop).expect_err("they cannot be sent");
    assert!(matches!(&refused, Error::Encode { task, .. } if task == "preload"), "{refused:?}");
}
