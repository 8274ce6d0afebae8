//! An item of a shared list, and its bytes there.
//!
//! ```text
//! | kind (1) | zeros (3) | length (4), of text and bytes | the value, least significant byte first |
//! ```

/// The bytes before the value.
pub(super) const HEAD: usize = 8;

const NONE: u8 = 0;
const BOOL: u8 = 1;
const INT: u8 = 2;
const FLOAT: u8 = 3;
const STR: u8 = 4;
const BYTES: u8 = 5;

/// A value in a [`ShareableList`](crate::ShareableList). Python: the types that a `ShareableList` takes.
///
/// # Examples
///
/// ```
/// use multiprocess::ListItem;
///
/// assert_eq!(ListItem::from("text"), ListItem::Str("text".to_owned()));
/// assert_eq!(ListItem::from(None::<i64>), ListItem::None);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum ListItem {
    /// Nothing. Python: `None`.
    None,
    /// True or false. Python: `bool`.
    Bool(bool),
    /// A whole number. Python: `int`.
    Int(i64),
    /// Any number. Python: `float`.
    Float(f64),
    /// Text. Python: `str`.
    Str(String),
    /// Bytes. Python: `bytes`.
    Bytes(Vec<u8>),
}

impl ListItem {
    /// As it stands in the list; nothing if its length has no room there.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let (kind, value): (u8, &[u8]) = match self {
            Self::None => (NONE, &[]),
            Self::Bool(value) => (BOOL, &[u8::from(*value)]),
            Self::Int(value) => (INT, &value.to_le_bytes()),
            Self::Float(value) => (FLOAT, &value.to_le_bytes()),
            Self::Str(text) => (STR, text.as_bytes()),
            Self::Bytes(bytes) => (BYTES, bytes),
        };
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(u32::try_from(value.len()).ok()?.to_le_bytes());
        bytes.extend(value);
        Some(bytes)
    }

    /// From the bytes of an item with its room; nothing if they are no value.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, room) = bytes.split_first_chunk::<HEAD>()?;
        let [kind, 0, 0, 0, length @ ..] = *head else { return None };
        let value = room.get(..usize::try_from(u32::from_le_bytes(length)).ok()?)?;
        Some(match (kind, value) {
            (NONE, []) => Self::None,
            (BOOL, [value @ (0 | 1)]) => Self::Bool(*value == 1),
            (INT, value) => Self::Int(i64::from_le_bytes(value.try_into().ok()?)),
            (FLOAT, value) => Self::Float(f64::from_le_bytes(value.try_into().ok()?)),
            (STR, text) => Self::Str(std::str::from_utf8(text).ok()?.to_owned()),
            (BYTES, bytes) => Self::Bytes(bytes.to_vec()),
            _ => return None,
        })
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident($convert:expr)),* $(,)?) => {
        $(
            impl From<$from> for ListItem {
                fn from(value: $from) -> Self {
                    let convert: fn($from) -> _ = $convert;
                    Self::$variant(convert(value))
                }
            }
        )*
    };
}

from!(
    bool => Bool(|value| value),
    i8 => Int(i64::from),
    i16 => Int(i64::from),
    i32 => Int(i64::from),
    i64 => Int(|value| value),
    u8 => Int(i64::from),
    u16 => Int(i64::from),
    u32 => Int(i64::from),
    f32 => Float(f64::from),
    f64 => Float(|value| value),
    &str => Str(str::to_owned),
    String => Str(|text| text),
    &[u8] => Bytes(<[u8]>::to_vec),
    Vec<u8> => Bytes(|bytes| bytes),
);

impl From<()> for ListItem {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl<const N: usize> From<&[u8; N]> for ListItem {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for ListItem {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

impl From<&Self> for ListItem {
    fn from(item: &Self) -> Self {
        item.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ListItem;

    fn item() -> impl Strategy<Value = ListItem> {
        prop_oneof![
            Just(ListItem::None),
            any::<bool>().prop_map(ListItem::Bool),
            any::<i64>().prop_map(ListItem::Int),
            any::<i32>().prop_map(|n| ListItem::Float(f64::from(n) / 8.0)),
            any::<String>().prop_map(ListItem::Str),
            any::<Vec<u8>>().prop_map(ListItem::Bytes),
        ]
    }

    proptest! {
        // C126
        #[test]
        fn an_item_comes_back_as_it_was_whatever_room_it_has(item in item(), room in 0_usize..20) {
            let mut bytes = item.to_bytes().expect("it is not too long");
            bytes.resize(bytes.len() + room, 0xff);
            prop_assert_eq!(ListItem::from_bytes(&bytes), Some(item));
        }

        // fault 90
        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            ListItem::from_bytes(&bytes);
        }
    }
}
