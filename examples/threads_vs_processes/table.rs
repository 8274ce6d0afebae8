//! The table: a block for each kind of work, a row for each measurement.

use crate::survey::{Row, Survey};

pub(crate) fn print(survey: &Survey) {
    println!("{}\n", survey.setting());
    println!(
        "{:<17} {:<24} {:>7} {:>8} {:>8} {:>9} {:>11}",
        "work", "done by", "workers", "wall s", "CPU s", "speed-up", "memory MiB"
    );
    for block in &survey.blocks {
        for row in &block.rows {
            print_row(block.kind.name(), row);
        }
        println!();
    }
    println!("wall      from before the workers are started to the last result");
    println!(
        "CPU       user and system time of the program and its workers until then, in steps of 10 ms for each of them"
    );
    println!("speed-up  wall time of the serial run divided by this one");
    println!(
        "memory    of the program and its workers together at the last result; what they share counts once (PSS)"
    );
}

fn print_row(kind: &str, row: &Row) {
    let Row { trial, outcome, speed_up } = row;
    let (wall, cpu) = (outcome.wall.as_secs_f64(), outcome.cpu.as_secs_f64());
    println!(
        "{kind:<17} {:<24} {:>7} {wall:>8.3} {cpu:>8.2} {speed_up:>9.2} {:>11.1}",
        trial.runner,
        trial.workers,
        outcome.mebibytes()
    );
}
