//! Values and arrays that processes share: whoever has been sent one has the same one.

mod support;

use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use multiprocess::{
    Array, Client, Connection, Context, Error, Kind, Listener, Lock, Payload, Pool, Process, ProcessPool,
    RawArray, RawValue, StartMethod, Value, pipe,
};
use serde::{Deserialize, Serialize};
use support::census::Census;
use support::foreign::SIGKILL;
use support::{alone::alone, death, end, on_both, on_processes, pool, run};

/// What the tests expect of what has no reason to fail.
const RUNS: &str = "it has no reason to fail";

/// A type of a size that no instruction writes.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Body {
    at: [f64; 3],
    mass: f32,
    id: u32,
}

const EARTH: Body = Body { at: [1.0, 2.0, 3.0], mass: 5.5, id: 7 };

/// A task that doubles what it is sent, and the parent that sees it.
async fn doubled<K: Kind, T>(pool: &Pool<K>, value: T, twice: T)
where
    T: Pod + Send + Sync + PartialEq + std::fmt::Debug + std::ops::Add<Output = T>,
{
    let raw = RawValue::new(value).expect(RUNS);
    let double = |raw: RawValue<T>| raw.set(raw.get() + raw.get());
    pool.apply(double, (raw.clone(),)).await.expect(RUNS);
    assert_eq!(raw.get(), twice);
    let locked = Value::new(value).expect(RUNS);
    let double = |locked: Value<T>| {
        let mut guard = locked.blocking_lock().expect("nobody has died with it");
        *guard = *guard + *guard;
    };
    pool.apply(double, (locked.clone(),)).await.expect(RUNS);
    assert_eq!(*locked.lock().await.expect(RUNS), twice);
}

// C106
async fn a_task_writes_a_value_of_every_type<K: Kind>() {
    let pool = pool::<K>(1);
    doubled(&pool, 100_u8, 200).await;
    doubled(&pool, -50_i8, -100).await;
    doubled(&pool, 30_000_u16, 60_000).await;
    doubled(&pool, -2_i16, -4).await;
    doubled(&pool, u32::MAX / 2, u32::MAX - 1).await;
    doubled(&pool, -7_i32, -14).await;
    doubled(&pool, u64::MAX / 2, u64::MAX - 1).await;
    doubled(&pool, -1_i64, -2).await;
    doubled(&pool, 3_usize, 6).await;
    doubled(&pool, 1_u128 << 100, 1 << 101).await;
    doubled(&pool, 0.75_f32, 1.5).await;
    doubled(&pool, -2.5_f64, -5.0).await;
    end(pool).await;
}

// C110, C111
async fn structs_and_arrays_of_them_are_doubled_by_a_task<K: Kind>() {
    let pool = pool::<K>(1);
    let twice = |body: Body| Body { at: body.at.map(|x| 2.0 * x), mass: 2.0 * body.mass, ..body };
    let (raw, value) = (RawValue::new(EARTH).expect(RUNS), Value::new(EARTH).expect(RUNS));
    let (raws, array) = (RawArray::new(&[EARTH; 5]).expect(RUNS), Array::new(&[EARTH; 5]).expect(RUNS));
    let doubles = |raw: RawValue<Body>, value: Value<Body>, raws: RawArray<Body>, array: Array<Body>| {
        let double = |body: &mut Body| {
            body.at.iter_mut().for_each(|x| *x *= 2.0);
            body.mass *= 2.0;
        };
        let mut body = raw.get();
        double(&mut body);
        raw.set(body);
        double(&mut value.blocking_lock().expect(RUNS));
        for index in 0..raws.len() {
            let mut body = raws.get(index).expect(RUNS);
            double(&mut body);
            raws.set(index, body).expect(RUNS);
        }
        array.blocking_lock().expect(RUNS).iter_mut().for_each(double);
    };
    let calls = (raw.clone(), value.clone(), raws.clone(), array.clone());
    pool.apply(doubles, calls).await.expect(RUNS);
    assert_eq!((raw.get(), *value.lock().await.expect(RUNS)), (twice(EARTH), twice(EARTH)));
    assert_eq!(raws.to_vec(), [twice(EARTH); 5]);
    assert_eq!(*array.lock().await.expect(RUNS), [twice(EARTH); 5]);
    end(pool).await;
}

// C108
async fn a_task_sums_up_an_array_in_place<K: Kind>() {
    let pool = pool::<K>(1);
    let numbers: Vec<i32> = (1..=10).collect();
    let (raw, array) = (RawArray::new(&numbers).expect(RUNS), Array::new(&numbers).expect(RUNS));
    let sums = |raw: RawArray<i32>, array: Array<i32>| {
        for index in 1..raw.len() {
            raw.set(index, raw.get(index).expect(RUNS) + raw.get(index - 1).expect(RUNS)).expect(RUNS);
        }
        let mut guard = array.blocking_lock().expect(RUNS);
        (1..guard.len()).for_each(|index| guard[index] += guard[index - 1]);
    };
    pool.apply(sums, (raw.clone(), array.clone())).await.expect(RUNS);
    let expected = [1, 3, 6, 10, 15, 21, 28, 36, 45, 55];
    assert_eq!(raw.to_vec(), expected);
    assert_eq!(*array.lock().await.expect(RUNS), expected);
    end(pool).await;
}

// C108
async fn a_part_of_an_array_travels_and_is_the_same_memory<K: Kind>() {
    let (pool, array) = (pool::<K>(2), RawArray::<u32>::zeroed(1_000).expect(RUNS));
    let fills = |part: RawArray<u32>, value: u32| (part.fill(value), part.len()).1;
    let calls = (0..10_u32).map(|n| (array.range(n as usize * 100..).and_then(|rest| rest.range(..100)), n));
    let calls: Vec<_> = calls.map(|(part, n)| (part.expect(RUNS), n)).collect();
    assert_eq!(pool.starmap(fills, calls).await.expect(RUNS), [100; 10]);
    assert!(array.iter().enumerate().all(|(index, value)| index / 100 == value as usize));
    end(pool).await;
}

// C111
async fn additions_of_many_under_the_lock_are_all_there<K: Kind>() {
    let pool = pool::<K>(3);
    let (value, array) = (Value::new(0_u64).expect(RUNS), Array::new(&[0_u64; 100]).expect(RUNS));
    let adds = |value: Value<u64>, array: Array<u64>| {
        for _ in 0..200 {
            *value.blocking_lock().expect(RUNS) += 1;
            array.blocking_lock().expect(RUNS).iter_mut().for_each(|element| *element += 1);
        }
    };
    let calls: Vec<_> = (0..6).map(|_| (value.clone(), array.clone())).collect();
    pool.starmap(adds, calls).chunksize(1).await.expect(RUNS);
    assert_eq!(*value.lock().await.expect(RUNS), 1_200);
    assert_eq!(*array.lock().await.expect(RUNS), [1_200; 100]);
    end(pool).await;
}

async fn additions_in_one_step_need_no_lock<K: Kind>() {
    let pool = pool::<K>(3);
    let (value, array) = (RawValue::new(0_i16).expect(RUNS), RawArray::new(&[0_u8; 3]).expect(RUNS));
    let adds = |value: RawValue<i16>, array: RawArray<u8>| {
        for n in 0..250_u8 {
            value.fetch_sub(1);
            array.fetch_add(1, 1).expect(RUNS);
            array.fetch_max(2, n).expect(RUNS);
        }
    };
    let calls: Vec<_> = (0..4).map(|_| (value.clone(), array.clone())).collect();
    pool.starmap(adds, calls).chunksize(1).await.expect(RUNS);
    assert_eq!((value.get(), array.to_vec()), (-1_000, vec![0, 232, 249]));
    end(pool).await;
}

// C107, C111
async fn one_lock_guards_several<K: Kind>() {
    let (pool, lock) = (pool::<K>(3), Lock::new().expect(RUNS));
    let from = Value::with_lock(300_i64, &lock).expect(RUNS);
    let to = Array::with_lock(&[0_i64; 2], &lock).expect(RUNS);
    let moves = |lock: Lock, from: Value<i64>, to: Array<i64>| {
        for _ in 0..50 {
            let held = lock.blocking_acquire().expect(RUNS);
            *from.guarded_by(&held).expect("it is its lock") -= 1;
            to.guarded_by(&held).expect("it is its lock")[1] += 1;
        }
    };
    let calls: Vec<_> = (0..6).map(|_| (lock.clone(), from.clone(), to.clone())).collect();
    let moving = pool.starmap_async(moves, calls);
    for _ in 0..200 {
        tokio::task::yield_now().await;
        let held = lock.acquire().await.expect(RUNS);
        let sum = *from.guarded_by(&held).expect(RUNS) + to.guarded_by(&held).expect(RUNS)[1];
        assert_eq!(sum, 300, "nobody comes in between");
    }
    moving.await.expect(RUNS);
    assert_eq!(*from.lock().await.expect(RUNS), 0);
    assert_eq!(to.lock().await.expect(RUNS)[1], 300);
    end(pool).await;
}

/// Some of them in a type of the program's own.
#[derive(Serialize, Deserialize)]
struct World {
    bodies: Array<Body>,
    step: RawValue<u64>,
    rest: Option<Box<World>>,
}

async fn they_nest_and_come_back<K: Kind>() {
    let pool = pool::<K>(1);
    let world =
        |rest| World { bodies: Array::new(&[EARTH]).expect(RUNS), step: RawValue::new(1).expect(RUNS), rest };
    let inner = world(None);
    let (step, bodies) = (inner.step.clone(), inner.bodies.clone());
    let steps = |world: World| {
        let inner = world.rest.as_ref().expect("it has another one");
        inner.step.set(2);
        inner.bodies.blocking_lock().expect(RUNS)[0].id = 9;
        world
    };
    let back = pool.apply(steps, (world(Some(Box::new(inner))),)).await.expect(RUNS);
    assert_eq!((step.get(), bodies.lock().await.expect(RUNS)[0].id), (2, 9));
    let back = back.rest.expect("it came back");
    back.step.set(3);
    assert_eq!(step.get(), 3, "it is the same one");
    end(pool).await;
}

// C112
async fn a_copy_is_independent<K: Kind>() {
    let pool = pool::<K>(1);
    let (value, array) = (RawValue::new(EARTH).expect(RUNS), RawArray::new(&[1, 2, 3]).expect(RUNS));
    let copies = (value.copy().expect(RUNS), array.copy().expect(RUNS));
    let changes = |value: RawValue<Body>, array: RawArray<i32>| {
        value.set(Body::zeroed());
        array.fill(0);
    };
    pool.apply(changes, copies.clone()).await.expect(RUNS);
    assert_eq!((value.get(), array.to_vec()), (EARTH, vec![1, 2, 3]));
    assert_eq!((copies.0.get(), copies.1.to_vec()), (Body::zeroed(), vec![0; 3]));
    end(pool).await;
}

on_both!(
    a_task_writes_a_value_of_every_type,
    structs_and_arrays_of_them_are_doubled_by_a_task,
    a_task_sums_up_an_array_in_place,
    a_part_of_an_array_travels_and_is_the_same_memory,
    additions_of_many_under_the_lock_are_all_there,
    additions_in_one_step_need_no_lock,
    one_lock_guards_several,
    they_nest_and_come_back,
    a_copy_is_independent,
);

// C109
#[test]
fn what_is_made_from_a_size_is_all_zeros() {
    for len in [0, 1, 1_000, 100_000] {
        for _ in 0..3 {
            let (raw, array) = (RawArray::<u64>::zeroed(len), Array::<u64>::zeroed(len));
            let (raw, array) = (raw.expect(RUNS), array.expect(RUNS));
            assert_eq!(
                (raw.len(), array.len(), raw.is_empty(), array.is_empty()),
                (len, len, len == 0, len == 0)
            );
            let mut guard = array.blocking_lock().expect(RUNS);
            assert!(raw.iter().all(|element| element == 0) && guard.iter().all(|element| *element == 0));
            // The next one would show it.
            raw.fill(u64::MAX);
            guard.fill(u64::MAX);
        }
    }
}

// C108
#[test]
fn what_lies_outside_of_an_array_is_an_error() {
    let array = RawArray::new(&[1, 2, 3]).expect(RUNS);
    let out = |result: multiprocess::Result<i32>| match result {
        Err(Error::OutOfRange { start, end, length: 3 }) => (start, end),
        other => panic!("{other:?}"),
    };
    assert_eq!(out(array.get(3)), (3, 4));
    assert_eq!(out(array.set(usize::MAX, 1).map(|()| 1)), (usize::MAX, usize::MAX));
    assert_eq!(out(array.fetch_add(4, 1)), (4, 5));
    assert_eq!(out(array.swap(5, 1)), (5, 6));
    assert_eq!(out(array.fetch_update(6, |n| n)), (6, 7));
    assert_eq!(out(array.compare_exchange(7, 1, 1).map(|_| 1)), (7, 8));
    assert_eq!(out(array.range(1..4).map(|_| 1)), (1, 4));
    let (start, end) = (2, 1);
    assert_eq!(out(array.range(start..end).map(|_| 1)), (2, 1));
    assert_eq!(array.range(3..).expect("it is empty").to_vec(), []);
    assert_eq!(array.range(1..=2).expect("it lies within").to_vec(), [2, 3]);
    let wrong = array.copy_from_slice(&[1, 2]).expect_err("one is missing");
    assert!(matches!(wrong, Error::WrongLength { given: 2, needed: 3 }));
    assert!(array.copy_to_slice(&mut [0; 4]).is_err());
    assert_eq!(array.to_vec(), [1, 2, 3]);
}

#[test]
fn elements_come_from_both_ends() {
    let array = RawArray::new(&[1, 2, 3, 4]).expect(RUNS);
    let mut iter = array.iter();
    assert_eq!((iter.len(), iter.next(), iter.next_back(), iter.len()), (4, Some(1), Some(4), 2));
    array.set(2, 9).expect(RUNS);
    assert_eq!(iter.collect::<Vec<_>>(), [2, 9], "each is read when it is asked for");
    assert_eq!(format!("{array:?}"), "[1, 2, 9, 4]");
}

// C107
#[test]
fn a_guard_of_another_lock_is_refused() {
    let (lock, other) = (Lock::new().expect(RUNS), Lock::new().expect(RUNS));
    let value = Value::with_lock(1, &lock).expect(RUNS);
    let array = Array::with_lock(&[1], &lock).expect(RUNS);
    let held = other.blocking_acquire().expect(RUNS);
    assert!(matches!(value.guarded_by(&held).map(drop), Err(Error::OtherLock)));
    assert!(matches!(array.guarded_by(&held).map(drop), Err(Error::OtherLock)));
    let held = lock.blocking_acquire().expect(RUNS);
    let guard = array.guarded_by(&held).expect("it is its lock");
    assert!(matches!(array.guarded_by(&held).map(drop), Err(Error::Held)), "there is one already");
    drop(guard);
    assert!(array.guarded_by(&held).is_ok());
}

// C107
#[test]
fn a_lock_keeps_others_away_and_times_are_kept() {
    run(async {
        let (value, array) = (Value::new(1).expect(RUNS), Array::new(&[1]).expect(RUNS));
        let guards = (value.lock().await.expect(RUNS), array.lock().await.expect(RUNS));
        let moment = Duration::from_millis(5);
        assert!(value.get_lock().locked() && array.get_lock().locked());
        assert!(value.try_lock().is_none() && array.try_lock().is_none());
        assert!(value.lock_timeout(moment).await.is_none() && array.lock_timeout(moment).await.is_none());
        assert!(
            value.blocking_lock_timeout(moment).is_none() && array.blocking_lock_timeout(moment).is_none()
        );
        drop(guards);
        assert!(value.try_lock().is_some() && array.try_lock().is_some());
        assert!(value.lock_timeout(moment).await.is_some() && array.lock_timeout(moment).await.is_some());
        assert!(value.blocking_lock_timeout(moment).is_some());
        assert!(array.blocking_lock_timeout(Duration::MAX).is_some());
    });
}

/// Two references to the same would be undefined behaviour, whatever is done to the lock.
#[test]
fn a_lock_that_is_released_under_a_guard_gives_no_second_one() {
    run(async {
        let array = Array::new(&[1]).expect(RUNS);
        let guard = array.blocking_lock().expect(RUNS);
        array.get_lock().release().expect("it is acquired");
        let moment = Duration::from_millis(5);
        assert!(array.try_lock().is_none() && array.clone().blocking_lock_timeout(moment).is_none());
        assert!(array.lock_timeout(moment).await.is_none());
        let (blocks, awaits) = (array.clone(), array.clone());
        let blocks =
            std::thread::spawn(move || blocks.blocking_lock().map(|mut guard| guard[0] += 1).is_ok());
        let awaits = tokio::spawn(async move { awaits.lock().await.map(|mut guard| guard[0] += 1).is_ok() });
        tokio::task::yield_now().await;
        drop(guard);
        assert!(awaits.await.expect("it does not panic") && blocks.join().expect("it does not panic"));
        assert_eq!(*array.lock().await.expect(RUNS), [3]);
    });
}

#[test]
fn a_guard_that_changes_nothing_writes_nothing() {
    let value = Value::new(1).expect(RUNS);
    let guard = value.blocking_lock().expect(RUNS);
    value.get_lock().release().expect("it is acquired");
    *value.blocking_lock().expect(RUNS) = 2;
    assert_eq!(*guard, 1);
    drop(guard);
    assert_eq!(*value.blocking_lock().expect(RUNS), 2);
}

#[test]
fn nothing_else_can_serialize_them() {
    let mut bytes = [0; 64];
    let told = postcard_refuses(&RawValue::new(1).expect(RUNS), &mut bytes);
    assert!(told && postcard_refuses(&Array::new(&[1]).expect(RUNS), &mut bytes));
    assert!(postcard_refuses(&Value::new(1).expect(RUNS), &mut bytes));
    assert!(postcard_refuses(&RawArray::new(&[1]).expect(RUNS), &mut bytes));
}

fn postcard_refuses(value: &impl Serialize, bytes: &mut [u8]) -> bool {
    postcard::to_slice(value, bytes).is_err()
}

/// What a receiver that expects a `T` says of an `S`.
async fn refusal<S: Payload, T: Payload>(sent: &S) -> String {
    let listener = Listener::new().expect(RUNS);
    let theirs: Connection<S, ()> = Client::connect(listener.address()).await.expect(RUNS);
    let ours: Connection<(), T> = listener.accept().await.expect(RUNS);
    theirs.send(sent).await.expect("it travels");
    match ours.recv().await {
        Err(Error::DecodeMessage { cause }) => cause,
        other => panic!("it is refused: {:?}", other.map(drop)),
    }
}

// fault 90
#[test]
fn one_of_another_kind_or_size_is_refused() {
    run(async {
        let array = RawArray::new(&[1_u32, 2]).expect(RUNS);
        let is_other = |refusal: String| assert!(refusal.contains("something else"), "{refusal}");
        is_other(refusal::<_, RawArray<u64>>(&array).await);
        is_other(refusal::<_, (RawValue<u32>, bool, usize, usize)>(&array).await);
        // What a message says of a part is not believed.
        let raw = RawValue::new(1_u32).expect(RUNS);
        let part = refusal::<_, RawArray<u32>>(&(raw, false, 0_usize, 1_usize)).await;
        is_other(part);
        is_other(refusal::<_, RawValue<u64>>(&RawValue::new(1_u32).expect(RUNS)).await);
        is_other(refusal::<_, Array<u32>>(&Value::new(1_u32).expect(RUNS)).await);
        is_other(refusal::<_, Value<[u8; 5]>>(&Value::new([0_u8; 6]).expect(RUNS)).await);
    });
}

// C105
async fn the_death_of_a_holder_is_told_with_the_guard() {
    let (pool, value) = (pool::<multiprocess::Processes>(1), Value::new([1_u64; 4]).expect(RUNS));
    let array = Array::with_lock(&[1, 2, 3], value.get_lock()).expect(RUNS);
    let dies = |array: Array<i32>| -> u8 {
        let mut guard = array.blocking_lock().expect(RUNS);
        guard[0] = 9;
        support::foreign::raise(SIGKILL);
        0
    };
    death(pool.apply(dies, (array.clone(),)).await);
    let died = value.lock().await.map(drop);
    drop(died.expect_err("its holder has died"));
    let died = array.lock().await.map(|_| ()).expect_err("nobody has put it right");
    drop(died);
    let mut guard = match array.lock().await {
        Err(died) => died.into_inner(),
        Ok(_) => panic!("nobody has put it right"),
    };
    assert_eq!(*guard, [9, 2, 3], "it is as the dead has left it");
    guard[0] = 1;
    drop(guard);
    assert_eq!(*array.lock().await.expect("it was put right"), [1, 2, 3]);
    assert_eq!(*value.lock().await.expect("it was put right"), [1; 4]);
    end(pool).await;
}

// C244
async fn what_one_start_method_has_made_another_one_has() {
    let (raw, array) = (RawValue::new(EARTH).expect(RUNS), Array::new(&[0_u64; 4]).expect(RUNS));
    for (times, method) in (1..).zip([StartMethod::Spawn, StartMethod::Forkserver]) {
        let adds = |raw: RawValue<Body>, array: Array<u64>| {
            raw.set(Body { id: raw.get().id + 1, ..raw.get() });
            array.blocking_lock().expect(RUNS).iter_mut().for_each(|element| *element += 1);
        };
        let process = Context::new(method).spawn(adds, (raw.clone(), array.clone())).expect("it starts");
        process.join().await.expect("it returns");
        assert_eq!(raw.get().id, 7 + times, "{method}");
        assert_eq!(*array.lock().await.expect(RUNS), [u64::from(times); 4], "{method}");
    }
}

async fn a_grandchild_and_a_connection_have_it_too() {
    let value = RawValue::new(1_u32).expect(RUNS);
    let (ours, theirs) = pipe::<RawValue<u32>, ()>().expect(RUNS);
    let passes_on = |theirs: Connection<(), RawValue<u32>>| {
        let value = theirs.blocking_recv().expect("it comes");
        let pool = ProcessPool::new(1).expect("the pool starts");
        pool.blocking_apply(|value: RawValue<u32>| value.set(5), (value,)).expect(RUNS);
        pool.blocking_shutdown().expect("it ends");
    };
    let process = Process::spawn(passes_on, (theirs,)).expect("it starts");
    ours.send(&value).await.expect("it travels");
    process.join().await.expect("it returns");
    assert_eq!(value.get(), 5);
}

on_processes!(
    the_death_of_a_holder_is_told_with_the_guard,
    what_one_start_method_has_made_another_one_has,
    a_grandchild_and_a_connection_have_it_too,
);

// C127, fault 85
#[test]
fn nothing_is_left_of_what_was_dropped() {
    alone(|| {
        let before = Census::after_the_first_pool();
        for _ in 0..3 {
            run(async {
                let (value, array) = (Value::new(1).expect(RUNS), Array::new(&[1; 1_000]).expect(RUNS));
                let (raw, raws) =
                    (RawValue::new(EARTH).expect(RUNS), RawArray::new(&[1; 1_000]).expect(RUNS));
                let pool = ProcessPool::new(2).expect("the pool starts");
                let takes = |_: Value<i32>, _: Array<i32>, _: RawValue<Body>, raws: RawArray<i32>| raws;
                let part = pool.apply(takes, (value.clone(), array, raw, raws)).await.expect(RUNS);
                drop((value, part));
                end(pool).await;
            });
            before.settles();
        }
    });
}
