//! A client's signs of life over a network, which the server answers with its own.
//!
//! A network that is cut tells nobody, and one side of a connection may live on without the other for a quarter of an hour. So the client asks over its first line, four times within the
//! time that it has for an answer. Without one it is lost for good: all its lines are cut, and nothing connects anew.
//!
//! 1. The client knows it before the server lets go: its time counts from when it has sent the last question that was answered, which the server has got later, and is
//!    shorter than the server's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::message::{Answer, Line, Request};
use crate::channel::Cutter;
use crate::error::{Error, Result};
use crate::os;

/// Signs of life within the time for one.
const OFTEN: u32 = 4;
/// Whatever a server says, it is not asked more often than so.
const LEAST: Duration = Duration::from_millis(10);

/// The signs of life of one client.
#[derive(Debug)]
pub(super) struct Pulse {
    fate: Arc<Fate>,
    /// Stopped by the process that has started it alone.
    task: os::Rooted<AbortHandle>,
}

/// What is lost with the server.
#[derive(Debug)]
struct Fate {
    is_lost: watch::Sender<bool>,
    lines: Mutex<Vec<Cutter>>,
}

/// How long a client waits for a server that waits so long for it.
pub(super) fn limit(wanted: Duration, patience: Duration) -> Duration {
    wanted.min(patience / OFTEN * (OFTEN - 1)).max(LEAST)
}

impl Pulse {
    /// Begins to ask over this line.
    pub(super) fn start(anchor: Arc<Line>, limit: Duration) -> Result<Self> {
        let runtime = os::net_runtime().map_err(|cause| Error::connection("connect", cause))?;
        let fate = Arc::new(Fate { is_lost: watch::Sender::new(false), lines: Mutex::default() });
        fate.watch(&anchor);
        os::end_when_untaken(&*anchor, limit);
        let asks = {
            let fate = Arc::clone(&fate);
            async move {
                beat(limit, || ask(Arc::clone(&anchor))).await;
                fate.lose();
            }
        };
        Ok(Self { fate, task: os::Rooted::new(runtime.spawn(asks).abort_handle()) })
    }

    /// Cuts this line when the server is lost.
    pub(super) fn watch(&self, line: &Line) {
        self.fate.watch(line);
    }

    /// Waits until the server is lost.
    pub(super) async fn lost(&self) {
        // Its sender is this one's.
        let mut is_lost = self.fate.is_lost.subscribe();
        let _lost = is_lost.wait_for(|is_lost| *is_lost).await;
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if !os::forked() {
            self.task.abort();
        }
    }
}

impl Fate {
    fn watch(&self, line: &Line) {
        let Some(cutter) = line.cutter() else { return };
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if *self.is_lost.borrow() {
            return cutter.cut();
        }
        lines.retain(Cutter::is_of_use);
        lines.push(cutter);
    }

    fn lose(&self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_lost.send_replace(true);
        for line in lines.drain(..) {
            line.cut();
        }
    }
}

/// Asks again and again; returns when no answer has come in time, or none can come any more.
async fn beat<F: Future<Output = Result<()>>>(limit: Duration, mut ask: impl FnMut() -> F) {
    let mut answered = Instant::now();
    let mut beats = interval((limit / OFTEN).max(Duration::from_nanos(1)));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let sent = Instant::now();
        match timeout_at(answered + limit, ask()).await {
            Ok(Ok(())) => answered = sent,
            _ => return,
        }
    }
}

async fn ask(anchor: Arc<Line>) -> Result<()> {
    anchor.send(&Request::Ping).await?;
    match anchor.recv().await? {
        Answer::Pong => Ok(()),
        _ => Err(Error::DecodeMessage { cause: "it answers another question".into() }),
    }
}

/// In a simulated network with a clock of its own.
#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Mutex as Turns;
    use turmoil::net::{TcpListener, TcpStream};
    use turmoil::{Builder, Sim};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);
    const WANTED: Duration = Duration::from_secs(20);
    const PORT: u16 = 5_000;

    /// When something happened, in milliseconds of the simulation; 0 if it has not.
    type When = Arc<AtomicU64>;

    fn note(when: &When) {
        let now = u64::try_from(turmoil::elapsed().as_millis()).expect("it is not for ever");
        when.store(now, Ordering::Relaxed);
    }

    fn at(when: &When) -> Duration {
        Duration::from_millis(when.load(Ordering::Relaxed))
    }

    /// A server that answers, and a client that asks; when each of them has given the other up.
    fn network() -> (Sim<'static>, When, When) {
        let builder = &mut Builder::new();
        let mut network = builder
            .simulation_duration(Duration::from_mins(10))
            .tick_duration(Duration::from_millis(100))
            .build();
        let (server_gave_up, client_gave_up) = (When::default(), When::default());
        let gave_up = Arc::clone(&server_gave_up);
        network.host("server", move || {
            let gave_up = Arc::clone(&gave_up);
            async move {
                let (mut line, _) = TcpListener::bind(("0.0.0.0", PORT)).await?.accept().await?;
                while let Ok(Ok(_ping)) = tokio::time::timeout(PATIENCE, line.read_u8()).await {
                    line.write_u8(2).await?;
                }
                note(&gave_up);
                std::future::pending().await
            }
        });
        let gave_up = Arc::clone(&client_gave_up);
        network.client("client", async move {
            let line = Arc::new(Turns::new(TcpStream::connect(("server", PORT)).await?));
            beat(limit(WANTED, PATIENCE), || ask(Arc::clone(&line))).await;
            note(&gave_up);
            std::future::pending().await
        });
        (network, server_gave_up, client_gave_up)
    }

    async fn ask(line: Arc<Turns<TcpStream>>) -> Result<()> {
        let failed = |cause| Error::connection("ask", cause);
        let mut line = line.lock().await;
        line.write_u8(1).await.map_err(failed)?;
        line.read_u8().await.map(drop).map_err(failed)
    }

    fn run_for(network: &mut Sim<'_>, time: Duration) {
        let end = network.elapsed() + time;
        while network.elapsed() < end {
            network.step().expect("nobody fails");
        }
    }

    // fault 99
    #[test]
    fn a_partition_is_noticed_in_time_and_by_the_client_first() {
        // Whenever it begins within the time between two questions.
        for late in 0..6 {
            let (mut network, server, client) = network();
            run_for(&mut network, Duration::from_secs(60 + late));
            assert_eq!((at(&server), at(&client)), Default::default(), "all is well");
            let cut = network.elapsed();
            network.partition("client", "server");
            run_for(&mut network, PATIENCE + Duration::from_secs(1));
            let (server, client) = (at(&server), at(&client));
            assert!(
                cut < client && client < cut + WANTED + Duration::from_secs(1),
                "{client:?} after {cut:?}"
            );
            assert!(
                client < server && server < cut + PATIENCE + Duration::from_secs(1),
                "{server:?} after {client:?}"
            );
        }
    }

    // fault 99
    #[test]
    fn what_is_held_back_for_less_than_the_time_is_no_loss() {
        let (mut network, server, client) = network();
        for _ in 0..5 {
            run_for(&mut network, Duration::from_secs(13));
            network.hold("client", "server");
            run_for(&mut network, Duration::from_secs(13));
            network.release("client", "server");
        }
        run_for(&mut network, Duration::from_mins(1));
        assert_eq!((at(&server), at(&client)), Default::default());
    }

    // fault 99
    #[test]
    fn a_network_that_is_repaired_too_late_brings_nothing_back() {
        let (mut network, server, client) = network();
        run_for(&mut network, Duration::from_secs(20));
        network.hold("client", "server");
        run_for(&mut network, Duration::from_secs(40));
        let (server_gave_up, client_gave_up) = (at(&server), at(&client));
        assert!(Duration::ZERO < client_gave_up && client_gave_up < server_gave_up);
        network.release("client", "server");
        run_for(&mut network, Duration::from_mins(1));
        assert_eq!((at(&server), at(&client)), (server_gave_up, client_gave_up));
    }

    #[test]
    fn a_client_never_waits_as_long_as_its_server() {
        let second = Duration::from_secs(1);
        assert_eq!(limit(second * 20, second * 30), second * 20);
        assert_eq!(limit(second * 20, second * 20), second * 15);
        assert_eq!(limit(Duration::MAX, second * 4), second * 3);
        assert_eq!(limit(second, Duration::ZERO), LEAST, "whatever a server says");
    }
}
