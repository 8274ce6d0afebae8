//! A tally counts how often something was done, by whichever process.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use super::scratch;

/// The test's side.
pub struct Tally {
    path: PathBuf,
}

impl Tally {
    pub fn new() -> Self {
        let path = scratch("tally");
        std::fs::write(&path, "").expect("a file can be made");
        Self { path }
    }

    /// What tasks are handed, for `mark`.
    pub fn key(&self) -> String {
        self.path.to_str().expect("the path is text").to_owned()
    }

    /// How often it was marked.
    pub fn count(&self) -> usize {
        self.marks().len()
    }

    /// The bytes it was marked with, in the order they came.
    pub fn marks(&self) -> Vec<u8> {
        std::fs::read(&self.path).expect("the file is there")
    }

    /// What tasks told, a line each.
    pub fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.marks()).expect("it is text");
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// The task's side: one more, with a byte that says which.
pub fn mark(key: &str, which: u8) {
    let mut file = OpenOptions::new().append(true).open(key).expect("the tally is there");
    file.write_all(&[which]).expect("the file can be written");
}

/// The task's side: a line of text.
pub fn tell(key: &str, what: &str) {
    let mut file = OpenOptions::new().append(true).open(key).expect("the tally is there");
    file.write_all(format!("{what}\n").as_bytes()).expect("the file can be written");
}
