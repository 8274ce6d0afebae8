//! Where the values of tasks are encoded to: records in a buffer, and large parts in blocks.

use std::sync::Arc;

use postcard::ser_flavors::Flavor;
use serde::Serialize;

use super::blocks::{LARGE, Lease, Parts, Store};
use super::bulk::{self, Raw};
use super::number::put_number;
use super::travel::take_refusal;
use super::value::{describe, encode};

/// Encoded elements, one after the other, each of one part or several.
#[derive(Debug)]
pub struct Output {
    /// What has no block.
    bytes: Vec<u8>,
    form: Form,
    /// The most bytes of an element that may lie in blocks.
    max: usize,
    store: Option<Arc<Store>>,
    /// The part that comes next, and those of this element that lie in blocks.
    part: u8,
    blocks: Parts,
    writing: Writing,
}

/// How numbers and rows of them are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As everything else, for whoever reads it.
    Plain,
    /// As they lie in memory, for the same image.
    Raw,
}

/// The part that is being written.
#[derive(Debug, Default)]
struct Writing {
    /// Where what is in the buffer of it begins.
    start: usize,
    /// The block for it, once it is large.
    lease: Option<Lease>,
    /// It gets none.
    is_refused: bool,
    /// Bytes that were not kept, as it is larger than it may be.
    lost: usize,
}

impl Output {
    /// For values that stay in one buffer and may be read by another image.
    pub(crate) fn plain() -> Self {
        Self::with(Form::Plain, None, usize::MAX)
    }

    /// For arguments and results of tasks, which may lie in blocks of this store.
    pub(crate) fn new(store: Option<Arc<Store>>, max: usize) -> Self {
        Self::with(Form::Raw, store, max)
    }

    fn with(form: Form, store: Option<Arc<Store>>, max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            form,
            max,
            store,
            part: 0,
            blocks: Parts::new(),
            writing: Writing::default(),
        }
    }

    /// Bytes in the buffer.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Takes the buffer out, which is empty then.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Takes what stands in the buffer from `start` on out.
    pub(crate) fn split_off(&mut self, start: usize) -> Vec<u8> {
        self.bytes.split_off(start)
    }

    pub(crate) fn set_bytes(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    /// From now on the parts of another element come.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.part = 0;
        if !self.blocks.is_empty() || self.writing.is_untidy() {
            self.clear();
        }
    }

    /// Forgets whatever is behind the first `start` bytes, and the parts of the last element.
    pub(crate) fn undo(&mut self, start: usize) {
        self.bytes.truncate(start);
        self.clear();
    }

    #[cold]
    fn clear(&mut self) {
        self.blocks.clear();
        self.writing = Writing::default();
    }

    /// Takes the parts of the last element out that lie in blocks.
    #[inline]
    pub(crate) fn take_parts(&mut self) -> Parts {
        std::mem::take(&mut self.blocks)
    }

    /// Bytes of the last element that do not stand in the buffer.
    #[inline]
    pub(crate) fn elsewhere(&self) -> usize {
        if self.blocks.is_empty() { self.writing.lost } else { self.writing.lost + self.in_blocks() }
    }

    #[cold]
    fn in_blocks(&self) -> usize {
        self.blocks.iter().map(|(_, block)| block.len()).sum()
    }

    /// Appends one part.
    ///
    /// # Errors
    ///
    /// The text of the cause when the value cannot be encoded; the buffer is then what it was.
    #[inline]
    pub(crate) fn put<T: Serialize + 'static>(&mut self, value: &T) -> Result<(), String> {
        if self.form == Form::Plain {
            return encode(value, &mut self.bytes);
        }
        match bulk::raw(value) {
            Some(raw) => self.put_raw(&raw),
            None if put_number(value, &mut self.bytes) => {}
            None => self.put_value(value)?,
        }
        self.part += 1;
        Ok(())
    }

    fn put_raw(&mut self, raw: &Raw<'_>) {
        self.writing.start = self.bytes.len();
        if raw.bytes.len() >= LARGE && self.has_blocks() {
            if self.spill(raw.bytes) {
                return self.finish();
            }
            self.writing.is_refused = false;
        }
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(&raw.count, bytes).expect("a number is plain data");
        self.bytes.extend_from_slice(raw.bytes);
    }

    #[inline]
    fn put_value<T: Serialize + 'static>(&mut self, value: &T) -> Result<(), String> {
        let start = self.bytes.len();
        self.writing.start = start;
        let written = value.serialize(&mut postcard::Serializer { output: Spilling(self) });
        if let Err(error) = written {
            self.bytes.truncate(start);
            return Err(take_refusal().unwrap_or_else(|| describe(&error)));
        }
        if self.bytes.len() - start >= LARGE || self.writing.is_untidy() {
            self.complete();
        }
        Ok(())
    }

    fn has_blocks(&self) -> bool {
        self.store.is_some() && !self.writing.is_refused
    }

    /// The value ends here: if it is large, its rest goes into the block too.
    #[cold]
    fn complete(&mut self) {
        let is_large = self.bytes.len() - self.writing.start >= LARGE || self.writing.has_spilled();
        if is_large && self.has_blocks() && self.spill(&[]) {
            self.finish();
        }
        self.writing.is_refused = false;
    }

    /// The part that was written lies in the block.
    fn finish(&mut self) {
        if let Some(lease) = self.writing.lease.take() {
            self.blocks.push((self.part, Arc::new(lease.finish())));
        }
    }

    /// Moves what is in the buffer of the part to the block for it, and these bytes behind it. If there is no room for them, all of it is in the buffer
    /// again and stays there.
    #[cold]
    fn spill(&mut self, behind: &[u8]) -> bool {
        let Writing { start, lease, lost, .. } = &mut self.writing;
        let pending = &self.bytes[*start..];
        let so_far = lease.as_ref().map_or(0, Lease::len) + *lost;
        if *lost > 0 || so_far + pending.len() + behind.len() > self.max {
            // It is counted to its end, so that the error can say how large it is.
            *lost = so_far + pending.len() + behind.len();
            *lease = None;
        } else {
            let mut taken = lease.take().or_else(|| self.store.as_ref()?.lend());
            let written = taken
                .as_mut()
                .is_some_and(|lease| lease.append(pending).is_ok() && lease.append(behind).is_ok());
            if !written {
                self.unspill(taken, so_far);
                return false;
            }
            *lease = taken;
        }
        self.bytes.truncate(*start);
        true
    }

    fn unspill(&mut self, lease: Option<Lease>, spilled: usize) {
        self.writing.is_refused = true;
        if let Some(lease) = lease.filter(|_| spilled > 0) {
            let mut content = lease.content();
            content.truncate(spilled);
            let start = self.writing.start;
            self.bytes.splice(start..start, content);
        }
    }

    /// Makes room for so many bytes in the buffer, by growing it or by moving what is there to a block.
    #[cold]
    fn make_room(&mut self, bytes: usize) {
        let is_large = self.bytes.len() - self.writing.start >= LARGE || self.writing.has_spilled();
        if is_large && self.has_blocks() {
            self.spill(&[]);
        }
        self.bytes.reserve(bytes);
    }

    /// Appends many bytes of a part.
    #[cold]
    fn append_many(&mut self, bytes: &[u8]) {
        if !(self.has_blocks() && self.spill(bytes)) {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

impl Writing {
    fn has_spilled(&self) -> bool {
        self.lease.is_some() || self.lost > 0
    }

    fn is_untidy(&self) -> bool {
        self.lease.is_some() || self.is_refused || self.lost > 0
    }
}

/// The buffer as the output of postcard, which never grows far for one part: once that is large, it goes on in a block.
struct Spilling<'o>(&'o mut Output);

impl Flavor for Spilling<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        let Output { bytes, .. } = self.0;
        if bytes.len() == bytes.capacity() {
            self.0.make_room(1);
        }
        self.0.bytes.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        let Output { bytes: buffer, .. } = self.0;
        if bytes.len() > buffer.capacity() - buffer.len() {
            if bytes.len() >= LARGE {
                self.0.append_many(bytes);
                return Ok(());
            }
            self.0.make_room(bytes.len());
        }
        // A number has at most 19 bytes, and for so few a loop in place is twice as fast as a call of memcpy.
        if bytes.len() < 20 {
            self.0.bytes.extend(bytes.iter().copied());
        } else {
            self.0.bytes.extend_from_slice(bytes);
        }
        Ok(())
    }

    #[inline]
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde::de::DeserializeOwned;
    use serde::ser::{Error as _, SerializeSeq as _};
    use serde::{Deserialize, Serialize, Serializer};

    use super::{LARGE, Output, Store};
    use crate::wire::{Input, Parts};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Row {
        key: u64,
        text: String,
    }

    fn rows(count: usize) -> Vec<Row> {
        (0..count as u64).map(|key| Row { key, text: "x".repeat((key % 50) as usize) }).collect()
    }

    fn store() -> Arc<Store> {
        Store::for_arguments().expect("there is memory")
    }

    /// The one element of these parts, and which of them lie in blocks.
    fn written(max: usize, put: impl FnOnce(&mut Output)) -> (Vec<u8>, Parts, usize) {
        let mut out = Output::new(Some(store()), max);
        put(&mut out);
        let elsewhere = out.elsewhere();
        let parts = out.take_parts();
        (out.into_bytes(), parts, elsewhere)
    }

    fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug + 'static>(value: &T, is_stowed: bool) {
        let put = |out: &mut Output| out.put(value).expect("it is plain data");
        let (bytes, parts, _) = written(usize::MAX, put);
        assert_eq!(!parts.is_empty(), is_stowed);
        assert!(Input::new(&bytes, &parts).only::<T>().as_ref() == Ok(value));
        let mut inline = Output::new(None, usize::MAX);
        put(&mut inline);
        let again = Input::new(inline.bytes(), &Parts::new()).only::<T>();
        assert!(again.as_ref() == Ok(value), "without blocks");
        let mut plain = Output::plain();
        put(&mut plain);
        assert_eq!(plain.bytes(), postcard::to_stdvec(value).expect("it is plain data"));
        assert!(Input::plain(plain.bytes()).only::<T>().as_ref() == Ok(value), "for whoever reads it");
    }

    /// Rows of every length that makes a difference, with these numbers at their ends.
    fn numbers_come_back<T>(least: T, most: T)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug + Copy + 'static,
    {
        let full = LARGE / size_of::<T>();
        for (count, is_stowed) in
            [(0, false), (1, false), (2, false), (full - 1, false), (full, true), (full * 3 + 1, true)]
        {
            let row: Vec<T> = (0..count).map(|at| if at % 2 == 0 { least } else { most }).collect();
            comes_back(&row, is_stowed);
        }
    }

    #[test]
    fn rows_of_all_numbers_come_back() {
        numbers_come_back(u8::MIN, u8::MAX);
        numbers_come_back(i8::MIN, i8::MAX);
        numbers_come_back(u16::MIN, u16::MAX);
        numbers_come_back(i16::MIN, i16::MAX);
        numbers_come_back(u32::MIN, u32::MAX);
        numbers_come_back(i32::MIN, i32::MAX);
        numbers_come_back(u64::MIN, u64::MAX);
        numbers_come_back(i64::MIN, i64::MAX);
        numbers_come_back(usize::MIN, usize::MAX);
        numbers_come_back(isize::MIN, isize::MAX);
        numbers_come_back(f32::MIN, f32::INFINITY);
        numbers_come_back(f64::NEG_INFINITY, -0.0);
    }

    #[test]
    fn a_nan_keeps_its_bits() {
        let odd = f64::from_bits(0x7ff4_dead_beef_0001);
        for count in [1, LARGE] {
            let (bytes, parts, _) =
                written(usize::MAX, |out| out.put(&vec![odd; count]).expect("it is plain data"));
            let back = Input::new(&bytes, &parts).only::<Vec<f64>>().expect("it was sent");
            assert!(back.len() == count && back.iter().all(|number| number.to_bits() == odd.to_bits()));
        }
    }

    #[test]
    fn text_and_structs_come_back() {
        for (length, is_stowed) in [(0, false), (LARGE - 1, false), (LARGE, true), (LARGE * 3, true)] {
            comes_back(&"\u{df}".repeat(length / 2), is_stowed);
            comes_back(&"a".repeat(length), is_stowed);
        }
        for (count, is_stowed) in [(0, false), (100, false), (LARGE, true)] {
            comes_back(&rows(count), is_stowed);
            comes_back(&(rows(count), vec![1_u8; count]), is_stowed);
        }
    }

    #[test]
    fn each_part_lies_where_it_belongs() {
        let (bytes, parts, _) = written(usize::MAX, |out| {
            out.put(&()).and_then(|()| out.put(&rows(LARGE))).expect("it is plain data");
            out.put(&7_u8).and_then(|()| out.put(&vec![9_i64; LARGE])).expect("it is plain data");
        });
        assert_eq!((&bytes[..], parts.len()), (&[7][..], 2));
        let mut input = Input::new(&bytes, &parts);
        assert_eq!(input.take::<()>(), Ok(()));
        assert!(input.take::<Vec<Row>>() == Ok(rows(LARGE)));
        assert_eq!(input.take::<u8>(), Ok(7));
        assert!(input.take::<Vec<i64>>() == Ok(vec![9; LARGE]));
        assert_eq!(input.end("it"), Ok(()));
        assert_eq!(Input::new(&bytes, &parts).end("it"), Err("2 blocks trail behind it".into()));
    }

    #[test]
    fn what_is_larger_than_it_may_be_is_counted_and_not_kept() {
        let max = 3 * LARGE;
        let numbers = vec![0_u64; LARGE];
        assert_eq!(written(max, |out| out.put(&numbers).expect("it is plain data")).2, 8 * LARGE);
        let encoded = postcard::to_stdvec(&rows(LARGE)).expect("it is plain data").len();
        let (bytes, parts, lost) = written(max, |out| out.put(&rows(LARGE)).expect("it is plain data"));
        assert_eq!((bytes.len(), parts.len(), lost), (0, 0, encoded));
    }

    #[test]
    fn without_blocks_all_of_it_stands_in_the_record() {
        let store = store();
        let taken: Vec<_> = std::iter::from_fn(|| store.lend()).collect();
        let mut out = Output::new(Some(Arc::clone(&store)), usize::MAX);
        out.put(&rows(LARGE)).and_then(|()| out.put(&vec![5_u32; LARGE])).expect("it is plain data");
        assert!(out.take_parts().is_empty());
        drop(taken);
        out.put(&vec![6_u32; LARGE]).expect("it is plain data");
        let parts: Parts = out.take_parts();
        assert_eq!(parts.len(), 1);
        let mut input = Input::new(out.bytes(), &parts);
        assert!(input.take::<Vec<Row>>() == Ok(rows(LARGE)));
        assert!(input.take::<Vec<u32>>() == Ok(vec![5; LARGE]));
        assert!(input.take::<Vec<u32>>() == Ok(vec![6; LARGE]));
    }

    // fault 70
    #[test]
    fn what_has_no_room_in_its_block_any_more_stands_in_the_record_again() {
        let store = store();
        let mut out = Output::new(Some(Arc::clone(&store)), usize::MAX);
        out.put(&7_u8).expect("it is plain data");
        out.writing.start = out.len();
        let mut lease = store.lend().expect("there are blocks");
        lease.append(b"what was ").expect("there is memory");
        out.bytes.extend(b"and what comes");
        out.unspill(Some(lease), 9);
        assert_eq!(out.bytes(), b"\x07what was and what comes");
        assert!(out.writing.is_refused && out.blocks.is_empty());
        assert_eq!(store.lend().map(|lease| lease.finish().place().number), Some(0), "nobody has it");
    }

    #[test]
    fn a_value_that_fails_in_the_middle_leaves_nothing() {
        struct Breaks;
        impl Serialize for Breaks {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut elements = serializer.serialize_seq(Some(LARGE))?;
                (0..LARGE).try_for_each(|at| elements.serialize_element(&at))?;
                Err(S::Error::custom("no"))
            }
        }

        let store = store();
        let mut out = Output::new(Some(Arc::clone(&store)), usize::MAX);
        out.put(&1_u8).expect("it is plain data");
        out.put(&Breaks).expect_err("it refuses");
        out.begin();
        assert!(out.take_parts().is_empty() && out.bytes() == [1]);
        assert_eq!(store.lend().map(|lease| lease.finish().place().number), Some(0), "nobody has it");
    }

    #[test]
    fn a_block_that_is_no_such_value_is_refused() {
        let (_, parts, _) =
            written(usize::MAX, |out| out.put(&vec![0xff_u8; LARGE + 1]).expect("it is plain data"));
        let refused = |error: Option<String>| error.expect("it is something else");
        assert!(refused(Input::new(&[], &parts).only::<Vec<u16>>().err()).contains("ends within"));
        assert!(refused(Input::new(&[], &parts).only::<String>().err()).contains("utf-8"));
        assert!(refused(Input::new(&[], &parts).only::<Vec<bool>>().err()).contains("does not fit"));
        assert!(refused(Input::new(&[], &parts).only::<u8>().err()).contains("trail behind the value"));
        assert!(refused(Input::new(&[1], &parts).only::<Vec<u8>>().err()).contains("1 bytes trail"));
    }

    proptest! {
        #[test]
        fn random_bytes_are_refused_or_a_row_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let none = Parts::new();
            let _ = Input::new(&bytes, &none).only::<Vec<u64>>();
            let _ = Input::new(&bytes, &none).only::<Vec<u16>>();
            let _ = Input::new(&bytes, &none).only::<Vec<f32>>();
            let _ = Input::new(&bytes, &none).only::<String>();
        }
    }
}
