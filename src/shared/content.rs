//! What the memory of each thing says that it is, so that nobody takes it for another one.

use crate::os::{Content, STRICTEST};

#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub(super) enum Kind {
    RawValue = 0x5241_0001,
    RawArray,
    Value,
    Array,
    Bytes,
    List,
    Encoded,
    Slice,
}

/// Memory of this kind, with elements of this type.
pub(super) fn content<T>(kind: Kind) -> Content {
    const {
        assert!(size_of::<T>() > 0, "a type without bytes cannot be shared");
        assert!(size_of::<T>() <= 1 << 30, "a type of more than 1 GiB cannot be shared");
        assert!(
            align_of::<T>() <= STRICTEST,
            "a type that is aligned to more than 64 bytes cannot be shared"
        );
    }
    let element = u32::try_from(size_of::<T>()).expect("it was just checked that it is not too large");
    Content { kind: kind as u32, element }
}
