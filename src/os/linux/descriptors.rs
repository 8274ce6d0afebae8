//! How many descriptors this process may have.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

/// From now on as many as it may ask for.
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
