//! What a sandbox takes away of the file system, and what it leaves.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use multiprocess::{ProcessPool, Sandbox, worker};

use super::{Folder, NO_ACCESS, RUNS, code, lacks_landlock, read, sandboxed, write};
use crate::support::{end, on_processes};

async fn no_file_can_be_opened_where_none_is_allowed() {
    if lacks_landlock() {
        return;
    }
    let folder = Folder::new("none");
    let pool = sandboxed(Sandbox::required().no_files());
    assert_eq!(pool.apply(read, (folder.file(),)).await.expect(RUNS), NO_ACCESS);
    let list = |path: PathBuf| code(fs::read_dir(path));
    assert_eq!(pool.apply(list, (folder.0.clone(),)).await.expect(RUNS), NO_ACCESS);
    end(pool).await;
}

async fn where_reading_is_allowed_files_are_read_and_not_written() {
    if lacks_landlock() {
        return;
    }
    let (folder, other) = (Folder::new("read"), Folder::new("read-not"));
    let pool = sandboxed(Sandbox::required().read_only(&folder.0));
    assert_eq!(pool.apply(read, (folder.file(),)).await.expect(RUNS), Ok(()));
    assert_eq!(pool.apply(read, (other.file(),)).await.expect(RUNS), NO_ACCESS);
    assert_eq!(pool.apply(write, (folder.file(),)).await.expect(RUNS), NO_ACCESS);
    let truncate = |path: PathBuf| code(rustix::fs::open(path, rustix::fs::OFlags::TRUNC, 0.into()));
    assert_eq!(pool.apply(truncate, (folder.file(),)).await.expect(RUNS), NO_ACCESS);
    assert_eq!(fs::read(folder.file()).expect("it is there"), b"old");
    end(pool).await;
}

async fn where_writing_is_allowed_files_are_made_and_removed() {
    if lacks_landlock() {
        return;
    }
    let (folder, other) = (Folder::new("write"), Folder::new("write-not"));
    let pool = sandboxed(Sandbox::required().read_write(&folder.0));
    let make_and_remove = |path: PathBuf| code(fs::write(&path, "new").and_then(|()| fs::remove_file(&path)));
    let in_folder = folder.0.join("other");
    assert_eq!(pool.apply(make_and_remove, (in_folder,)).await.expect(RUNS), Ok(()));
    let elsewhere = other.0.join("other");
    assert_eq!(pool.apply(make_and_remove, (elsewhere,)).await.expect(RUNS), NO_ACCESS);
    let remove = |path: PathBuf| code(fs::remove_file(path));
    assert_eq!(pool.apply(remove, (other.file(),)).await.expect(RUNS), NO_ACCESS);
    end(pool).await;
}

async fn a_single_file_can_be_allowed() {
    if lacks_landlock() {
        return;
    }
    let folder = Folder::new("single");
    let beside = folder.0.join("beside");
    fs::write(&beside, "old").expect("it can be written to");
    let pool = sandboxed(Sandbox::required().read_write(folder.file()));
    assert_eq!(pool.apply(write, (folder.file(),)).await.expect(RUNS), Ok(()));
    assert_eq!(pool.apply(read, (beside,)).await.expect(RUNS), NO_ACCESS);
    end(pool).await;
}

async fn a_path_need_not_be_text() {
    if lacks_landlock() {
        return;
    }
    let folder = Folder::new("bytes");
    let odd = folder.0.join(std::ffi::OsStr::from_bytes(b"\xff"));
    fs::create_dir(&odd).expect("any bytes are a name");
    let pool = sandboxed(Sandbox::required().read_only(odd));
    let reads_odd = |folder: PathBuf| code(fs::read_dir(folder.join(std::ffi::OsStr::from_bytes(b"\xff"))));
    assert_eq!(pool.apply(reads_odd, (folder.0.clone(),)).await.expect(RUNS), Ok(()));
    end(pool).await;
}

async fn what_the_initializer_has_opened_stays_open() {
    if lacks_landlock() {
        return;
    }
    let folder = Folder::new("opened");
    let sandbox = Sandbox::required().no_files();
    let builder = ProcessPool::builder().workers(1).sandbox(sandbox);
    let pool = builder.try_initializer(|path: PathBuf| File::open(path), (folder.file(),)).build();
    let pool = pool.expect("the pool starts");
    let read_open = || {
        let file = worker::state::<File>().expect("the pool has an initializer");
        io::read_to_string(&*file).expect("it is open")
    };
    assert_eq!(pool.apply(read_open, ()).await.expect(RUNS), "old");
    assert_eq!(pool.apply(read, (folder.file(),)).await.expect(RUNS), NO_ACCESS);
    end(pool).await;
}

on_processes!(
    no_file_can_be_opened_where_none_is_allowed,
    where_reading_is_allowed_files_are_read_and_not_written,
    where_writing_is_allowed_files_are_made_and_removed,
    a_single_file_can_be_allowed,
    a_path_need_not_be_text,
    what_the_initializer_has_opened_stays_open,
);
