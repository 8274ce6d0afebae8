//! Handles that do not travel: too many of them, sent or read by something else, claimed by bytes that came without one, or with no descriptor left.

mod support;

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::os::fd::AsRawFd;

use futures::StreamExt as _;
use multiprocess::dummy::ThreadPool;
use multiprocess::{Error, Handle, Kind, Pool, ProcessPool};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use support::alone::alone;
use support::census::Census;
use support::foreign::limit_descriptors;
use support::{end, on_both, on_both_outside, pool, run};

on_both!(
    a_value_with_64_handles_travels,
    a_value_with_65_handles_does_not_travel,
    a_result_with_65_handles_does_not_travel,
    an_element_that_fails_takes_no_handle_of_another,
    data_without_a_descriptor_is_an_error_and_no_hang,
    a_handle_can_be_taken_once,
    an_initializer_takes_no_handles,
    a_preload_takes_no_handles,
    handles_are_read_by_nobody_else,
    a_type_that_gets_over_a_refused_handle_does_not_spoil_the_next,
);

on_both_outside!(encodings_within_encodings_have_their_own_handles);

fn null() -> Handle<File> {
    Handle::new(File::open("/dev/null").expect("it is there"))
}

fn nulls(count: usize) -> Vec<Handle<File>> {
    (0..count).map(|_| null()).collect()
}

/// The reading end of a pipe with a number in it.
fn numbered(number: u8) -> Handle<PipeReader> {
    let (reader, mut writer) = pipe().expect("there are descriptors left");
    writer.write_all(&[number]).expect("a pipe has room for it");
    Handle::new(reader)
}

fn number_in(mut reader: Handle<PipeReader>) -> u8 {
    let mut byte = [0];
    reader.read_exact(&mut byte).expect("there is a number in it");
    byte[0]
}

fn encode_cause<T: std::fmt::Debug>(result: multiprocess::Result<T>, expected: &str) -> String {
    match result {
        Err(Error::Encode { what, cause, .. }) if what == expected => cause,
        other => panic!("{expected} cannot be written, but it came to {other:?}"),
    }
}

fn decode_cause<T: std::fmt::Debug>(result: multiprocess::Result<T>, expected: &str) -> String {
    match result {
        Err(Error::Decode { what, cause, .. }) if what == expected => cause,
        other => panic!("{expected} cannot be read, but it came to {other:?}"),
    }
}

async fn a_value_with_64_handles_travels<K: Kind>() {
    let pool = pool::<K>(1);
    let back = pool.apply(|handles: Vec<Handle<File>>| handles, (nulls(64),)).await.expect("it comes back");
    assert_eq!(back.len(), 64);
    end(pool).await;
}

async fn a_value_with_65_handles_does_not_travel<K: Kind>() {
    let pool = pool::<K>(1);
    let count = |handles: Vec<Handle<File>>| handles.len();
    let cause = encode_cause(pool.apply(count, (nulls(65),)).await, "the arguments");
    assert_eq!(cause, "it has more than 64 handles, which is the most that one value may have");
    assert_eq!(pool.apply(count, (nulls(2),)).await.expect("the next one travels"), 2);
    end(pool).await;
}

async fn a_result_with_65_handles_does_not_travel<K: Kind>() {
    let pool = pool::<K>(1);
    let cause = encode_cause(pool.apply(nulls, (65,)).await, "the result");
    assert_eq!(cause, "it has more than 64 handles, which is the most that one value may have");
    assert_eq!(pool.apply(nulls, (2,)).await.expect("the next one travels").len(), 2);
    end(pool).await;
}

/// What goes wrong with an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Fault {
    None,
    ManyArguments,
    Unreadable,
    Panics,
    ManyResults,
}

impl Fault {
    fn of(number: u8) -> Self {
        match number % 9 {
            1 => Self::ManyArguments,
            3 => Self::Unreadable,
            5 => Self::Panics,
            7 => Self::ManyResults,
            _ => Self::None,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Draft {
    fault: Fault,
    before: Handle<PipeReader>,
    more: Vec<Handle<File>>,
    behind: Handle<PipeReader>,
}

/// An element, unless its fault is that it cannot be read.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "Draft")]
struct Element {
    draft: Draft,
}

impl TryFrom<Draft> for Element {
    type Error = &'static str;

    fn try_from(draft: Draft) -> Result<Self, &'static str> {
        if draft.fault == Fault::Unreadable { Err("it is unreadable") } else { Ok(Self { draft }) }
    }
}

async fn an_element_that_fails_takes_no_handle_of_another<K: Kind>() {
    fn pass_on(
        Element { draft: Draft { fault, before, behind, .. } }: Element,
    ) -> (Handle<PipeReader>, Vec<Handle<File>>, Handle<PipeReader>) {
        assert_ne!(fault, Fault::Panics);
        let more = if fault == Fault::ManyResults { nulls(64) } else { Vec::new() };
        (before, more, behind)
    }
    let pool = pool::<K>(2);
    for chunk in [1, 30] {
        let input = (0..60).map(|number| {
            let fault = Fault::of(number);
            let more = if fault == Fault::ManyArguments { nulls(64) } else { Vec::new() };
            Element { draft: Draft { fault, before: numbered(number), more, behind: numbered(number + 100) } }
        });
        let results: Vec<_> = pool.imap(pass_on, input).chunksize(chunk).collect().await;
        assert_eq!(results.len(), 60);
        for (number, result) in (0..).zip(results) {
            match (Fault::of(number), result) {
                (Fault::None, Ok((before, _, behind))) => {
                    assert_eq!((number_in(before), number_in(behind)), (number, number + 100));
                }
                (Fault::ManyArguments | Fault::ManyResults, Err(Error::Encode { .. }))
                | (Fault::Unreadable, Err(Error::Decode { .. }))
                | (Fault::Panics, Err(Error::Panicked(_))) => {}
                (fault, other) => panic!("element {number} with {fault:?}: {other:?}"),
            }
        }
    }
    end(pool).await;
}

/// Bytes that are read as handles, with as many handles as there are real ones.
struct Posing {
    places: Vec<u8>,
    real: Vec<Handle<File>>,
}

impl Serialize for Posing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.real, &self.places).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Posing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mut real, posing): (Vec<Handle<File>>, Vec<Handle<File>>) =
            Deserialize::deserialize(deserializer)?;
        real.extend(posing);
        Ok(Self { places: Vec::new(), real })
    }
}

// C051
async fn data_without_a_descriptor_is_an_error_and_no_hang<K: Kind>() {
    let pool = pool::<K>(1);
    for places in [vec![0], vec![63], vec![255]] {
        let posing = Posing { places: places.clone(), real: Vec::new() };
        let cause =
            decode_cause(pool.apply(|posing: Posing| posing.real.len(), (posing,)).await, "the arguments");
        assert!(cause.starts_with("no handle has come with the value"), "{places:?}: {cause}");
        let back = |places| Posing { places, real: Vec::new() };
        let cause = decode_cause(pool.apply(back, (places,)).await.map(|back| back.real), "the result");
        assert!(cause.starts_with("no handle has come with the value"), "{cause}");
    }
    let (pids, deaths) = (pool.worker_pids(), pool.stats().deaths);
    assert_eq!((pids.len(), deaths), (1, 0), "the worker goes on");
    end(pool).await;
}

async fn a_handle_can_be_taken_once<K: Kind>() {
    let pool = pool::<K>(1);
    for places in [vec![0], vec![1, 1], vec![2]] {
        let posing = Posing { places, real: nulls(1) };
        let cause =
            decode_cause(pool.apply(|posing: Posing| posing.real.len(), (posing,)).await, "the arguments");
        assert_eq!(
            cause,
            "a handle has not come with its value, since too few descriptors are left, or was taken before"
        );
    }
    end(pool).await;
}

async fn an_initializer_takes_no_handles<K: Kind>() {
    let initializer = |file: Handle<File>| file;
    let error = Pool::<K>::builder().workers(1).initializer(initializer, (null(),)).build().map(drop);
    let cause = encode_cause(error, "the arguments");
    assert!(cause.contains("only arguments and results of tasks do"), "{cause}");
}

async fn a_preload_takes_no_handles<K: Kind>() {
    let error =
        Pool::<K>::builder().workers(1).preload(|file: Handle<File>| file, (null(),)).build().map(drop);
    let cause = encode_cause(error, "the arguments");
    assert!(cause.contains("only arguments and results of tasks do"), "{cause}");
}

async fn handles_are_read_by_nobody_else<K: Kind>() {
    let pool = pool::<K>(1);
    // Outside of an encoding, be it here or in a task.
    let refused =
        || postcard::to_stdvec(&null()).is_err() && postcard::from_bytes::<Handle<File>>(&[0]).is_err();
    assert!(refused());
    assert!(pool.apply(move |_: Handle<File>| refused(), (null(),)).await.expect("it only looks"));
    end(pool).await;
}

#[test]
fn whatever_else_serializes_a_handle_gets_a_clear_text() {
    run(async {
        use axum::response::IntoResponse as _;
        let response = axum::Json(null()).into_response();
        assert!(response.status().is_server_error());
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.expect("it is there");
        let expected =
            "a handle can only be sent by multiprocess itself, as an argument or a result of a task";
        assert_eq!(String::from_utf8_lossy(&body), expected);
    });
}

/// Does without the handles that it has too many of.
struct Easygoing(Vec<Handle<File>>);

impl Serialize for Easygoing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sent = self.0.iter().filter(|file| postcard::to_stdvec(file).is_ok()).count();
        serializer.serialize_u64(sent as u64)
    }
}

impl<'de> Deserialize<'de> for Easygoing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|_| Self(Vec::new()))
    }
}

async fn a_type_that_gets_over_a_refused_handle_does_not_spoil_the_next<K: Kind>() {
    /// Cannot be serialized, whatever it has.
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    impl<'de> Deserialize<'de> for Stubborn {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    let pool = pool::<K>(1);
    let left = pool.apply(|easygoing: Easygoing| easygoing.0.len(), (Easygoing(nulls(70)),)).await;
    assert_eq!(left.expect("it travels without"), 0);
    let cause = encode_cause(pool.apply(|_: Stubborn| (), (Stubborn,)).await, "the arguments");
    assert_eq!(cause, "the type refused to be serialized");
    assert_eq!(
        number_in(pool.apply(|pipe: Handle<PipeReader>| pipe, (numbered(9),)).await.expect("it comes back")),
        9
    );
    end(pool).await;
}

/// Makes calls with handles of their own while it is written and while it is read.
struct Restless {
    before: Handle<PipeReader>,
    behind: Handle<PipeReader>,
}

/// Has a number in a pipe read by a thread.
fn read_elsewhere(number: u8) {
    let pool = ThreadPool::new(1).expect("it starts");
    let read = pool.blocking_apply(
        |_: Handle<PipeReader>, pipe| (number_in(pipe), numbered(1)),
        (numbered(0), numbered(number)),
    );
    let (read, one) = read.expect("it comes back");
    assert_eq!((read, number_in(one)), (number, 1));
    assert!(pool.blocking_apply(|| (), ()).is_ok(), "without any handles");
    pool.blocking_shutdown().expect("it ends");
}

impl Serialize for Restless {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple as _;
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&self.before)?;
        read_elsewhere(50);
        tuple.serialize_element(&self.behind)?;
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Restless {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Calling(Handle<PipeReader>);
        impl<'de> Deserialize<'de> for Calling {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                read_elsewhere(60);
                Handle::deserialize(deserializer).map(Self)
            }
        }
        let (before, Calling(behind)) = Deserialize::deserialize(deserializer)?;
        Ok(Self { before, behind })
    }
}

fn encodings_within_encodings_have_their_own_handles<K: Kind>() {
    let pool = Pool::<K>::new(1).expect("it starts");
    let numbers = |restless: Restless| (number_in(restless.before), number_in(restless.behind));
    let restless = Restless { before: numbered(3), behind: numbered(4) };
    assert_eq!(pool.blocking_apply(numbers, (restless,)).expect("it comes there"), (3, 4));
    pool.blocking_shutdown().expect("it ends");
}

/// So many more descriptors can be had from now on, and not one more.
fn leave(free: usize) {
    let probe: Vec<_> = (0..free).map(|_| File::open("/dev/null").expect("there are more")).collect();
    let highest = probe.iter().map(AsRawFd::as_raw_fd).max().expect("it is at least one");
    limit_descriptors(u64::try_from(highest).expect("it is positive") + 1);
}

// fault 61
#[test]
fn a_handle_for_whose_copy_no_descriptor_is_left_does_not_travel() {
    alone(|| {
        let pool = ProcessPool::new(1).expect("it starts");
        pool.blocking_ready().expect("it starts");
        let files = nulls(20);
        leave(5);
        let count = |files: Vec<Handle<File>>| files.len();
        let cause = encode_cause(pool.blocking_apply(count, (files,)), "the arguments");
        assert!(cause.starts_with("its handle cannot be copied: Too many open files"), "{cause}");
        assert_eq!(
            pool.blocking_apply(count, (nulls(2),)).expect("there is room for two and their copies"),
            2
        );
        pool.blocking_shutdown().expect("it ends");
    });
}

// fault 61
#[test]
fn a_worker_without_descriptors_fails_what_has_handles_and_nothing_else() {
    alone(|| {
        let pool = ProcessPool::new(1).expect("it starts");
        pool.blocking_apply(leave, (5,)).expect("it limits itself");
        let pass_on = |number: u8, mut files: Vec<Handle<File>>, pipe: Handle<PipeReader>| {
            files.clear();
            (number, pipe)
        };
        for number in 0..4 {
            let cause =
                decode_cause(pool.blocking_apply(pass_on, (0, nulls(20), numbered(0))), "the arguments");
            assert_eq!(
                cause,
                "a handle has not come with its value, since too few descriptors are left, or was taken before"
            );
            let (same, pipe) = pool
                .blocking_apply(pass_on, (number, nulls(1), numbered(number)))
                .expect("there is room for these");
            assert_eq!((same, number_in(pipe)), (number, number), "nothing is left over of the others");
        }
        assert_eq!(pool.stats().deaths, 0);
        pool.blocking_shutdown().expect("it ends");
    });
}

// fault 61
#[test]
fn a_pool_without_descriptors_fails_the_results_that_have_handles_and_nothing_else() {
    alone(|| {
        let before = Census::after_the_first_pool();
        let pool = ProcessPool::new(1).expect("it starts");
        pool.blocking_ready().expect("it starts");
        let (soft, _) = support::foreign::descriptor_limits();
        leave(6);
        for number in 0..4 {
            let cause = decode_cause(pool.blocking_apply(nulls, (20,)), "the result");
            assert_eq!(
                cause,
                "a handle has not come with its value, since too few descriptors are left, or was taken before"
            );
            let pipe = pool.blocking_apply(numbered, (number,)).expect("there is room for this one");
            assert_eq!(number_in(pipe), number, "nothing is left over of the others");
        }
        assert_eq!(pool.stats().deaths, 0);
        limit_descriptors(soft);
        pool.blocking_shutdown().expect("it ends");
        drop(pool);
        before.settles();
    });
}

#[test]
fn a_handle_gives_back_what_it_was_made_of() {
    let (reader, writer) = pipe().expect("there are descriptors left");
    let mut writer: Handle<PipeWriter> = writer.into();
    writer.write_all(&[7]).expect("there is room");
    drop(writer.into_inner());
    assert_eq!(number_in(Handle::new(reader)), 7);
}
