//! A gate holds tasks, in whichever process, until the test opens it; and the test can wait until they are there.

use std::io::Read as _;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::PathBuf;

use tokio::net::{UnixListener, UnixStream};

/// The test's side. Dropping it lets everybody go.
pub struct Gate {
    listener: UnixListener,
    path: PathBuf,
    held: Vec<UnixStream>,
}

impl Gate {
    pub fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("multiprocess-gate-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let listener = UnixListener::bind(&path).expect("a socket can be made");
        Self { listener, path, held: Vec::new() }
    }

    /// What tasks are handed, for `pass`.
    pub fn key(&self) -> String {
        self.path.to_str().expect("the path is text").to_owned()
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

impl Drop for Gate {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// The task's side: arrives at the gate and stands there until it is let go.
pub fn pass(key: &str) {
    let Ok(mut stream) = BlockingStream::connect(key) else { return };
    let mut nothing = [0];
    let _let_go = stream.read(&mut nothing);
}

/// A task that does nothing but stand at the gate.
pub fn stand(key: String) -> u32 {
    pass(&key);
    std::process::id()
}
