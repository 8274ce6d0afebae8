//! Tests that need a feature are run by somebody, and whoever leaves them out is told.

mod support;

use std::fs;
use std::path::Path;

use support::skipped;

/// The test files that are nothing without a feature, with that.
fn gated() -> Vec<(String, String)> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let gate = |path: &Path| {
        let text = fs::read_to_string(path).ok()?;
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
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run");
    let Ok(script) = fs::read_to_string(script) else { return skipped("this is not the repository") };
    for (file, feature) in gated {
        let run = script.split_whitespace().any(|word| word == file);
        assert!(run, ".ci/run does not run tests/{file}.rs, which needs the feature {feature}");
        let is_on = match feature.as_str() {
            "net" => cfg!(feature = "net"),
            "tls" => cfg!(feature = "tls"),
            "sandbox" => cfg!(feature = "sandbox"),
            other => panic!("a feature that this test does not know: {other}"),
        };
        if !is_on {
            skipped(format!(
                "tests/{file}.rs needs the feature {feature}: cargo test --features {feature} --test {file}"
            ));
        }
    }
}
