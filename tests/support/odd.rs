//! Values with odd habits: they fail or panic while they are written, read or dropped, or are read as something
//! else than was written.

use std::marker::PhantomData;

use multiprocess::worker;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::{Error as _, SerializeTuple as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What goes wrong with an `Odd` value, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Habit {
    None,
    WriteFails,
    WritePanics,
    ReadFails,
    ReadPanics,
    /// Only in a worker: what the test does with its own values is not the crate's affair.
    DropPanics,
}

/// A value with a habit, and a number to know it by.
#[derive(Debug, PartialEq, Eq)]
pub struct Odd(pub Habit, pub u32);

impl Serialize for Odd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&self.0)?;
        // Half of it has been written by now.
        match self.0 {
            Habit::WriteFails => return Err(S::Error::custom("it does not want to be written")),
            Habit::WritePanics => panic!("it panics when it is written"),
            _ => tuple.serialize_element(&self.1)?,
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Odd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Deserialize::deserialize(deserializer)? {
            (Habit::ReadFails, _) => Err(D::Error::custom("it does not want to be read")),
            (Habit::ReadPanics, _) => panic!("it panics when it is read"),
            (habit, number) => Ok(Self(habit, number)),
        }
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        let harmless = self.0 != Habit::DropPanics || worker::current().is_none();
        assert!(harmless || std::thread::panicking(), "it panics when it is dropped");
    }
}

/// A value that is written as a `W` and read as an `R`.
pub struct Posing<W, R>(Option<W>, PhantomData<fn() -> R>);

impl<W, R> Posing<W, R> {
    pub fn new(written: W) -> Self {
        Self(Some(written), PhantomData)
    }
}

impl<W, R> std::fmt::Debug for Posing<W, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Posing")
    }
}

impl<W: Serialize, R> Serialize for Posing<W, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(written) => written.serialize(serializer),
            None => Err(S::Error::custom("it was read, not made")),
        }
    }
}

impl<'de, W, R: DeserializeOwned> Deserialize<'de> for Posing<W, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        R::deserialize(deserializer).map(|_read| Self(None, PhantomData))
    }
}

/// Bytes that are written as they are.
#[derive(Debug)]
pub struct Raw(pub Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for byte in &self.0 {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}
