//! A process in a sandbox of its own.

use multiprocess::{Error, Process, Sandbox, worker};

use super::{lacks_landlock, open_socket};
use crate::support::on_processes;

async fn a_process_is_in_its_sandbox_when_it_comes_to_its_function() {
    let function = || (open_socket(), worker::sandbox().is_some_and(|held| held.is_whole()));
    let process = Process::builder().sandbox(Sandbox::required().no_network()).spawn(function, ());
    let (opened, holds) = process.expect("it starts").join().await.expect("it returns");
    assert!(opened.is_err() && holds, "{opened:?}");
}

async fn a_process_whose_sandbox_does_not_hold_never_comes_to_its_function() {
    if lacks_landlock() {
        return;
    }
    let sandbox = Sandbox::required().read_only("/no/such/place");
    let process = Process::builder().sandbox(sandbox).spawn(|| (), ()).expect("it starts");
    let joined = process.join().await;
    assert!(matches!(joined, Err(Error::Sandbox { .. })), "{joined:?}");
    assert_eq!(process.exit_code(), Some(1));
}

on_processes!(
    a_process_is_in_its_sandbox_when_it_comes_to_its_function,
    a_process_whose_sandbox_does_not_hold_never_comes_to_its_function,
);
