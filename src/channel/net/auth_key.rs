//! The key by which processes that talk over a network know each other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::{Error, Result};
use crate::os;

/// Bytes of a key.
const LENGTH: usize = 32;

/// What both sides of a connection have to know: 32 random bytes. Python: `authkey`.
///
/// Whoever has it can connect, and can pass for the listener; nobody else can, and nobody else can read or change what is sent. It is no password: it is made by
/// [`generate`](Self::generate) and handed to the other side by a way that is safe, as an argument of a [`Process`](crate::Process), in a file that only its user can read, or
/// in the secrets of whatever starts the program. It is never shown by `Debug`, its memory is overwritten when it is dropped, and comparing two takes always the same time.
///
/// A program and the processes below it have one in common: `AuthKey::try_from(current_process().authkey())`.
///
/// # Examples
///
/// ```
/// use multiprocess::AuthKey;
///
/// let key = AuthKey::generate();
/// let text = key.to_hex();
/// assert_eq!(text.parse::<AuthKey>()?, key);
/// assert_ne!(AuthKey::generate(), key);
/// assert!("secret".parse::<AuthKey>().is_err());
/// # Ok::<(), multiprocess::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct AuthKey([u8; LENGTH]);

impl AuthKey {
    /// A new key, of the kernel's randomness.
    ///
    /// # Panics
    ///
    /// If the kernel has no random bytes, which no kernel of these days says.
    ///
    /// # Examples
    ///
    /// See [`AuthKey`].
    #[must_use]
    pub fn generate() -> Self {
        let mut key = Self([0; LENGTH]);
        for half in key.0.chunks_mut(LENGTH / 2) {
            half.copy_from_slice(&os::random().expect("the kernel has random bytes for everybody"));
        }
        key
    }

    /// The bytes, for whoever stores them.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{AuthKey, current_process};
    ///
    /// let key = AuthKey::try_from(current_process().authkey())?;
    /// assert_eq!(key.as_bytes(), current_process().authkey());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// The key as 64 hexadecimal digits, as [`FromStr`] reads it. The text is a secret too.
    ///
    /// # Examples
    ///
    /// See [`AuthKey`].
    #[must_use]
    pub fn to_hex(&self) -> String {
        use fmt::Write as _;
        let mut text = String::with_capacity(2 * LENGTH);
        for byte in self.0 {
            write!(text, "{byte:02x}").expect("a string takes everything");
        }
        text
    }
}

impl Drop for AuthKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// In constant time.
impl PartialEq for AuthKey {
    fn eq(&self, other: &Self) -> bool {
        let differing = self.0.iter().zip(&other.0).fold(0, |differing, (one, two)| differing | (one ^ two));
        std::hint::black_box(differing) == 0
    }
}

impl Eq for AuthKey {}

impl From<[u8; LENGTH]> for AuthKey {
    fn from(mut bytes: [u8; LENGTH]) -> Self {
        let key = Self(bytes);
        bytes.zeroize();
        key
    }
}

/// Of exactly 32 bytes: shorter ones can be guessed, and longer ones would be cut.
impl TryFrom<&[u8]> for AuthKey {
    type Error = Error;

    fn try_from(bytes: &[u8]) -> Result<Self> {
        let bytes = Zeroizing::new(bytes.try_into().map_err(|_| wrong_length(bytes.len()))?);
        Ok(Self(*bytes))
    }
}

/// Of 64 hexadecimal digits, with blanks around them or not.
impl FromStr for AuthKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        for pair in text.as_bytes().chunks(2) {
            let [high, low] = *pair else { return Err(not_hexadecimal()) };
            bytes.push(digit(high)? << 4 | digit(low)?);
        }
        Self::try_from(&bytes[..])
    }
}

/// Without the key.
impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthKey(..)")
    }
}

fn digit(character: u8) -> Result<u8> {
    let digit = char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digit.ok_or_else(not_hexadecimal)
}

fn not_hexadecimal() -> Error {
    Error::AuthKey { why: format!("as text it has {} hexadecimal digits", 2 * LENGTH) }
}

fn wrong_length(length: usize) -> Error {
    Error::AuthKey { why: format!("it has {length} bytes, and must have {LENGTH}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    // fault 92
    #[test]
    fn a_key_of_another_length_is_refused() {
        for length in [0, 1, 16, 31, 33, 64] {
            let error = AuthKey::try_from(&vec![7; length][..]).expect_err("it has not 32 bytes");
            assert!(error.to_string().contains(&format!("it has {length} bytes")), "{error}");
        }
        for text in ["", "00", &"0".repeat(63), &"0".repeat(66), &"x".repeat(64), "ä"] {
            assert!(matches!(text.parse::<AuthKey>(), Err(Error::AuthKey { .. })), "{text}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = AuthKey::from([0xab; LENGTH]);
        assert_eq!(format!("{key:?}"), "AuthKey(..)");
        let text = format!("{}q", &key.to_hex()[1..]);
        let error = text.parse::<AuthKey>().expect_err("it is none");
        assert!(!format!("{error} {error:?}").contains("abab"), "{error:?}");
    }

    #[test]
    fn a_key_is_the_same_however_it_is_written() {
        let key = AuthKey::generate();
        assert_eq!(key, AuthKey::from(*key.as_bytes()));
        assert_eq!(key, format!(" {}\n", key.to_hex().to_uppercase()).parse().expect("it is one"));
        for at in 0..LENGTH {
            let mut other = *key.as_bytes();
            other[at] ^= 1;
            assert_ne!(key, AuthKey::from(other), "byte {at}");
        }
    }
}
