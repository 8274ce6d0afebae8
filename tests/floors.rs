//! The floors of the house: a module names only lower floors, and what is special stays in its place.

use std::fs;
use std::path::{Path, PathBuf};

/// Every top-level module with its floor. `error` may be named by all, and `lib` names all.
const FLOORS: [(&str, u32); 17] = [
    ("os", 0),
    ("wait", 1),
    ("wire", 1),
    ("task", 2),
    ("sync", 3),
    ("channel", 3),
    ("queue", 4),
    ("shared", 4),
    ("worker", 4),
    ("backend", 5),
    ("dispatch", 6),
    ("pool", 7),
    ("process", 7),
    ("context", 8),
    ("dummy", 8),
    ("manager", 8),
    ("fuzzing", 8),
];

/// Where unsafe code is allowed: the operating system, and the few lines that turn a checked descriptor into a
/// call and remove a variable before `main`.
const UNSAFE: [&str; 3] = ["os/", "task/entry.rs", "worker/enter.rs"];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the sources are there");
    let named = |path: PathBuf| {
        let name = path.strip_prefix(&root).expect("it lies below the root").display().to_string();
        (name, fs::read_to_string(path).expect("it is text"))
    };
    files.into_iter().map(named).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn module(file: &str) -> &str {
    file.split(['/', '.']).next().expect("a path has a first part")
}

fn floor(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn code(line: &str) -> &str {
    line.split("//").next().expect("a line has a first part")
}

/// The top-level modules that a line of code names.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let after = code(line).split("crate::").skip(1);
    after.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""))
}

#[test]
fn every_module_has_a_floor() {
    for (file, _) in sources() {
        let module = module(&file);
        let known = floor(module).is_some() || ["lib", "error"].contains(&module);
        assert!(known, "{file} has no floor: give it one in tests/floors.rs and in ARCHITECTURE.md");
    }
}

#[test]
fn a_module_names_only_lower_floors() {
    for (file, text) in sources() {
        let Some(own) = floor(module(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for other in named(line).filter(|other| *other != module(&file)) {
                let allowed = other == "error" || floor(other).is_none_or(|other| other < own);
                assert!(allowed, "{file}:{}: floor {own} names `{other}`, which is not below it", number + 1);
            }
        }
    }
}

#[test]
fn the_operating_system_is_met_only_on_the_lowest_floor() {
    for (file, text) in sources().iter().filter(|(file, _)| !file.starts_with("os/")) {
        for (number, line) in text.lines().enumerate() {
            for word in ["target_os", "rustix::", "libc::"] {
                assert!(!code(line).contains(word), "{file}:{}: `{word}` belongs in os/", number + 1);
            }
        }
    }
}

#[test]
fn unsafe_code_stays_where_it_belongs() {
    for (file, text) in
        sources().iter().filter(|(file, _)| !UNSAFE.iter().any(|place| file.starts_with(place)))
    {
        for (number, line) in text.lines().enumerate() {
            let is_unsafe = code(line).split_whitespace().any(|word| word == "unsafe" || word == "unsafe{");
            assert!(!is_unsafe, "{file}:{}: unsafe code belongs in os/", number + 1);
        }
    }
}

// fault 72
#[test]
fn nothing_depends_on_the_time_of_day() {
    for (file, text) in sources() {
        for forbidden in ["SystemTime", "UNIX_EPOCH", "ClockId::Realtime"] {
            assert!(!text.lines().any(|line| code(line).contains(forbidden)), "{file} uses {forbidden}");
        }
    }
}

#[test]
fn the_ledger_does_no_io_and_reads_no_clock() {
    let sources = sources();
    let ledger = sources.iter().filter(|(file, _)| file.starts_with("dispatch/ledger/"));
    let ledger: Vec<_> = ledger.filter(|(file, _)| !file.contains("/tests/")).collect();
    assert!(ledger.len() > 3, "the ledger is there");
    for (file, text) in ledger {
        for forbidden in ["Instant::now", "std::fs", "std::io", "tokio", "Mutex"] {
            assert!(!text.lines().any(|line| code(line).contains(forbidden)), "{file} uses {forbidden}");
        }
    }
}
