//! A web service whose requests compute: `cargo run --release --example web_server -- [ADDRESS]` (default
//! 127.0.0.1:3000), then `curl http://127.0.0.1:3000/primes/1000000`.
//!
//! - Too slow is 504, too many at once 503, a worker that died 502 (see `/crash`), and the service goes on.
//! - Too slow, or a client that goes away: the call is dropped, which cancels it. `/stats` counts them.
//! - Ctrl-C and SIGTERM let the requests that are under way finish, and then the pool.

use std::fmt::Display;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use multiprocess::{Apply, Error, Payload, ProcessPool, worker};
use tokio::signal::unix::{SignalKind, signal};

const LIMIT: Duration = Duration::from_secs(1);

type Answer = (StatusCode, String);

/// The task. It looks now and then whether its result is still wanted: no worker is kept busy for nobody.
fn count_primes(below: u64) -> usize {
    let wanted = (2..below).take_while(|_| !worker::is_cancelled());
    wanted.filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

fn failure(error: &Error) -> Answer {
    let status = match error {
        Error::QueueFull | Error::Closed => StatusCode::SERVICE_UNAVAILABLE,
        Error::WorkerDied(_) => StatusCode::BAD_GATEWAY,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, format!("{error}\n"))
}

async fn answer<T: Payload + Display>(call: multiprocess::Result<Apply<T>>) -> Result<Answer, Answer> {
    let call = call.map_err(|error| failure(&error))?;
    match tokio::time::timeout(LIMIT, call).await {
        Ok(Ok(value)) => Ok((StatusCode::OK, format!("{value}\n"))),
        Ok(Err(error)) => Err(failure(&error)),
        Err(late) => Err((StatusCode::GATEWAY_TIMEOUT, format!("{late}\n"))),
    }
}

async fn primes(State(pool): State<ProcessPool>, Path(below): Path<u64>) -> Result<Answer, Answer> {
    answer(pool.try_apply(count_primes, (below,))).await
}

async fn crash(State(pool): State<ProcessPool>) -> Result<Answer, Answer> {
    answer(pool.try_apply(|| -> u8 { std::process::abort() }, ())).await
}

async fn stats(State(pool): State<ProcessPool>) -> String {
    format!("{:#?}\n", pool.stats())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let pool = ProcessPool::builder().name("web").queue_limit(8).build()?;
    let routes = Router::new()
        .route("/primes/{below}", get(primes))
        .route("/crash", get(crash))
        .route("/stats", get(stats))
        .with_state(pool.clone());

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async move {
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
    };
    axum::serve(listener, routes).with_graceful_shutdown(stop).await?;
    pool.shutdown().await?;
    println!("all requests are answered");
    Ok(())
}
