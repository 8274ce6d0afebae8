//! What a listener leaves in the file system while it is there.

use std::fs::{DirBuilder, remove_dir, remove_file};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::os;

/// It is removed with the listener, by the process that has made it and by no copy of that.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// The directory that was made for it alone.
    directory: Option<PathBuf>,
    maker: u32,
}

impl Place {
    /// A path that is ours.
    pub(super) fn of(path: PathBuf) -> Self {
        Self { path, directory: None, maker: std::process::id() }
    }

    /// A path that nobody else has, in a directory that only this user can open.
    pub(super) fn of_nobody_else() -> io::Result<Self> {
        let random = u128::from_ne_bytes(os::random()?);
        let directory = std::env::temp_dir().join(format!("multiprocess-{random:032x}"));
        DirBuilder::new().mode(0o700).create(&directory)?;
        let mut place = Self::of(directory.join("listener"));
        place.directory = Some(directory);
        Ok(place)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.maker != std::process::id() {
            return;
        }
        // Somebody may have removed them already, which is as good.
        let _gone = remove_file(&self.path);
        if let Some(directory) = &self.directory {
            let _gone = remove_dir(directory);
        }
    }
}
