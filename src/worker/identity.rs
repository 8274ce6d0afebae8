//! Who this process is.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use super::start_method;
use crate::os::{self, Maker};
use crate::wire::{AuthKey, Identity, Parent};

/// What the program itself is called, as in Python.
const MAIN: &str = "MainProcess";

/// Set in a worker by its first order, and in the program itself when somebody asks first.
static OURS: Mutex<Option<Arc<Ourselves>>> = Mutex::new(None);

/// Who this process is, and by what it sees its parent end.
#[derive(Debug)]
pub(crate) struct Ourselves {
    pub(crate) identity: Identity,
    maker: Option<Arc<Maker>>,
}

impl Ourselves {
    /// Readable once the parent has ended, where that can be had.
    pub(crate) fn parent(&self) -> Option<&OwnedFd> {
        self.maker.as_ref()?.pidfd()
    }

    /// Who a child of this process is. The number tells it from the others.
    pub(crate) fn child(&self, name: String, daemon: bool, number: &str) -> Identity {
        let parent = Parent { name: self.identity.name.clone(), pid: std::process::id() };
        Identity {
            name,
            daemon,
            path: self.path_of(number),
            parent: Some(parent),
            authkey: self.identity.authkey.clone(),
            start_method: start_method::chosen(),
        }
    }

    /// The path of a child with this number.
    pub(crate) fn path_of(&self, number: &str) -> String {
        match self.identity.path.as_str() {
            "" => number.to_owned(),
            path => format!("{path}:{number}"),
        }
    }
}

/// Who this process is.
pub(crate) fn ourselves() -> Arc<Ourselves> {
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(ours.get_or_insert_with(|| Arc::new(Ourselves { identity: program(), maker: None })))
}

/// From now on this process is the one that its parent says, whom it sees end by this, where it has that.
pub(super) fn become_known_as(identity: Identity, maker: Option<Arc<Maker>>) {
    if let Some(method) = identity.start_method {
        start_method::inherit(method);
    }
    *OURS.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(Ourselves { identity, maker }));
}

/// The name of the program's file.
pub(crate) fn program_name() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(|path| path.file_name());
    name.map_or_else(|| "multiprocess".into(), |name| name.to_string_lossy().into_owned())
}

fn program() -> Identity {
    let mut authkey = [0; 32];
    for half in authkey.chunks_mut(16) {
        half.copy_from_slice(&os::random().expect("the kernel has random bytes for everybody"));
    }
    Identity { name: MAIN.into(), authkey: AuthKey(authkey), ..Identity::default() }
}
