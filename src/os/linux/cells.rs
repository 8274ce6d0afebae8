//! Values in shared memory that are read and written as a whole, never by reference: whatever other processes do meanwhile, there is no undefined
//! behaviour, and a value of 1, 2, 4 or 8 bytes is never half of one and half of another.
//!
//! The elements of other sizes are copied in the largest of these parts that divides them, and such a copy may be mixed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use bytemuck::Pod;

use super::mapping::{Content, Mapping};

/// From so many bytes on a system call pays.
const MANY: usize = 1024;

/// What is done to a number in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Swap,
}

/// An atomic number; for which signs make no difference.
trait Part {
    type Bits: Pod;

    fn load(&self) -> Self::Bits;
    fn store(&self, bits: Self::Bits);
    fn exchange(&self, from: Self::Bits, to: Self::Bits) -> Result<Self::Bits, Self::Bits>;
    fn fetch(&self, op: Op, with: Self::Bits) -> Self::Bits;
}

macro_rules! parts {
    ($($part:ty: $bits:ty),*) => {
        $(
            impl Part for $part {
                type Bits = $bits;

                #[inline]
                fn load(&self) -> $bits {
                    self.load(Ordering::Acquire)
                }

                #[inline]
                fn store(&self, bits: $bits) {
                    self.store(bits, Ordering::Release);
                }

                #[inline]
                fn exchange(&self, from: $bits, to: $bits) -> Result<$bits, $bits> {
                    self.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
                }

                #[inline]
                fn fetch(&self, op: Op, with: $bits) -> $bits {
                    let order = Ordering::AcqRel;
                    match op {
                        Op::Add => self.fetch_add(with, order),
                        Op::Sub => self.fetch_sub(with, order),
                        Op::And => self.fetch_and(with, order),
                        Op::Or => self.fetch_or(with, order),
                        Op::Xor => self.fetch_xor(with, order),
                        Op::Swap => self.swap(with, order),
                    }
                }
            }
        )*
    };
}

parts!(AtomicU8: u8, AtomicU16: u16, AtomicU32: u32, AtomicU64: u64);

/// Does something with the part that elements of this size are made of.
macro_rules! by_part {
    ($size:expr, $part:ident => $act:expr) => {
        match $size {
            size if size.is_multiple_of(8) => {
                type $part = AtomicU64;
                $act
            }
            size if size.is_multiple_of(4) => {
                type $part = AtomicU32;
                $act
            }
            size if size.is_multiple_of(2) => {
                type $part = AtomicU16;
                $act
            }
            _ => {
                type $part = AtomicU8;
                $act
            }
        }
    };
}

/// Shared memory of which nobody ever has a reference.
#[derive(Debug)]
pub(crate) struct Cells(Mapping);

impl Cells {
    /// New memory, all of it 0. Its size is sealed and its space reserved.
    pub(crate) fn create(content: Content, length: usize) -> io::Result<Self> {
        Ok(Self(Mapping::create(content, length)?))
    }

    /// The memory behind a descriptor, which must be of such content.
    pub(crate) fn attach(content: Content, memory: Arc<OwnedFd>) -> io::Result<Self> {
        Ok(Self(Mapping::attach(content, memory)?))
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The descriptor by which another process attaches.
    pub(crate) fn memory(&self) -> Arc<OwnedFd> {
        Arc::clone(self.0.memory())
    }

    /// What an offset of elements of this size must be a multiple of.
    pub(crate) const fn step(size: usize) -> usize {
        by_part!(size, P => size_of::<P>())
    }

    #[inline]
    fn parts<P: Part>(&self, at: usize, count: usize) -> &[P] {
        let first = self.0.place::<P>(at, count);
        // SAFETY: so many of them lie within the mapping, which lives as long as `self`; they are atomics, for which any bit pattern is valid, and
        // of this memory there are no other references.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), count) }
    }

    /// The value that lies so many bytes from the front.
    ///
    /// # Panics
    ///
    /// This and the others: if it lies outside of the memory, or not at a multiple of [`step`](Self::step).
    #[inline]
    pub(crate) fn load<T: Pod>(&self, at: usize) -> T {
        let mut value = T::zeroed();
        self.load_all(at, std::slice::from_mut(&mut value));
        value
    }

    #[inline]
    pub(crate) fn store<T: Pod>(&self, at: usize, value: T) {
        self.store_all(at, &[value]);
    }

    /// Reads as many values as there is room for.
    #[inline]
    pub(crate) fn load_all<T: Pod>(&self, at: usize, room: &mut [T]) {
        by_part!(size_of::<T>(), P => {
            let parts = self.parts::<P>(at, size_of_val(room) / size_of::<P>());
            let bytes = bytemuck::cast_slice_mut::<T, u8>(room).chunks_exact_mut(size_of::<P>());
            for (part, bytes) in parts.iter().zip(bytes) {
                bytes.copy_from_slice(bytemuck::bytes_of(&Part::load(part)));
            }
        });
    }

    #[inline]
    pub(crate) fn store_all<T: Pod>(&self, at: usize, values: &[T]) {
        by_part!(size_of::<T>(), P => {
            let parts = self.parts::<P>(at, size_of_val(values) / size_of::<P>());
            let bytes = bytemuck::cast_slice::<T, u8>(values).chunks_exact(size_of::<P>());
            for (part, bytes) in parts.iter().zip(bytes) {
                Part::store(part, bytemuck::pod_read_unaligned(bytes));
            }
        });
    }

    /// Reads bytes as they are: many of them by the kernel, which copies them faster than one by one.
    pub(crate) fn read(&self, at: usize, room: &mut [u8]) {
        if room.len() < MANY || self.0.read(at, room).is_err() {
            self.load_all(at, room);
        }
    }

    /// Writes bytes as they are, as [`read`](Self::read) reads them.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) {
        if bytes.len() < MANY || self.0.write(at, bytes).is_err() {
            self.store_all(at, bytes);
        }
    }

    /// Puts a value there if another one is, and says what was there. It is of 1, 2, 4 or 8 bytes.
    #[inline]
    pub(crate) fn exchange<T: Pod>(&self, at: usize, from: T, to: T) -> Result<T, T> {
        by_part!(size_of::<T>(), P => {
            let part = &self.parts::<P>(at, 1)[0];
            let done = part.exchange(bytemuck::cast(from), bytemuck::cast(to));
            done.map(bytemuck::cast).map_err(bytemuck::cast)
        })
    }

    /// Does this to a number of 1, 2, 4 or 8 bytes, and says what it was before.
    #[inline]
    pub(crate) fn fetch<T: Pod>(&self, at: usize, op: Op, with: T) -> T {
        by_part!(size_of::<T>(), P => bytemuck::cast(self.parts::<P>(at, 1)[0].fetch(op, bytemuck::cast(with))))
    }
}

#[cfg(test)]
mod tests {
    use super::{Cells, Content, Op};

    const CONTENT: Content = Content { kind: 7, element: 1 };

    fn twice(length: usize) -> (Cells, Cells) {
        let cells = Cells::create(CONTENT, length).expect("there is memory");
        let again = Cells::attach(CONTENT, cells.memory()).expect("it is the same");
        (cells, again)
    }

    #[test]
    fn values_of_every_size_are_read_as_they_were_written() {
        let (here, there) = twice(128);
        here.store(0, 7_u8);
        here.store(2, -3_i16);
        here.store(4, 2.5_f32);
        here.store(8, u64::MAX - 1);
        here.store(16, [1_u8, 2, 3]);
        here.store(24, [1_u32, 2, 3]);
        here.store(40, [9_u64; 5]);
        assert_eq!((there.load::<u8>(0), there.load::<i16>(2)), (7, -3));
        assert!((there.load::<f32>(4) - 2.5).abs() < f32::EPSILON);
        assert_eq!((there.load::<u64>(8), there.load::<[u8; 3]>(16)), (u64::MAX - 1, [1, 2, 3]));
        assert_eq!((there.load::<[u32; 3]>(24), there.load::<[u64; 5]>(40)), ([1, 2, 3], [9; 5]));
    }

    #[test]
    fn numbers_change_in_one_step() {
        let (here, there) = twice(8);
        assert_eq!((here.fetch(0, Op::Add, 250_u8), there.fetch(0, Op::Add, 10_u8)), (0, 250));
        assert_eq!((here.fetch(0, Op::Sub, 5_i8), there.load::<i8>(0)), (4, -1));
        assert_eq!((here.fetch(4, Op::Swap, 6_u32), there.fetch(4, Op::Xor, 3_u32)), (0, 6));
        assert_eq!((there.exchange(4, 5_u32, 9), there.exchange(4, 5_u32, 1)), (Ok(5), Err(9)));
    }

    #[test]
    #[should_panic(expected = "it lies within the memory")]
    fn nothing_is_read_behind_the_end() {
        let (here, _) = twice(8);
        here.load::<u64>(4);
    }
}
