//! Processes or threads? Four kinds of work, done serially, by threads and by processes, in a table and a chart:
//! `cargo run --release --example threads_vs_processes -- [--tasks N] [--rounds N] [--out DIRECTORY]`.
//!
//! `--tasks` is how many of each kind are done (default: 96), `--rounds` takes each measurement N times and keeps the fastest, and the chart goes to DIRECTORY
//! (default: the current one) as `threads_vs_processes.svg` and `.png`.

mod chart;
mod measure;
mod options;
mod panel;
mod runner;
mod server;
mod survey;
mod table;
mod trial;
mod work;

use std::error::Error;

use options::Options;
use survey::Survey;
use tokio::net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == trial::MARK).is_some() {
        return trial::run(arguments);
    }
    compare(Options::parse(arguments)?)
}

#[tokio::main]
async fn compare(options: Options) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(&options.out)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    tokio::spawn(server::serve(listener));
    let survey = Survey::take(options.tasks, options.rounds, server).await?;
    table::print(&survey);
    for path in chart::write(&survey, &options.out)? {
        println!("chart: {}", path.display());
    }
    Ok(())
}
