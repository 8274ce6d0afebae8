//! The table of conformance is whole and true: every row is there, and every test that it names.

use std::fs;
use std::path::Path;

/// Rows of what Python promises, and of ways to hurt a pool.
const PROMISES: u32 = 247;
const FAULTS: u32 = 106;

fn table() -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    fs::read_to_string(tests.join("CONFORMANCE.md")).expect("the table is there")
}

#[test]
fn every_row_is_in_the_table_once() {
    let table = table();
    let promises = (1..=PROMISES).map(|row| format!("| C{row:03} |"));
    let faults = (1..=FAULTS).map(|row| format!("| {row} |"));
    for row in promises.chain(faults) {
        let times = table.lines().filter(|line| line.starts_with(&row)).count();
        assert_eq!(times, 1, "row {row} stands {times} times in the table");
    }
}

#[test]
fn every_test_that_the_table_names_is_there() {
    let table = table();
    let named = table.split('`').filter_map(|name| name.split_once("::")).filter(|(file, _)| is_file(file));
    let mut count = 0;
    for (file, test) in named {
        count += 1;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|_| panic!("tests/{file} is not there"));
        assert!(text.contains(&format!("fn {test}")), "{file} has no test {test}");
    }
    assert!(count > 200, "the table names tests: {count}");
}

fn is_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "rs")
}
