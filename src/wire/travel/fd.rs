//! A descriptor that travels: what every handle is made of.

#[cfg(feature = "net")]
use std::any::Any;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(feature = "net")]
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{arriving, collecting};

/// A descriptor, shared by the value that holds it and the calls that carry it.
#[derive(Debug, Clone)]
pub(crate) struct Fd {
    fd: Arc<OwnedFd>,
    /// What it stands for in this process, as long as it is not sent to another one.
    #[cfg(feature = "net")]
    companion: Option<Companion>,
}

#[cfg(feature = "net")]
#[derive(Debug, Clone)]
struct Companion(Arc<dyn Any + Send + Sync>);

/// It is handed on, and nothing of it is changed here.
#[cfg(feature = "net")]
impl UnwindSafe for Companion {}
#[cfg(feature = "net")]
impl RefUnwindSafe for Companion {}

impl Fd {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Arc::new(fd).into()
    }

    /// One that stands for something else in this process.
    #[cfg(feature = "net")]
    pub(crate) fn standing_for(companion: Arc<dyn Any + Send + Sync>, fd: Arc<OwnedFd>) -> Self {
        Self { fd, companion: Some(Companion(companion)) }
    }

    /// What it stands for, if that is of this type.
    #[cfg(feature = "net")]
    pub(crate) fn stands_for<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.companion.as_ref()?.0).downcast().ok()
    }

    /// A share in it, for whoever needs it open.
    pub(crate) fn share(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.fd)
    }

    /// The descriptor for its only user, or a copy if there are others: on threads it travels without being sent.
    pub(crate) fn into_owned(self) -> io::Result<OwnedFd> {
        Arc::try_unwrap(self.fd).or_else(|shared| shared.try_clone())
    }
}

impl From<Arc<OwnedFd>> for Fd {
    fn from(fd: Arc<OwnedFd>) -> Self {
        Self {
            fd,
            #[cfg(feature = "net")]
            companion: None,
        }
    }
}

impl From<Fd> for Arc<OwnedFd> {
    fn from(fd: Fd) -> Self {
        fd.fd
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Serialize for Fd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = collecting::put(|| Ok(self.clone())).map_err(S::Error::custom)?;
        serializer.serialize_u8(place)
    }
}

impl<'de> Deserialize<'de> for Fd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        arriving::take(u8::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::wire::travel::{Arriving, Collecting};
    use crate::wire::{decode, encode};

    fn fd() -> Fd {
        Fd::new(io::pipe().expect("there are descriptors left").0.into())
    }

    fn number(fd: &Fd) -> i32 {
        fd.as_fd().as_raw_fd()
    }

    /// A value as it travels.
    fn sent<T: Serialize + 'static>(value: &T) -> (Result<Vec<u8>, String>, Vec<Fd>) {
        let (mut bytes, mut handles) = (Vec::new(), Vec::new());
        let collecting = Collecting::begin();
        let encoded = encode(value, &mut bytes);
        collecting.end(&mut handles);
        (encoded.map(|()| bytes), handles)
    }

    #[test]
    fn a_descriptor_within_one_process_is_shared_and_not_copied() {
        let pair = (fd(), 7_u8, fd());
        let (bytes, mut handles) = sent(&pair);
        let _arriving = Arriving::begin(&mut handles);
        let (first, seven, second) =
            decode::<(Fd, u8, Fd)>(&bytes.expect("it travels")).expect("all is there");
        assert_eq!((number(&first), seven, number(&second)), (number(&pair.0), 7, number(&pair.2)));
    }

    #[test]
    fn an_encoding_that_panics_leaves_the_one_around_it_as_it_was() {
        let outer = Collecting::begin();
        let (mut bytes, mut handles) = (Vec::new(), Vec::new());
        let (first, lost, second) = (fd(), fd(), fd());
        encode(&first, &mut bytes).expect("it travels");
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _inner = Collecting::begin();
            encode(&lost, &mut Vec::new()).expect("it travels");
            panic!("no more paper");
        }));
        assert!(panicked.is_err());
        encode(&second, &mut bytes).expect("it travels");
        outer.end(&mut handles);
        assert_eq!(bytes, [0, 1]);
        assert!(handles.iter().map(number).eq([number(&first), number(&second)]));
        assert_eq!(Arc::strong_count(&lost.fd), 1, "nobody keeps it");
    }

    #[test]
    fn a_decoding_that_ends_gives_the_one_around_it_its_handles_back() {
        let (mut outer, mut inner, mut none) = (vec![fd()], vec![fd(), fd()], Vec::new());
        let expected = number(&outer[0]);
        let _outer = Arriving::begin(&mut outer);
        let arriving = Arriving::begin(&mut inner);
        decode::<Fd>(&[1]).expect("it has two");
        let without = Arriving::begin(&mut none);
        decode::<Fd>(&[0]).expect_err("it has none");
        drop(without);
        decode::<Fd>(&[0]).expect("the other is there");
        drop(arriving);
        assert_eq!(number(&decode::<Fd>(&[0]).expect("it was not taken")), expected);
    }

    #[test]
    fn what_is_not_taken_is_closed() {
        let fd = fd();
        let mut handles = vec![fd.clone()];
        drop(Arriving::begin(&mut handles));
        assert_eq!((Arc::strong_count(&fd.fd), handles.len()), (1, 0));
    }

    #[test]
    fn what_is_told_of_a_refused_descriptor_is_told_once() {
        let nothing = Collecting::nothing();
        let refused = encode(&fd(), &mut Vec::new()).expect_err("it takes none");
        assert!(refused.contains("takes no handles"), "{refused}");
        drop(nothing);
        let (many, handles) = sent(&(0..65).map(|_| fd()).collect::<Vec<_>>());
        assert!(many.expect_err("they are too many").contains("more than 64 handles"));
        assert!(handles.is_empty());
        let outside = encode(&fd(), &mut Vec::new()).expect_err("there is no encoding of a call");
        assert_eq!(outside, "the type refused to be serialized");
    }
}
