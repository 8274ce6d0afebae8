//! Values of tasks and results as postcard bytes, decoded within a budget because the bytes of a peer are not
//! trusted.
//!
//! A `Vec<u8>` is the usual large value, and serde would move it byte by byte. It is copied at once instead,
//! which writes and reads the very same bytes: a varint length and the raw bytes.

use std::any::Any;

use postcard::ser_flavors::Flavor;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use crate::wire::budget::{self, Budget, Cause, Failure};
use crate::wire::travel::{Arriving, Collecting, Fd, take_refusal};

/// Appends one value to `out`.
///
/// # Errors
///
/// The text of the cause when the value cannot be encoded; `out` is then what it was.
#[inline]
pub(crate) fn encode<T: Serialize + 'static>(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
    let len = out.len();
    write(value, out).map_err(|error| {
        out.truncate(len);
        take_refusal().unwrap_or_else(|| describe(&error))
    })
}

#[inline]
fn write<T: Serialize + 'static>(value: &T, out: &mut Vec<u8>) -> postcard::Result<()> {
    let mut serializer = postcard::Serializer { output: Appended(out) };
    match (value as &dyn Any).downcast_ref::<Vec<u8>>() {
        Some(bytes) => serializer.serialize_bytes(bytes),
        None => value.serialize(&mut serializer),
    }
}

/// Decodes one value from the front of `input`, moves `input` behind it and charges `budget`.
///
/// # Errors
///
/// The text of the cause when the bytes are not such a value or exceed the budget; `input` then stays where
/// it was.
#[inline]
pub(crate) fn take<T: DeserializeOwned + 'static>(
    input: &mut &[u8],
    budget: &mut Budget,
) -> Result<T, String> {
    let (value, rest) = read(input, budget).map_err(|failure| match failure.cause() {
        Cause::Refused(refusal) => refusal.to_string(),
        Cause::Wire(error) => describe(error),
    })?;
    *input = rest;
    Ok(value)
}

/// Decodes exactly one value with a budget of its own.
///
/// # Errors
///
/// As for [`take`], and when bytes trail behind the value.
#[inline]
pub(crate) fn decode<T: DeserializeOwned + 'static>(input: &[u8]) -> Result<T, String> {
    let mut rest = input;
    let value = take(&mut rest, &mut Budget::for_len(input.len()))?;
    match rest.len() {
        0 => Ok(value),
        trailing => Err(format!("{trailing} bytes trail behind the value")),
    }
}

/// The bytes of one value that is a message of its own, and its handles.
pub(crate) fn pack<T: Serialize + 'static>(value: &T) -> Result<(Vec<u8>, Vec<Fd>), String> {
    let (mut bytes, mut handles) = (Vec::new(), Vec::new());
    let collecting = Collecting::begin();
    let encoded = encode(value, &mut bytes);
    collecting.end(&mut handles);
    encoded.map(|()| (bytes, handles))
}

/// The value of a message, for which these handles have come.
pub(crate) fn unpack<T: DeserializeOwned + 'static>(bytes: &[u8], mut handles: Vec<Fd>) -> Result<T, String> {
    let _arriving = Arriving::begin(&mut handles);
    decode(bytes)
}

#[inline]
fn read<'a, T: DeserializeOwned + 'static>(
    input: &'a [u8],
    budget: &mut Budget,
) -> Result<(T, &'a [u8]), Failure<postcard::Error>> {
    let mut slot: Option<T> = None;
    let Some(bytes) = (&mut slot as &mut dyn Any).downcast_mut::<Option<Vec<u8>>>() else {
        return budget::deserialize(input, budget);
    };
    let (value, rest) = read_bytes(input, budget)?;
    *bytes = Some(value);
    Ok((slot.expect("the slot of this very type was filled"), rest))
}

/// Reads the bytes of a `Vec<u8>` at once.
///
/// Postcard lends them out of the input, so that a length beyond its end is refused before memory is
/// reserved.
fn read_bytes<'a>(
    input: &'a [u8],
    budget: &mut Budget,
) -> Result<(Vec<u8>, &'a [u8]), Failure<postcard::Error>> {
    let (bytes, rest) = postcard::take_from_bytes::<&[u8]>(input).map_err(Failure::wire)?;
    budget.charge(bytes.len())?;
    Ok((bytes.to_vec(), rest))
}

/// The end of a vector as the output of postcard, so that a small value costs no buffer of its own.
struct Appended<'o>(&'o mut Vec<u8>);

impl Flavor for Appended<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        // A number has at most 19 bytes, and for so few a loop in place is twice as fast as a call of memcpy.
        if bytes.len() < 20 {
            self.0.extend(bytes.iter().copied());
        } else {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }

    #[inline]
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// The cause in the words of this crate, as postcard's texts speak of its own plans and buffers.
#[cold]
pub(super) fn describe(error: &postcard::Error) -> String {
    use postcard::Error as E;
    match error {
        E::WontImplement => "the type asks for a self-describing format, which postcard is not",
        E::SerializeSeqLengthUnknown => "a sequence or map does not know its length beforehand",
        E::SerdeSerCustom => "the type refused to be serialized",
        E::CollectStrError => "the text of a value could not be formatted",
        E::DeserializeUnexpectedEnd => "the input ends within the value",
        E::DeserializeBadVarint => "a number does not fit its type",
        E::DeserializeBadBool => "a bool is neither 0 nor 1",
        E::DeserializeBadChar => "a char is not a unicode scalar value",
        E::DeserializeBadUtf8 => "a string is not utf-8",
        E::DeserializeBadOption => "the tag of an option is neither 0 nor 1",
        other => return format!("postcard failed: {other}"),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::net::IpAddr;
    use std::num::NonZeroU8;

    use proptest::collection::{btree_map, hash_map, vec};
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde::ser::Error;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Unit;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Newtype(i64);

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Pair(f64, u128);

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        Newtype(Box<Newtype>),
        Tuple(char, bool),
        Struct { text: String, bytes: Vec<u8> },
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Sample {
        nothing: (),
        unit: Unit,
        pair: Pair,
        tuple: (i8, u16, i32, f32, i128),
        shapes: Vec<Shape>,
        option: Option<(Option<u32>,)>,
        address: IpAddr,
        sorted: BTreeMap<String, Vec<Vec<u64>>>,
        hashed: HashMap<i16, Pair>,
    }

    fn shape() -> impl Strategy<Value = Shape> {
        prop_oneof![
            Just(Shape::Unit),
            any::<i64>().prop_map(|number| Shape::Newtype(Box::new(Newtype(number)))),
            any::<(char, bool)>().prop_map(|(letter, flag)| Shape::Tuple(letter, flag)),
            any::<(String, Vec<u8>)>().prop_map(|(text, bytes)| Shape::Struct { text, bytes }),
        ]
    }

    fn pair() -> impl Strategy<Value = Pair> {
        any::<(f64, u128)>().prop_map(|(float, integer)| Pair(float, integer))
    }

    fn sample() -> impl Strategy<Value = Sample> {
        let scalars =
            (pair(), any::<(i8, u16, i32, f32, i128)>(), any::<Option<(Option<u32>,)>>(), any::<IpAddr>());
        let collections = (
            vec(shape(), 0..5),
            btree_map(".{0,5}", vec(vec(any::<u64>(), 0..4), 0..4), 0..4),
            hash_map(any::<i16>(), pair(), 0..4),
        );
        (scalars, collections).prop_map(|((pair, tuple, option, address), (shapes, sorted, hashed))| Sample {
            nothing: (),
            unit: Unit,
            pair,
            tuple,
            shapes,
            option,
            address,
            sorted,
            hashed,
        })
    }

    fn one_sample() -> Sample {
        Sample {
            nothing: (),
            unit: Unit,
            pair: Pair(0.5, u128::MAX),
            tuple: (-1, 300, i32::MIN, 1.5, i128::MIN),
            shapes: vec![
                Shape::Unit,
                Shape::Newtype(Box::new(Newtype(-7))),
                Shape::Tuple('\u{df}', true),
                Shape::Struct { text: "text".to_owned(), bytes: vec![1, 2, 3] },
            ],
            option: Some((Some(1000),)),
            address: IpAddr::from([127, 0, 0, 1]),
            sorted: BTreeMap::from([("key".to_owned(), vec![vec![1, u64::MAX], vec![]])]),
            hashed: HashMap::from([(-2, Pair(-0.25, 1))]),
        }
    }

    fn encoded<T: Serialize + 'static>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out).expect("the value is plain data");
        out
    }

    fn plain<T: Serialize>(value: &T) -> Vec<u8> {
        postcard::to_stdvec(value).expect("the value is plain data")
    }

    fn refusal<T: DeserializeOwned + 'static>(input: &[u8]) -> String {
        decode::<T>(input).err().expect("the input is no such value")
    }

    proptest! {
        #[test]
        fn every_shape_of_serde_makes_the_round_trip_in_plain_postcard(value in sample()) {
            let bytes = encoded(&value);
            prop_assert_eq!(&bytes, &plain(&value));
            prop_assert_eq!(decode::<Sample>(&bytes), Ok(value));
        }

        #[test]
        fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
            let _ = decode::<Sample>(&bytes);
            let _ = decode::<Vec<Shape>>(&bytes);
            let _ = decode::<Vec<u8>>(&bytes);
            let _ = decode::<HashMap<String, Option<Pair>>>(&bytes);
        }

        #[test]
        fn a_wrong_byte_never_panics_and_is_read_as_postcard_reads_it(value in sample(), at: prop::sample::Index, byte: u8) {
            let mut bytes = encoded(&value);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let expected = postcard::take_from_bytes::<Sample>(&bytes).ok().filter(|(_, rest)| rest.is_empty());
            let expected = expected.map(|(value, _)| value);
            let decoded = decode::<Sample>(&bytes).ok();
            prop_assert_eq!(decoded.is_some(), expected.is_some());
            // The wrong byte may have made a NaN, which equals nothing.
            let incomparable = format!("{expected:?}").contains("NaN");
            prop_assert!(incomparable || decoded == expected);
        }

        #[test]
        fn bytes_copied_at_once_are_the_bytes_of_postcard(value: Vec<u8>) {
            let bytes = encoded(&value);
            prop_assert_eq!(&bytes, &plain(&value));
            prop_assert_eq!(decode::<Vec<u8>>(&bytes), Ok(value.clone()));
            prop_assert_eq!(decode::<(Vec<u8>,)>(&bytes), Ok((value,)));
        }
    }

    #[test]
    fn a_length_of_several_bytes_interoperates() {
        let value = vec![0xa5; 70_000];
        let bytes = plain(&value);
        assert_eq!(encoded(&value), bytes);
        assert_eq!(decode::<Vec<u8>>(&bytes), Ok(value));
    }

    #[test]
    fn values_are_appended_and_taken_one_after_the_other() {
        let mut out = vec![9];
        encode(&300_u64, &mut out).expect("a number can be encoded");
        encode(&vec![1_u8, 2], &mut out).expect("bytes can be encoded");
        encode(&"end".to_owned(), &mut out).expect("a string can be encoded");

        let mut rest = &out[1..];
        let mut budget = Budget::for_len(rest.len());
        assert_eq!(take::<u64>(&mut rest, &mut budget), Ok(300));
        assert_eq!(take::<Vec<u8>>(&mut rest, &mut budget), Ok(vec![1, 2]));
        assert_eq!(take::<String>(&mut rest, &mut budget), Ok("end".to_owned()));
        assert_eq!((out[0], rest), (9, &[][..]));
    }

    #[test]
    fn bytes_copied_at_once_are_charged() {
        let input = encoded(&vec![0_u8; 33 << 20]);
        let mut budget = Budget::for_len(0);
        take::<Vec<u8>>(&mut &input[..], &mut budget).expect("33 of 64 MiB are needed");
        let error = take::<Vec<u8>>(&mut &input[..], &mut budget).expect_err("31 of 64 MiB are left");
        assert_eq!(error, "would need more than 67108864 bytes of memory");
    }

    #[test]
    fn a_failed_take_leaves_the_input_where_it_was() {
        let input = [2, b'a'];
        let mut rest = &input[..];
        let mut budget = Budget::for_len(rest.len());
        take::<String>(&mut rest, &mut budget).expect_err("the second letter is missing");
        take::<Vec<u8>>(&mut rest, &mut budget).expect_err("the second byte is missing");
        assert_eq!(rest, input);
    }

    #[test]
    fn a_failed_encode_leaves_the_output_as_it_was() {
        struct Stubborn;
        impl Serialize for Stubborn {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(S::Error::custom("no"))
            }
        }

        let mut out = vec![1, 2, 3];
        let error = encode(&(7_u64, Stubborn), &mut out).expect_err("the second field refuses");
        assert_eq!((error.as_str(), out), ("the type refused to be serialized", vec![1, 2, 3]));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(refusal::<bool>(&[1, 0, 0]), "2 bytes trail behind the value");
        assert_eq!(refusal::<Vec<u8>>(&[1, 0, 0, 0]), "2 bytes trail behind the value");
    }

    #[test]
    fn every_prefix_of_a_value_is_refused() {
        let bytes = encoded(&one_sample());
        assert_eq!(decode::<Sample>(&bytes), Ok(one_sample()));
        for len in 0..bytes.len() {
            assert_eq!(
                refusal::<Sample>(&bytes[..len]),
                "the input ends within the value",
                "after {len} bytes"
            );
        }
    }

    #[test]
    fn every_prefix_of_bytes_is_refused() {
        let bytes = encoded(&vec![7_u8; 200]);
        for len in 0..bytes.len() {
            assert_eq!(
                refusal::<Vec<u8>>(&bytes[..len]),
                "the input ends within the value",
                "after {len} bytes"
            );
        }
    }

    #[test]
    fn a_length_beyond_the_input_is_refused_before_memory_is_reserved() {
        let length = plain(&u64::MAX);
        assert_eq!(refusal::<Vec<u8>>(&length), "the input ends within the value");
        assert_eq!(refusal::<String>(&length), "the input ends within the value");
        assert_eq!(refusal::<Vec<u64>>(&length), "would need more than 67108864 bytes of memory");
        assert_eq!(refusal::<(Vec<u8>,)>(&length), "would need more than 67108864 bytes of memory");
    }

    #[test]
    fn the_cause_is_told() {
        assert_eq!(refusal::<u16>(&[0xff, 0xff, 0xff, 1]), "a number does not fit its type");
        assert_eq!(refusal::<bool>(&[2]), "a bool is neither 0 nor 1");
        assert_eq!(refusal::<char>(&[0]), "a char is not a unicode scalar value");
        assert_eq!(refusal::<String>(&[1, 0xff]), "a string is not utf-8");
        assert_eq!(refusal::<Option<()>>(&[2]), "the tag of an option is neither 0 nor 1");
    }

    #[test]
    fn the_words_of_the_type_itself_survive() {
        let number = refusal::<Vec<Option<NonZeroU8>>>(&[1, 1, 0]);
        assert_eq!(number, "invalid value: integer `0`, expected a nonzero u8");
        let variant = refusal::<(Vec<Shape>,)>(&[1, 9]);
        assert_eq!(variant, "invalid value: integer `9`, expected variant index 0 <= i < 4");
    }
}
