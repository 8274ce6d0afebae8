//! Travelling handles: files, sockets and pipes as arguments and results of tasks, and what becomes of them if something goes wrong.

mod support;

use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::io::{Read as _, Seek as _, Write as _, pipe};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use multiprocess::{Error, Handle, Kind};
use support::{end, on_both, pool};

// conformance C049
async fn a_file_goes_in_and_is_read_there<K: Kind>() {
    let pool = pool::<K>(1);
    let file = File::open("/proc/self/status").expect("it is there");
    let read = |mut file: Handle<File>| {
        let mut text = String::new();
        file.read_to_string(&mut text).map(|_| text).ok()
    };
    let text = pool.apply(read, (Handle::new(file),)).await.expect("it comes").expect("it can be read");
    assert!(text.starts_with("Name:"));
    end(pool).await;
}

on_both!(a_file_goes_in_and_is_read_there);
