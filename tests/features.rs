//! Tests that need a feature are run by somebody, and whoever leaves them out is told.

mod support;

use std::fs;
use std::path::Path;

use support::skipped;

/// The command of the README, which `.ci/run` calls: it leaves nothing out.
const WHOLE: &str = "cargo test --all-features";

/// The test files that are nothing without a feature, with that.
fn gated() -> Vec<(String, String)> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let gate = |path: &Path| {
        let file = if path.is_dir() { path.join("main.rs") } else { path.to_owned() };
        let text = fs::read_to_string(file).ok()?;
        let feature = text.split_once("#![cfg(feature = \"")?.1.split_once('"')?.0.to_owned();
        Some((path.file_stem()?.to_str()?.to_owned(), feature))
    };
    let entries = fs::read_dir(tests).expect("it is there").flatten();
    entries.filter_map(|entry| gate(&entry.path())).filter(|(file, _)| file != "features").collect()
}

#[test]
fn every_test_that_needs_a_feature_is_run_with_it() {
    let gated = gated();
    assert!(gated.len() >= 5, "{gated:?}");
    for (file, feature) in gated {
        let is_on = match feature.as_str() {
            "net" => cfg!(feature = "net"),
            "tls" => cfg!(feature = "tls"),
            "sandbox" => cfg!(feature = "sandbox"),
            other => panic!("a feature that this test does not know: {other}"),
        };
        if !is_on {
            skipped(format!("the test {file} needs the feature {feature}: {WHOLE} --test {file}"));
        }
    }
}

#[test]
fn the_command_of_the_readme_leaves_nothing_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("it is there");
    assert!(readme.lines().any(|line| line == WHOLE), "the README runs the tests with {WHOLE}");
    let Ok(script) = fs::read_to_string(root.join(".ci/run")) else {
        return skipped("this is not the repository");
    };
    let last = script.lines().next_back();
    assert_eq!(last, Some(&*format!("step {WHOLE}")), "the command of the README ends .ci/run");
}
