//! The records of a sealed connection. Each stands alone, sealed, and the lengths follow from what came before: nothing goes over the connection that is not sealed.
//!
//! ```text
//! | kind (1) | length (8), least significant first |   and then the bytes, in parts of 65,519 (16,384 with certificates) and a last one
//! ```

/// Bytes of a head, open.
pub(super) const OPEN: usize = 9;
/// Room that a connection keeps in each direction between messages.
pub(super) const KEPT: usize = 1024;

const MESSAGE: u8 = 1;
const PARTING: u8 = 2;

/// What a message begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// So many bytes follow.
    Message(u64),
    /// Nothing follows: the other end is closed.
    Parting,
}

impl Head {
    pub(super) fn to_bytes(self) -> [u8; OPEN] {
        let (kind, length) = match self {
            Self::Message(length) => (MESSAGE, length),
            Self::Parting => (PARTING, 0),
        };
        let mut bytes = [kind; OPEN];
        bytes[1..].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    /// Nothing if these are no head.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [kind, length @ ..] = *<&[u8; OPEN]>::try_from(bytes).ok()?;
        match (kind, u64::from_le_bytes(length)) {
            (MESSAGE, length) => Some(Self::Message(length)),
            (PARTING, 0) => Some(Self::Parting),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written_and_nothing_else_is_one() {
        for head in [Head::Message(0), Head::Message(7), Head::Message(u64::MAX), Head::Parting] {
            assert_eq!(Head::from_bytes(&head.to_bytes()), Some(head));
        }
        let partings = [[0; OPEN], [3; OPEN], [PARTING; OPEN]];
        assert!(partings.iter().all(|bytes| Head::from_bytes(bytes).is_none()));
        assert_eq!(Head::from_bytes(&[MESSAGE; OPEN - 1]), None);
    }
}
