//! Without `auto-entry`, and without `init`: a pool is an error that says what to do, and no process is started. // fault 54

use multiprocess::ProcessPool;

fn main() {
    let error = ProcessPool::new(2).expect_err("workers could not enter");
    assert!(error.to_string().contains("multiprocess::init()"), "{error}");
    println!("without init: ok");
}
