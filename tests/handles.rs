//! Travelling handles: files, sockets and pipes as arguments and results, wherever in a value they are.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

use futures::StreamExt as _;
use multiprocess::{Handle, Kind, Pool};
use serde::{Deserialize, Serialize};
use support::twins::{Handle as _, Twin, on_twins, start};
use support::{end, on_both, pool};

on_both!(
    a_file_goes_in_and_comes_back_where_it_was_read_to,
    a_connection_is_served_by_a_task,
    a_listener_takes_a_connection_in_a_task,
    whatever_owns_a_descriptor_travels_there_and_back,
    a_descriptor_with_a_large_number_travels,
    handles_travel_anywhere_in_a_value,
    elements_with_handles_and_without_are_not_mixed_up,
    a_chunk_with_handles_gives_each_element_its_own,
    every_element_of_a_starmap_has_its_own_handles,
    a_value_that_is_an_outcome_of_an_async_task_may_have_handles,
);

on_twins!(a_process_takes_handles_and_gives_some_back);

/// The reading end of a pipe with a number in it.
fn numbered(number: u32) -> Handle<PipeReader> {
    let (reader, mut writer) = pipe().expect("there are descriptors left");
    writer.write_all(&number.to_ne_bytes()).expect("a pipe has room for it");
    Handle::new(reader)
}

/// The number in such a pipe.
fn number_in(mut reader: impl std::ops::DerefMut<Target = PipeReader>) -> u32 {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes).expect("there is a number in it");
    u32::from_ne_bytes(bytes)
}

/// What the kernel calls the file or the socket.
fn kernels_name(owner: &impl AsFd) -> String {
    let link = format!("/proc/self/fd/{}", owner.as_fd().as_raw_fd());
    std::fs::read_link(link).expect("it is open").to_string_lossy().into_owned()
}

// C049
async fn a_file_goes_in_and_comes_back_where_it_was_read_to<K: Kind>() {
    fn read_some(mut file: Handle<File>) -> (String, Handle<File>) {
        let mut start = [0; 9];
        file.read_exact(&mut start).expect("it is longer");
        (String::from_utf8_lossy(&start).into_owned(), file)
    }
    let pool = pool::<K>(1);
    let manifest = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("it is there");
    let (start, file) = pool.apply(read_some, (Handle::new(manifest),)).await.expect("it comes back");
    let rest = std::io::read_to_string(file.into_inner()).expect("it can be read");
    assert_eq!((start.as_str(), &rest[..8]), ("[package]", "\nname = "));
    end(pool).await;
}

// C049
async fn a_connection_is_served_by_a_task<K: Kind>() {
    let pool = pool::<K>(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let mut client = TcpStream::connect(listener.local_addr().expect("it has one")).expect("it listens");
    let (connection, _) = listener.accept().expect("it was called");
    let serve = |mut connection: Handle<TcpStream>| connection.write_all(b"hello from a task").is_ok();
    assert!(pool.apply(serve, (Handle::from(connection),)).await.expect("it comes back"));
    let mut heard = String::new();
    // Comes to an end only if nobody keeps the connection.
    client.read_to_string(&mut heard).expect("it can be read");
    assert_eq!(heard, "hello from a task");
    end(pool).await;
}

// C049
async fn a_listener_takes_a_connection_in_a_task<K: Kind>() {
    let pool = pool::<K>(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it has one");
    let accept = |listener: Handle<TcpListener>| listener.accept().map(|(taken, _)| Handle::new(taken)).ok();
    let taken = pool.apply_async(accept, (Handle::new(listener),));
    let mut client = TcpStream::connect(address).expect("it listens");
    let mut taken = taken.await.expect("it comes back").expect("it was called");
    client.write_all(b"it is me").expect("it is open");
    drop(client);
    let mut heard = String::new();
    taken.read_to_string(&mut heard).expect("it can be read");
    assert_eq!(heard, "it is me");
    end(pool).await;
}

async fn returns<K, T>(pool: &Pool<K>, owner: T)
where
    K: Kind,
    T: AsFd + From<OwnedFd> + Send + 'static,
{
    let expected = kernels_name(&owner);
    let back = pool.apply(|handle: Handle<T>| handle, (Handle::new(owner),)).await.expect("it comes back");
    assert_eq!(kernels_name(&back), expected);
}

// C049
async fn whatever_owns_a_descriptor_travels_there_and_back<K: Kind>() {
    let pool = pool::<K>(1);
    let null = || File::open("/dev/null").expect("it is there");
    returns(&pool, null()).await;
    returns(&pool, OwnedFd::from(null())).await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it has one");
    returns(&pool, TcpStream::connect(address).expect("it listens")).await;
    returns(&pool, listener).await;
    returns(&pool, UdpSocket::bind("127.0.0.1:0").expect("there is a port")).await;
    returns(&pool, UnixStream::pair().expect("there are descriptors left").0).await;
    returns(&pool, UnixDatagram::pair().expect("there are descriptors left").0).await;
    let name = format!("multiprocess-handles-{}-{}", std::process::id(), std::any::type_name::<K>());
    let address = SocketAddr::from_abstract_name(name).expect("it is short");
    returns(&pool, UnixListener::bind_addr(&address).expect("it is free")).await;
    let (reader, writer) = pipe().expect("there are descriptors left");
    returns::<_, PipeReader>(&pool, reader).await;
    returns::<_, PipeWriter>(&pool, writer).await;
    end(pool).await;
}

/// Opens the null device until its descriptor has a number above 256.
fn far_up() -> Handle<File> {
    let mut all = Vec::new();
    loop {
        let file = File::open("/dev/null").expect("there are descriptors left");
        if file.as_raw_fd() > 256 {
            return Handle::new(file);
        }
        all.push(file);
    }
}

// C050
async fn a_descriptor_with_a_large_number_travels<K: Kind>() {
    let pool = pool::<K>(1);
    let is_null = |file: Handle<File>| kernels_name(&file) == "/dev/null";
    assert!(pool.apply(is_null, (far_up(),)).await.expect("it comes there"));
    assert_eq!(kernels_name(&pool.apply(far_up, ()).await.expect("it comes back")), "/dev/null");
    end(pool).await;
}

#[derive(Serialize, Deserialize)]
enum Part {
    Nothing,
    One(Handle<PipeReader>),
    Named { number: u32, pipe: Handle<PipeReader> },
}

#[derive(Serialize, Deserialize)]
struct Whole {
    first: Handle<PipeReader>,
    maybe: Option<Handle<PipeReader>>,
    never: Option<Handle<PipeReader>>,
    many: Vec<Handle<PipeReader>>,
    parts: BTreeMap<u32, Part>,
    names: HashMap<String, (u64, Box<Handle<PipeReader>>)>,
}

impl Whole {
    fn new() -> Self {
        let parts = [
            Part::Nothing,
            Part::One(numbered(5)),
            Part::Named { number: 6, pipe: numbered(6) },
            Part::Nothing,
        ];
        Self {
            first: numbered(1),
            maybe: Some(numbered(2)),
            never: None,
            many: vec![numbered(3), numbered(4)],
            parts: (0..).zip(parts).collect(),
            names: HashMap::from([("seven".to_owned(), (7, Box::new(numbered(7))))]),
        }
    }

    /// All numbers in it, in the order they were put there.
    fn numbers(self) -> Vec<u32> {
        assert!(self.never.is_none());
        let mut pipes = vec![self.first, self.maybe.expect("there was one")];
        pipes.extend(self.many);
        for part in self.parts.into_values() {
            match part {
                Part::Nothing => {}
                Part::One(pipe) => pipes.push(pipe),
                Part::Named { number, pipe } => {
                    assert_eq!(number, 6);
                    pipes.push(pipe);
                }
            }
        }
        pipes.extend(self.names.into_values().map(|(_, pipe)| *pipe));
        pipes.into_iter().map(number_in).collect()
    }
}

async fn handles_travel_anywhere_in_a_value<K: Kind>() {
    let pool = pool::<K>(1);
    let numbers = pool.apply(|_before: u8, whole: Whole, _behind: u8| whole.numbers(), (1, Whole::new(), 2));
    assert_eq!(numbers.await.expect("it comes there"), [1, 2, 3, 4, 5, 6, 7]);
    let whole = pool.apply(Whole::new, ()).await.expect("it comes back");
    assert_eq!(whole.numbers(), [1, 2, 3, 4, 5, 6, 7]);
    end(pool).await;
}

/// Every third element has a handle, every fifth two of them.
fn handles_of(number: u32) -> Vec<Handle<PipeReader>> {
    let count = usize::from(number.is_multiple_of(3)) + 2 * usize::from(number.is_multiple_of(5));
    (0..count).map(|_| numbered(number)).collect()
}

/// Hands back one more handle than it was given.
fn add_one((number, handles): (u32, Vec<Handle<PipeReader>>)) -> (u32, Vec<Handle<PipeReader>>) {
    if number % 2 == 1 {
        return (number, Vec::new());
    }
    let read: Vec<_> = handles.into_iter().map(number_in).collect();
    assert!(read.iter().all(|read| *read == number), "{read:?} in element {number}");
    (number, read.into_iter().chain([number]).map(numbered).collect())
}

fn check_added(number: u32, handles: Vec<Handle<PipeReader>>) {
    let expected = if number % 2 == 1 { 0 } else { handles_of(number).len() + 1 };
    assert_eq!(handles.len(), expected, "of element {number}");
    assert!(handles.into_iter().map(number_in).all(|read| read == number), "of element {number}");
}

async fn elements_with_handles_and_without_are_not_mixed_up<K: Kind>() {
    let pool = pool::<K>(2);
    let input = || (0..200).map(|number| (number, handles_of(number)));
    for (expected, (number, handles)) in (0..).zip(pool.map(add_one, input()).await.expect("no task fails")) {
        assert_eq!(number, expected);
        check_added(number, handles);
    }
    let mut results = pool.imap_unordered(add_one, input());
    let mut seen = 0;
    while let Some(result) = results.next().await {
        let (number, handles) = result.expect("no task fails");
        check_added(number, handles);
        seen += 1;
    }
    assert_eq!(seen, 200);
    drop(results);
    end(pool).await;
}

async fn a_chunk_with_handles_gives_each_element_its_own<K: Kind>() {
    let pool = pool::<K>(2);
    for chunk in [1, 7, 100] {
        let input = (0..100).map(|number| (number, handles_of(number)));
        let results = pool.imap(add_one, input).chunksize(chunk);
        let results: Vec<_> = results.collect().await;
        for (expected, result) in (0..).zip(results) {
            let (number, handles) = result.expect("no task fails");
            assert_eq!(number, expected);
            check_added(number, handles);
        }
    }
    end(pool).await;
}

async fn every_element_of_a_starmap_has_its_own_handles<K: Kind>() {
    let pool = pool::<K>(2);
    let sum = |a: Handle<PipeReader>, n: u32, b: Handle<PipeReader>| number_in(a) + n + number_in(b);
    let input = (0..50).map(|number| (numbered(number), 1_000, numbered(2 * number)));
    let sums = pool.starmap(sum, input).await.expect("no task fails");
    assert!(sums.into_iter().eq((0..50).map(|number| 3 * number + 1_000)));
    end(pool).await;
}

async fn a_value_that_is_an_outcome_of_an_async_task_may_have_handles<K: Kind>() {
    let pool = pool::<K>(1);
    let pass_on = async |pipe: Handle<PipeReader>| {
        tokio::task::yield_now().await;
        pipe
    };
    let pipe = pool.apply(pass_on, (numbered(77),)).await.expect("it comes back");
    assert_eq!(number_in(pipe), 77);
    end(pool).await;
}

async fn a_process_takes_handles_and_gives_some_back<T: Twin>() {
    let add_one = |number: u32, handles: Vec<Handle<PipeReader>>| add_one((number, handles));
    let process = start::<T, _, _, _>(add_one, (30, handles_of(30)));
    let (number, handles) = process.join().await.expect("it comes back");
    check_added(number, handles);
}
