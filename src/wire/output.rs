//! Where the values of tasks are encoded to: records in a buffer, and large parts in blocks.

use std::sync::Arc;

use postcard::ser_flavors::Flavor;
use serde::Serialize;

use super::blocks::{LARGE, Lease, Parts, Store};
use super::bulk::{self, Raw};
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

/// How rows of numbers are written.
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
        if self.writing.lease.is_some() || self.bytes.len() - start >= LARGE || self.writing.is_untidy() {
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
