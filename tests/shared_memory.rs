//! Memory and lists that processes share, by handles and by names.

mod support;

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use multiprocess::{
    Context, Error, Kind, ListItem, ProcessPool, Result, ShareableList, SharedMemory, SharedMemoryManager,
    StartMethod,
};
use support::census::Census;
use support::foreign::{SIGKILL, fork, reap, signal};
use support::{alone::alone, end, on_both, on_processes, pool, run};

/// What the tests expect of what has no reason to fail.
const RUNS: &str = "it has no reason to fail";

/// A name that no other test has.
fn fresh(what: &str) -> String {
    format!("{what}-{}-{:?}", std::process::id(), std::thread::current().id())
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    match result.map(drop) {
        Err(Error::Named { cause, .. }) => cause.kind(),
        other => panic!("{other:?}"),
    }
}

// C118, C119
async fn memory_travels_and_is_the_same<K: Kind>() {
    let (pool, memory) = (pool::<K>(1), SharedMemory::create(100_000).expect(RUNS));
    let bytes: Vec<u8> = (0..50_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    memory.write(7, &bytes).expect("they lie within");
    let turns = |memory: SharedMemory| {
        let mut bytes = memory.to_vec(7..50_007).expect("they lie within");
        bytes.reverse();
        memory.write(40_007, &bytes).expect("they lie within");
        memory
    };
    let back = pool.apply(turns, (memory.clone(),)).await.expect(RUNS);
    assert!(memory.to_vec(40_007..90_007).expect("they lie within").iter().eq(bytes.iter().rev()));
    back.write(0, &[1, 2, 3]).expect("they lie within");
    assert_eq!((memory.to_vec(..3).expect("they lie within"), memory.size()), (vec![1, 2, 3], 100_000));
    end(pool).await;
}

// C118, C119
async fn memory_is_opened_by_its_name_and_a_handle_outlives_that<K: Kind>() {
    let (pool, name) = (pool::<K>(1), fresh("travels"));
    let memory = SharedMemory::create_named(&name, 10).expect(RUNS);
    let opens = |name: String| SharedMemory::blocking_open(&name).map(|memory| memory.write(0, &[5])).is_ok();
    assert!(pool.apply(opens, (name.clone(),)).await.expect(RUNS));
    assert_eq!(memory.to_vec(..1).expect("it lies within"), [5]);
    memory.unlink().expect("it is there");
    assert!(!pool.apply(opens, (name,)).await.expect(RUNS), "the name is gone");
    let writes = |memory: SharedMemory| (memory.write(0, &[6]).is_ok(), memory.name().is_some());
    assert_eq!(pool.apply(writes, (memory.clone(),)).await.expect(RUNS), (true, true));
    assert_eq!(memory.to_vec(..1).expect("it lies within"), [6]);
    end(pool).await;
}

async fn a_part_of_memory_travels_as_an_array<K: Kind>() {
    let (pool, memory) = (pool::<K>(1), SharedMemory::create(64).expect(RUNS));
    let part = memory.as_array::<u16>(10..16).expect("it lies within");
    let fills = |part: multiprocess::RawArray<u16>| (part.fill(0x0102), part.len()).1;
    assert_eq!(pool.apply(fills, (part.clone(),)).await.expect(RUNS), 3);
    assert_eq!((part.to_vec(), memory.to_vec(9..17).expect("it lies within").len()), (vec![0x0102; 3], 8));
    assert_eq!(memory.to_vec(9..11).expect("it lies within"), [0, 2]);
    end(pool).await;
}

// C125, C124
async fn a_list_travels_and_is_the_same<K: Kind>() {
    let (pool, list) = (pool::<K>(1), ShareableList::new([1, 2, 3]).expect(RUNS));
    let doubles = |list: ShareableList| {
        for index in 0..list.len() {
            let Ok(ListItem::Int(number)) = list.get(index) else { return None };
            list.set(index, number * 2).ok()?;
        }
        Some(list)
    };
    let back = pool.apply(doubles, (list.clone(),)).await.expect(RUNS).expect("they are numbers");
    assert_eq!(list.to_vec().expect(RUNS), [2, 4, 6].map(ListItem::from));
    back.set(1, "text").expect("it fits");
    assert_eq!(list.get(1).expect(RUNS), "text".into());
    end(pool).await;
}

on_both!(
    memory_travels_and_is_the_same,
    memory_is_opened_by_its_name_and_a_handle_outlives_that,
    a_part_of_memory_travels_as_an_array,
    a_list_travels_and_is_the_same,
);

// C114
#[test]
fn a_name_is_made_opened_and_unlinked_once() {
    run(async {
        let name = fresh("basics");
        assert_eq!(kind(SharedMemory::open(&name).await), ErrorKind::NotFound);
        assert_eq!(kind(SharedMemory::blocking_open(&name)), ErrorKind::NotFound);
        let memory = SharedMemory::create_named(&name, 512).expect(RUNS);
        assert_eq!((memory.name(), memory.size()), (Some(&*name), 512));
        assert_eq!(kind(SharedMemory::create_named(&name, 1)), ErrorKind::AlreadyExists);
        let again = SharedMemory::open(&name).await.expect("it is there");
        assert_eq!((again.name(), again.size()), (Some(&*name), 512), "it is as large as it was made");
        memory.write(0, &[42]).expect("it lies within");
        again.write(1, &[43]).expect("it lies within");
        assert_eq!(again.to_vec(..3).expect("it lies within"), memory.to_vec(..3).expect("it lies within"));
        assert_eq!(kind(again.unlink()), ErrorKind::PermissionDenied);
        memory.unlink().expect("it is ours");
        assert_eq!(kind(memory.unlink()), ErrorKind::NotFound);
        assert_eq!(kind(SharedMemory::open(&name).await), ErrorKind::NotFound);
        let other = SharedMemory::create_named(&name, 1).expect("it is free again at once");
        assert_eq!(again.to_vec(..2).expect("those that have it keep it"), [42, 43]);
        drop(other);
        assert_eq!(
            kind(SharedMemory::blocking_open(&name)),
            ErrorKind::NotFound,
            "it went with its last handle"
        );
    });
}

// C115
#[test]
fn names_that_are_made_up_are_all_different() {
    let memories: Vec<_> = (0..50).map(|_| SharedMemory::create_with_new_name(1).expect(RUNS)).collect();
    let names: std::collections::BTreeSet<_> =
        memories.iter().map(|memory| memory.name().map(str::to_owned)).collect();
    assert_eq!(names.len(), 50);
    assert!(names.iter().flatten().all(|name| SharedMemory::blocking_open(name).is_ok()));
}

// C116, C117
#[test]
fn a_size_of_nothing_and_what_is_no_name_are_errors() {
    assert!(matches!(SharedMemory::create(0), Err(Error::Option { option: "size", .. })));
    assert!(matches!(SharedMemory::create_named("size", 0), Err(Error::Option { .. })));
    for name in ["", "a\0b", "\0", &"long".repeat(17)] {
        assert_eq!(kind(SharedMemory::create_named(name, 1)), ErrorKind::InvalidInput);
        assert_eq!(kind(SharedMemory::blocking_open(name)), ErrorKind::InvalidInput);
    }
    let longest = fresh(&"long".repeat(8));
    let memory = SharedMemory::create_named(&longest, 1).expect("it has room");
    assert_eq!(kind(SharedMemory::create(1).expect(RUNS).unlink()), ErrorKind::NotFound);
    drop(memory);
}

// C129, fault 70
#[test]
fn more_than_there_is_room_for_is_an_error_at_creation() {
    for size in [1_usize << 46, usize::MAX / 2, usize::MAX] {
        let error = SharedMemory::create(size).expect_err("no machine has as much");
        assert!(matches!(error, Error::Shared { what: "memory", .. }), "{error}");
    }
    assert!(multiprocess::Array::<u64>::zeroed(usize::MAX).is_err());
    assert!(multiprocess::RawArray::<u64>::zeroed(1 << 60).is_err());
}

/// A process whose files may only be small gets an error, and no signal.
// C129, fault 70
#[test]
fn more_than_a_limit_allows_is_an_error_at_creation() {
    let limited = "ulimit -f 64; exec \"$0\" limited_program --exact --ignored --nocapture";
    let program = std::env::current_exe().expect("a test has a file");
    let output = Command::new("sh").arg("-c").arg(limited).arg(program).output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "another test runs it with a limit"]
fn limited_program() {
    assert!(SharedMemory::create(1 << 20).is_err());
    assert!(SharedMemory::create(1 << 10).is_ok());
    assert!(multiprocess::Shared::from_slice(&vec![0_u8; 1 << 20]).is_err());
}

#[test]
fn what_lies_outside_of_the_memory_is_an_error() {
    let memory = SharedMemory::create(10).expect(RUNS);
    let out = |result: Result<()>| matches!(result, Err(Error::OutOfRange { length: 10, .. }));
    assert!(out(memory.write(8, &[1, 2, 3])) && out(memory.write(usize::MAX, &[1])));
    assert!(out(memory.read(11, &mut [])) && out(memory.to_vec(5..11).map(drop)));
    let (start, end) = (5, 4);
    assert!(out(memory.to_vec(start..end).map(drop)) && out(memory.as_array::<u8>(..11).map(drop)));
    assert!(matches!(memory.as_array::<u64>(4..), Err(Error::Option { .. })));
    assert_eq!(memory.as_array::<u64>(8..).expect("it lies within").len(), 0, "there is no room for one");
    assert_eq!(memory.as_array::<[u8; 3]>(1..).expect("it lies within").len(), 3);
    assert!(memory.write(10, &[]).is_ok() && memory.to_vec(..).expect("that is all") == [0; 10]);
}

// C124, C126
#[test]
fn a_list_keeps_what_it_is_given() {
    let first = [
        "howdy".into(),
        b"HoWdY".into(),
        (-273.154).into(),
        100.into(),
        ListItem::None,
        true.into(),
        42.into(),
        "tr\u{e4}iling\0\0".into(),
        b"\0\0nul\0\0\0".into(),
        "\u{1f980}".repeat(100).into(),
        "".into(),
        b"".into(),
        i64::MIN.into(),
        f64::MAX.into(),
    ];
    let list = ShareableList::new(first.clone()).expect(RUNS);
    assert_eq!((list.len(), list.to_vec().expect(RUNS)), (14, first.to_vec()));
    assert!(list.iter().rev().map(|item| item.expect(RUNS)).eq(first.iter().rev().cloned()));
    list.set(4, "now text").expect("it has room for 8 bytes");
    list.set(0, b"\0").expect("it fits");
    list.set(9, ListItem::None).expect("it fits");
    assert_eq!((list.get(4).expect(RUNS), list.get(0).expect(RUNS)), ("now text".into(), b"\0".into()));
    assert_eq!((list.count(42).expect(RUNS), list.count("42").expect(RUNS)), (1, 0));
    assert_eq!((list.index(true).expect(RUNS), list.index(false).expect(RUNS)), (Some(5), None));
    let copy = list.copy().expect(RUNS);
    copy.set(3, 7).expect("it fits");
    assert_eq!((list.get(3).expect(RUNS), copy.get(3).expect(RUNS)), (100.into(), 7.into()));
}

// C124
#[test]
fn what_does_not_fit_into_a_list_is_an_error_and_changes_nothing() {
    let list = ShareableList::new(["eight by", "16 bytes of text"]).expect(RUNS);
    assert!(matches!(list.set(0, "nine byte"), Err(Error::ItemTooLarge { size: 9, room: 8 })));
    assert!(matches!(list.set(2, 1), Err(Error::OutOfRange { start: 2, length: 2, .. })));
    assert!(matches!(list.get(usize::MAX), Err(Error::OutOfRange { .. })));
    assert_eq!((list.capacity(0).expect(RUNS), list.capacity(1).expect(RUNS)), (8, 16));
    assert_eq!(list.to_vec().expect(RUNS), ["eight by", "16 bytes of text"].map(ListItem::from));
    let none = ShareableList::new(Vec::<i64>::new()).expect(RUNS);
    assert!(none.is_empty() && none.to_vec().expect(RUNS).is_empty());
    assert!(none.index(1).expect(RUNS).is_none());
}

// C124
#[test]
fn a_list_is_opened_by_its_name() {
    run(async {
        let name = fresh("list");
        let list = ShareableList::create_named(&name, ["a", "b"]).expect(RUNS);
        ShareableList::open(&name).await.expect("it is there").set(1, 7).expect("it fits");
        assert_eq!(list.get(1).expect(RUNS), 7.into());
        assert_eq!(kind(SharedMemory::open(&name).await), ErrorKind::InvalidData, "it is no memory of bytes");
        list.unlink().expect("it is ours");
        assert_eq!(kind(ShareableList::blocking_open(&name)), ErrorKind::NotFound);
        assert_eq!(kind(list.unlink()), ErrorKind::NotFound);
    });
}

// C123
#[test]
fn names_that_a_manager_has_given_go_with_it() {
    let manager = SharedMemoryManager::new();
    let memories = [1, 2].map(|size| manager.shared_memory(size).expect(RUNS));
    let list = manager.shareable_list([1, 2]).expect(RUNS);
    let names = memories.each_ref().map(|memory| memory.name().expect("it has one").to_owned());
    assert!(names.iter().all(|name| SharedMemory::blocking_open(name).is_ok()));
    manager.shutdown();
    assert!(names.iter().all(|name| kind(SharedMemory::blocking_open(name)) == ErrorKind::NotFound));
    assert!(memories[1].write(0, &[1, 2]).is_ok() && list.get(1).expect(RUNS) == 2.into());
    assert!(matches!(manager.shared_memory(1), Err(Error::Closed)));
    assert!(matches!(manager.shareable_list([1]), Err(Error::Closed)));
    manager.shutdown();
    let name = {
        let manager = SharedMemoryManager::default();
        manager.shared_memory(1).expect(RUNS).name().expect("it has one").to_owned()
    };
    assert_eq!(kind(SharedMemory::blocking_open(&name)), ErrorKind::NotFound);
}

/// This test once more, as a program that has nothing to do with this one.
struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it, and waits until it is ready.
    fn start(test: &str, name: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("a test has a file"));
        command.args([test, "--exact", "--ignored", "--nocapture"]).env(NAME, name);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut output = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            assert!(output.read_line(&mut line).expect("it is text") > 0, "it ends before it is ready");
        }
        Self { child, output }
    }

    fn end(mut self) {
        self.child.stdin.take().expect("it is a pipe").write_all(b"end\n").expect("it listens");
        let said = std::io::read_to_string(self.output).expect("it is text");
        assert!(self.child.wait().expect("it is our child").success(), "{said}");
    }

    fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
    }
}

const NAME: &str = "MULTIPROCESS_TEST_MEMORY";

fn until_told() {
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("somebody is there");
}

#[test]
#[ignore = "another test runs it as a program of its own"]
fn owner_program() {
    let name = std::env::var(NAME).expect("it is told");
    let memory = SharedMemory::create_named(&name, 100).expect(RUNS);
    memory.write(0, b"owner").expect("it lies within");
    until_told();
    assert_eq!(memory.to_vec(..5).expect("it lies within"), b"guest");
}

#[test]
#[ignore = "another test runs it as a program of its own"]
fn guest_program() {
    let memory = SharedMemory::blocking_open(&std::env::var(NAME).expect("it is told")).expect("it is there");
    memory.write(0, b"guest").expect("it lies within");
    until_told();
}

// C119, C121
#[test]
fn programs_that_have_nothing_to_do_with_each_other_share_memory() {
    let name = fresh("programs");
    let owner = Program::start("owner_program", &name);
    let memory = SharedMemory::blocking_open(&name).expect("it is there");
    assert_eq!(memory.to_vec(..5).expect("it lies within"), b"owner");
    for kill in [true, false] {
        let guest = Program::start("guest_program", &name);
        if kill {
            guest.kill();
        } else {
            guest.end();
        }
        assert_eq!(memory.to_vec(..5).expect("it lies within"), b"guest");
        assert!(SharedMemory::blocking_open(&name).is_ok(), "a guest takes nothing along");
    }
    owner.end();
    assert_eq!(kind(SharedMemory::blocking_open(&name)), ErrorKind::NotFound);
}

// C120, C127, fault 85
#[test]
fn a_name_is_gone_when_its_owner_is_killed_and_nothing_is_left() {
    let entries = || {
        let names = std::fs::read_dir("/dev/shm").map(|names| names.flatten().map(|name| name.file_name()));
        names.map_or(0, |names| names.filter(|name| name.to_string_lossy().contains("multiprocess")).count())
    };
    let (name, before) = (fresh("killed"), entries());
    for _ in 0..5 {
        let owner = Program::start("owner_program", &name);
        let guest = Program::start("guest_program", &name);
        let memory = SharedMemory::blocking_open(&name).expect("it is there");
        owner.kill();
        guest.kill();
        assert_eq!(kind(SharedMemory::blocking_open(&name)), ErrorKind::NotFound);
        assert_eq!(memory.to_vec(..5).expect("those that have it keep it"), b"guest");
    }
    assert_eq!(entries(), before);
}

/// A copy of the owner has its socket, but nobody answers there.
// fault 85
#[test]
fn a_copy_of_an_owner_that_is_gone_has_no_names() {
    alone(|| {
        let name = fresh("copied");
        let (mut read, write) = std::io::pipe().expect("there are descriptors left");
        let child = fork(|| {
            let memory = SharedMemory::create_named(&name, 1).expect(RUNS);
            let copy = fork(|| {
                loop {
                    std::thread::park();
                }
            });
            (&write).write_all(&copy.to_ne_bytes()).expect("somebody reads it");
            std::mem::forget(memory);
        });
        let mut copy = [0; 4];
        std::io::Read::read_exact(&mut read, &mut copy).expect("it tells it");
        support::census::until("it has ended", || reap(child));
        assert_eq!(kind(SharedMemory::blocking_open(&name)), ErrorKind::NotFound);
        signal(u32::from_ne_bytes(copy), SIGKILL);
    });
}

/// Head, count, writer, three lengths, and three items of a generation and twice their words.
const LIST_SIZE: u64 = 64 + 8 * (2 + 3 + 3 + 2 * (2 + 2 + 3));
/// The word that says who writes.
const LIST_WRITER: std::ops::Range<u64> = 64 + 8..64 + 16;

/// The files of the crate's memory in this process that are of this size.
fn memories(size: u64) -> Vec<std::fs::File> {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("it is our own").flatten();
    let files = descriptors.filter_map(|descriptor| {
        let to = std::fs::read_link(descriptor.path()).ok()?;
        let is_ours = to.to_string_lossy().contains("memfd:multiprocess");
        is_ours.then(|| std::fs::File::options().read(true).write(true).open(descriptor.path()).ok())?
    });
    files.filter(|file| file.metadata().is_ok_and(|data| data.len() == size)).collect()
}

/// Turns over a byte of the list's memory. How often it was found.
fn turn_over(list: ShareableList, at: u64) -> usize {
    let files = memories(LIST_SIZE);
    for file in &files {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("it lies within");
        file.write_all_at(&[!byte[0]], at).expect("it can be written");
    }
    drop(list);
    files.len()
}

// fault 90
async fn whatever_stands_in_the_memory_of_a_list_hurts_nobody() {
    let pool = ProcessPool::new(1).expect("the pool starts");
    for at in 0..LIST_SIZE {
        let list = ShareableList::new([ListItem::None, 7.into(), "ten bytes!".into()]).expect(RUNS);
        assert_eq!(pool.apply(turn_over, (list.clone(), at)).await.expect(RUNS), 1, "byte {at}");
        for index in 0..3 {
            let got = list.get(index);
            assert!(matches!(got, Ok(_) | Err(Error::Garbled { .. })), "byte {at}: {got:?}");
        }
        // Where it says that somebody writes, whoever writes waits for that.
        if !LIST_WRITER.contains(&at) {
            list.set(1, 8).expect("it fits");
            assert_eq!(list.get(1).expect("it was set"), 8.into(), "byte {at}");
        }
        match pool.apply(|list: ShareableList| list.to_vec().is_ok(), (list,)).await {
            Ok(_) | Err(Error::Decode { .. }) => {}
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    end(pool).await;
}

// fault 86
async fn a_peer_cannot_cut_the_memory() {
    let cuts = |memory: SharedMemory| {
        let errors: Vec<_> = memories(12_345 + 64).iter().map(|file| file.set_len(0).err()).collect();
        drop(memory);
        matches!(&errors[..], [Some(error)] if error.kind() == ErrorKind::PermissionDenied)
    };
    let (pool, memory) =
        (ProcessPool::new(1).expect("the pool starts"), SharedMemory::create(12_345).expect(RUNS));
    assert!(pool.apply(cuts, (memory.clone(),)).await.expect(RUNS));
    assert!(memory.write(12_344, &[1]).is_ok());
    end(pool).await;
}

// C244
async fn what_one_start_method_has_made_another_one_has() {
    let (memory, list) = (SharedMemory::create(10).expect(RUNS), ShareableList::new([0]).expect(RUNS));
    for (times, method) in (1_u8..).zip([StartMethod::Spawn, StartMethod::Forkserver]) {
        let writes = |memory: SharedMemory, list: ShareableList, times: u8| {
            memory.write(3, &[times]).is_ok() && list.set(0, times).is_ok()
        };
        let process =
            Context::new(method).spawn(writes, (memory.clone(), list.clone(), times)).expect("it starts");
        assert!(process.join().await.expect("it returns"), "{method}");
        assert_eq!(memory.to_vec(3..4).expect("it lies within"), [times], "{method}");
        assert_eq!(list.get(0).expect(RUNS), times.into(), "{method}");
    }
}

on_processes!(
    whatever_stands_in_the_memory_of_a_list_hurts_nobody,
    a_peer_cannot_cut_the_memory,
    what_one_start_method_has_made_another_one_has,
);

#[test]
fn nothing_else_can_serialize_them() {
    let (memory, list) = (SharedMemory::create(1).expect(RUNS), ShareableList::new([1]).expect(RUNS));
    let mut bytes = [0; 64];
    assert!(postcard::to_slice(&memory, &mut bytes).is_err());
    assert!(postcard::to_slice(&list, &mut bytes).is_err());
}

// C127, fault 85
#[test]
fn nothing_is_left_of_what_was_dropped() {
    alone(|| {
        let before = Census::after_the_first_pool();
        for _ in 0..3 {
            run(async {
                let memory = SharedMemory::create_with_new_name(10_000).expect(RUNS);
                let list = ShareableList::create_named(&fresh("census"), [1, 2]).expect(RUNS);
                let again =
                    SharedMemory::open(memory.name().expect("it has one")).await.expect("it is there");
                let pool = ProcessPool::new(1).expect("the pool starts");
                let back = pool.apply(|memory: SharedMemory, _: ShareableList| memory, (again, list)).await;
                drop((memory, back.expect(RUNS)));
                end(pool).await;
            });
            before.settles();
        }
    });
}
