//! Who a process is: what it tells of itself, and what its children inherit.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::start_method::StartMethod;

/// Who a process is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) name: String,
    /// It ends with its parent.
    pub(crate) daemon: bool,
    /// The numbers of its ancestors and its own, which its children are named after: `1:2`. Nothing in the program itself.
    pub(crate) path: String,
    /// Who has started it. Of whoever has started the program itself nothing is known.
    pub(crate) parent: Option<Parent>,
    pub(crate) authkey: AuthKey,
    /// What was chosen for the whole program, if something was.
    pub(crate) start_method: Option<StartMethod>,
}

/// The process that has started another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parent {
    pub(crate) name: String,
    pub(crate) pid: u32,
}

/// What a program and all processes below it know, and nobody else.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuthKey(pub(crate) [u8; 32]);

/// What a worker is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Duty {
    /// It takes calls of its pool until there are no more.
    #[default]
    PoolWorker,
    /// It makes one call and ends.
    Process,
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthKey(..)")
    }
}
