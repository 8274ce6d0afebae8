//! The server that the tasks wait for. It runs beside what is measured, not in it.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::work::mix;

/// How long a question takes.
const THOUGHT: Duration = Duration::from_millis(5);

/// Answers whoever comes, as long as the runtime is there.
pub(crate) async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // Whoever has asked enough goes away, which is no failure.
        tokio::spawn(answer(stream));
    }
}

#[expect(clippy::disallowed_methods, reason = "the time that an answer takes is what the tasks wait for")]
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let question = stream.read_u64().await?;
        tokio::time::sleep(THOUGHT).await;
        stream.write_u64(mix(question)).await?;
    }
}
