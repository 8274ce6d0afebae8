//! A gate holds tasks, in whichever process, until the test opens it; and the test can wait until they are there.

use std::io::Read as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener as BlockingListener, UnixStream as BlockingStream};

use tokio::net::{UnixListener, UnixStream};

use super::unique;

/// The test's side. Dropping it lets everybody go. Its socket has no file, so that nothing is left of a program that is killed.
pub struct Gate {
    listener: UnixListener,
    name: String,
    held: Vec<UnixStream>,
}

impl Gate {
    pub fn new() -> Self {
        let name = unique("gate");
        let listener = BlockingListener::bind_addr(&address(&name)).expect("a socket can be made");
        listener.set_nonblocking(true).expect("a socket can be set so");
        let listener = UnixListener::from_std(listener).expect("the test runs on a runtime");
        Self { listener, name, held: Vec::new() }
    }

    /// What tasks are handed, for `pass`.
    pub fn key(&self) -> String {
        self.name.clone()
    }

    /// Waits until one more task stands at the gate.
    pub async fn arrived(&mut self) {
        let (stream, _) = self.listener.accept().await.expect("the socket is open");
        self.held.push(stream);
    }

    /// Lets the task go that arrived first of those that stand there.
    pub fn let_one_go(&mut self) {
        drop(self.held.remove(0));
    }

    /// Lets all go that stand there.
    pub fn let_all_go(&mut self) {
        self.held.clear();
    }
}

fn address(name: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(name).expect("a name is short")
}

/// The task's side: arrives at the gate and stands there until it is let go.
pub fn pass(key: &str) {
    let Ok(mut stream) = BlockingStream::connect_addr(&address(key)) else { return };
    let mut nothing = [0];
    let _let_go = stream.read(&mut nothing);
}

/// A task that does nothing but stand at the gate.
pub fn stand(key: String) -> u32 {
    pass(&key);
    std::process::id()
}
