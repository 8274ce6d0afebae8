//! One function in a process of its own: start, join, terminate, and how it ended.
//! `cargo run --release --example process`

use std::time::Duration;

use multiprocess::{Error, Process, current_process, parent_process};

fn info(title: &str) {
    let parent = parent_process().map(|parent| parent.name().to_owned());
    println!("{title}: {}, started by {}", current_process().name(), parent.as_deref().unwrap_or("nobody"));
}

fn greet(name: String) -> String {
    info("greet");
    format!("hello {name}")
}

fn wait_for_ever() {
    loop {
        std::thread::park();
    }
}

#[tokio::main]
async fn main() -> multiprocess::Result<()> {
    info("main");
    let process = Process::spawn(greet, ("bob".to_owned(),))?;
    println!("it said {:?}", process.join().await?);
    println!("exit code {:?}", process.exit_code());

    let process = Process::builder().name("sleeper").daemon(true).spawn(wait_for_ever, ())?;
    let waited = process.join_timeout(Duration::from_millis(10)).await;
    assert!(matches!(waited, Err(Error::TimedOut { .. })), "it never ends by itself");
    println!("{} is alive: {}", process.name(), process.is_alive());
    process.terminate()?;
    match process.join().await {
        Err(Error::WorkerDied(death)) => println!("{} ended with {}", process.name(), death.exit),
        other => panic!("unexpected: {other:?}"),
    }
    println!("exit code {:?}, alive: {}", process.exit_code(), process.is_alive());

    let process = Process::spawn(|| -> u8 { std::process::exit(8) }, ())?;
    assert!(process.join().await.is_err(), "it has returned nothing");
    println!("exit code {:?}", process.exit_code());

    let process = Process::spawn(|n: u32| 100 / n, (0,))?;
    match process.join().await {
        Err(Error::Panicked(panic)) => println!("it panicked: {}", panic.message),
        other => panic!("unexpected: {other:?}"),
    }
    println!("exit code {:?}", process.exit_code());
    Ok(())
}
