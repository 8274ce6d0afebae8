//! Children that know nothing of pools: this program again, in a mode of its own. The floors are measured on them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::sample::timed;

const MODE: &str = "SUMMARY_CHILD";

/// Ends here if this process was started as such a child: says one byte, then gives every byte back.
pub(crate) fn serve_if_asked() {
    if std::env::var_os(MODE).is_none() {
        return;
    }
    let (mut stdin, mut stdout) = (unbuffered_stdin(), unbuffered_stdout());
    let mut byte = [0];
    // An error or an end means that nobody wants an answer.
    while stdout.write_all(&byte).is_ok() && stdin.read_exact(&mut byte).is_ok() {}
    std::process::exit(0);
}

/// The standard streams without the buffers of `std::io`, which are no part of the floor.
fn unbuffered_stdin() -> File {
    duplicate(std::os::fd::AsFd::as_fd(&std::io::stdin()))
}

fn unbuffered_stdout() -> File {
    duplicate(std::os::fd::AsFd::as_fd(&std::io::stdout()))
}

fn duplicate(stream: std::os::fd::BorrowedFd<'_>) -> File {
    stream.try_clone_to_owned().expect("a child has descriptors left").into()
}

/// A child that gives every byte back. Ends when it is dropped.
pub(crate) struct Pong {
    child: Child,
    to: Option<File>,
    from: File,
}

impl Pong {
    /// Starts it on two pipes, and does not wait for it.
    pub(crate) fn start() -> Self {
        let mut child = Self::spawn(Stdio::piped(), Stdio::piped());
        let to = child.stdin.take().expect("it was piped");
        let from = child.stdout.take().expect("it was piped");
        Self { child, to: Some(OwnedFd::from(to).into()), from: OwnedFd::from(from).into() }
    }

    /// As `start`, on a pair of sockets.
    pub(crate) fn start_on_a_socket() -> Self {
        let copy = |end: &UnixStream| OwnedFd::from(end.try_clone().expect("there are descriptors left"));
        let (ours, theirs) = UnixStream::pair().expect("there are descriptors left");
        let child = Self::spawn(copy(&theirs).into(), copy(&theirs).into());
        Self { child, to: Some(copy(&ours).into()), from: OwnedFd::from(ours).into() }
    }

    fn spawn(stdin: Stdio, stdout: Stdio) -> Child {
        let program = std::env::current_exe().expect("a program has a path");
        let mut command = Command::new(program);
        command.env(MODE, "pong").stdin(stdin).stdout(stdout).spawn().expect("a child can be started")
    }

    /// Waits for its first byte.
    pub(crate) fn arrived(mut self) -> Self {
        self.from.read_exact(&mut [0]).expect("the child says its first byte");
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The times of so many round trips of one byte.
    pub(crate) fn ping(&mut self, count: u32) -> Vec<Duration> {
        (0..count).map(|_| timed(|| self.exchange()).0).collect()
    }

    fn exchange(&mut self) {
        let to = self.to.as_mut().expect("it is open until the drop");
        to.write_all(&[1]).expect("the child reads");
        self.from.read_exact(&mut [0]).expect("the child answers");
    }
}

impl Drop for Pong {
    fn drop(&mut self) {
        self.to = None;
        // The other direction of a socket keeps it open.
        let _closed = rustix::net::shutdown(&self.from, rustix::net::Shutdown::Both);
        let _ended = self.child.wait();
    }
}
