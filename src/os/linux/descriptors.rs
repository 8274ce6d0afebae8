//! How many descriptors this process may have, and what one is of.

use std::io;
use std::os::fd::AsFd;

use rustix::process::{Resource, getrlimit, setrlimit};

/// From now on as many as it may ask for.
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Which file, socket or the like a descriptor is of: all its copies are of the same, in whichever process.
pub(crate) fn identity_of(fd: impl AsFd) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}
