//! Numbers by themselves: between a pool and its workers they travel as they lie in memory, since what a short task works with
//! would else take longer to be written and read than to be computed.
//!
//! Only where both sides run one image, as rows of them do (`bulk.rs`).

use std::any::{Any, TypeId};

use super::bulk::each_number;

/// The most bytes of a number.
const WORD: usize = size_of::<u64>();

/// True if a value of this type is a number. It is known when the question is compiled.
#[inline]
pub(crate) fn is_number<T: 'static>() -> bool {
    // Whatever is larger is none, and without optimization the other questions take their time.
    if size_of::<T>() > WORD {
        return false;
    }
    let asked = TypeId::of::<T>();
    macro_rules! any_of {
        ($($number:ty),*) => { $(asked == TypeId::of::<$number>())||* };
    }
    each_number!(any_of)
}

/// The bytes of a number, and zeros behind them up to eight; all zeros if the value is none.
#[inline]
pub(crate) fn number_word<T: 'static>(value: &T) -> [u8; WORD] {
    let value = value as &dyn Any;
    macro_rules! word_of {
        ($($number:ty),*) => {
            $(if let Some(number) = value.downcast_ref::<$number>() {
                return widened(number.to_ne_bytes());
            })*
        };
    }
    each_number!(word_of);
    [0; WORD]
}

#[inline]
fn widened<const N: usize>(bytes: [u8; N]) -> [u8; WORD] {
    let mut word = [0; WORD];
    word[..N].copy_from_slice(&bytes);
    word
}

/// The number whose bytes these are, if such a value is a number and there are as many.
#[inline]
pub(crate) fn number_at<T: 'static>(bytes: &[u8]) -> Option<T> {
    let mut value = None::<T>;
    let slot = &mut value as &mut dyn Any;
    macro_rules! read_one {
        ($($number:ty),*) => {
            $(if let Some(slot) = slot.downcast_mut::<Option<$number>>() {
                *slot = bytemuck::try_pod_read_unaligned(bytes).ok();
            })*
        };
    }
    each_number!(read_one);
    value
}

/// Appends a number; false if the value is none.
#[inline]
pub(super) fn put_number<T: 'static>(value: &T, out: &mut Vec<u8>) -> bool {
    if is_number::<T>() {
        out.extend_from_slice(&number_word(value)[..size_of::<T>()]);
    }
    is_number::<T>()
}

/// Takes a number from the front of the input, if such a value is a number that is there.
#[inline]
pub(crate) fn take_number<T: 'static>(input: &mut &[u8]) -> Option<T> {
    let (bytes, rest) = input.split_at_checked(size_of::<T>())?;
    let number = number_at(bytes)?;
    *input = rest;
    Some(number)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use bytemuck::Pod;

    use super::{is_number, put_number, take_number};

    fn comes_back<N: Pod + PartialEq + Debug>(numbers: &[N]) {
        let mut out = vec![9];
        assert!(is_number::<N>());
        for number in numbers {
            assert!(put_number(number, &mut out));
        }
        let mut rest = &out[1..];
        for number in numbers {
            let read = take_number::<N>(&mut rest).expect("it is there");
            assert_eq!(bytemuck::bytes_of(&read), bytemuck::bytes_of(number));
        }
        assert!(rest.is_empty());
        let mut short = &out[1..size_of::<N>()];
        assert!(take_number::<N>(&mut short).is_none() && short.len() == size_of::<N>() - 1);
    }

    #[test]
    fn every_number_comes_back_with_all_its_bits() {
        comes_back(&[u8::MIN, u8::MAX]);
        comes_back(&[i8::MIN, -1, i8::MAX]);
        comes_back(&[u16::MIN, u16::MAX]);
        comes_back(&[i16::MIN, -1, i16::MAX]);
        comes_back(&[u32::MIN, u32::MAX]);
        comes_back(&[i32::MIN, -1, i32::MAX]);
        comes_back(&[u64::MIN, u64::MAX]);
        comes_back(&[i64::MIN, -1, i64::MAX]);
        comes_back(&[usize::MIN, usize::MAX]);
        comes_back(&[isize::MIN, -1, isize::MAX]);
        comes_back(&[f32::MIN, -0.0, f32::INFINITY]);
        comes_back(&[f64::from_bits(0x7ff4_dead_beef_0001), f64::NEG_INFINITY, -0.0]);
    }

    #[test]
    fn what_is_no_number_is_left_alone() {
        let mut out = Vec::new();
        assert!(
            !put_number(&true, &mut out)
                && !put_number(&'a', &mut out)
                && !put_number(&(), &mut out)
                && !put_number(&7_u128, &mut out)
        );
        assert!(
            !put_number(&Some(1_u8), &mut out)
                && !put_number(&[1_u8], &mut out)
                && !put_number(&(1_u32,), &mut out)
        );
        assert!(out.is_empty());
        let is_taken = |taken: bool| assert!(!taken);
        is_taken(take_number::<bool>(&mut &[1][..]).is_some());
        is_taken(take_number::<char>(&mut &[65, 0, 0, 0][..]).is_some());
        is_taken(take_number::<()>(&mut &[][..]).is_some());
        is_taken(take_number::<Option<u8>>(&mut &[1, 1][..]).is_some());
    }
}
