//! SHA-256 of every file below the given paths (or `.`), on all cores, printed as coreutils' `sha256sum` does, in the
//! order of `find PATH -type f | LC_ALL=C sort`. What cannot be read is named on stderr, and the exit code is 1 then:
//! `cargo run --release --example sha256 -- PATH...`

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::ExitCode;

use futures::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use walkdir::{DirEntry, WalkDir};

fn sha256(path: &OsStr) -> io::Result<[u8; 32]> {
    let kind = std::fs::metadata(path)?;
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut block) = (Sha256::new(), vec![0; 64 * 1024]);
    while let length @ 1.. = file.read(&mut block)? {
        hasher.update(&block[..length]);
    }
    Ok(hasher.finalize().into())
}

/// Files below `root`, sorted by their whole paths, and what cannot be read. Only `root` may be a link.
fn walk(root: OsString) -> impl Iterator<Item = OsString> {
    let slash = |entry: &DirEntry| if entry.file_type().is_dir() { "/" } else { "" };
    let entries = WalkDir::new(&root)
        .sort_by_key(move |entry| [entry.file_name(), slash(entry).as_ref()].map(OsStr::as_bytes).concat());
    entries.into_iter().filter_map(move |entry| match entry {
        Ok(entry) if entry.file_type().is_file() => Some(entry.into_path().into()),
        Ok(entry) => (entry.depth() == 0 && !entry.path().is_dir()).then(|| entry.into_path().into()),
        Err(error) => Some(error.path().unwrap_or(root.as_ref()).into()),
    })
}

/// A name with a backslash or the end of a line is escaped, and a backslash before the hash says so.
fn line(hash: [u8; 32], path: &OsStr) -> Vec<u8> {
    let name = path.as_bytes().iter().flat_map(|byte| match byte {
        b'\\' => b"\\\\",
        b'\n' => b"\\n",
        b'\r' => b"\\r",
        byte => std::slice::from_ref(byte),
    });
    let name: Vec<u8> = name.copied().collect();
    let mark = if name.len() == path.len() { "" } else { "\\" };
    let hex = hash.map(|byte| format!("{byte:02x}")).concat();
    [mark.as_bytes(), hex.as_bytes(), b"  ", &name, b"\n"].concat()
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let here = (std::env::args_os().len() == 1).then(|| ".".into());
    let paths: Vec<_> = std::env::args_os().skip(1).chain(here).flat_map(walk).collect();
    let bar = indicatif::ProgressBar::new(paths.len() as u64);
    let pool = multiprocess::ProcessPool::builder().build()?;
    // A path travels as bytes, since it need not be UTF-8, and an error as text.
    let task = |path| sha256(&OsString::from_vec(path)).map_err(|error| error.to_string());
    let inputs = paths.clone().into_iter().map(OsString::into_vec);
    let mut batches = pool.imap(task, inputs).zip(stream::iter(paths)).ready_chunks(1_000);
    let mut failed = false;
    while let Some(batch) = batches.next().await {
        bar.inc(batch.len() as u64);
        let (mut lines, mut errors) = (Vec::new(), Vec::new());
        for (result, path) in batch {
            match result.map_err(|error| error.to_string()).flatten() {
                Ok(hash) => lines.extend(line(hash, &path)),
                Err(reason) => writeln!(errors, "sha256: {}: {reason}", path.display())?,
            }
        }
        failed |= !errors.is_empty();
        match bar.suspend(|| io::stderr().write_all(&errors).and(io::stdout().write_all(&lines))) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            written => written?,
        }
    }
    Ok(ExitCode::from(u8::from(failed)))
}
