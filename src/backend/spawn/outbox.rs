//! Frames on their way to one worker: written at once by whoever sends, as far as the pipe takes them.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use bytes::{Buf as _, Bytes};

use crate::os;
use crate::task::Task;
use crate::wire::{Frame, TaskRef};

/// What the pipe did not take yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Bytes>,
    /// Somebody waits for room in the pipe and will go on.
    pub(super) attended: bool,
    /// The worker is gone, or told that nothing more will come.
    pub(super) closed: bool,
    known: HashMap<usize, u32>,
    /// Bytes that the pipe took so far.
    pub(super) written: u64,
}

/// What a flush came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    All,
    PipeIsFull,
}

impl Outbox {
    /// How to name a task to this worker: in full only the first time.
    pub(super) fn reference(&mut self, task: Task) -> TaskRef {
        if let Some(index) = self.known.get(&task.key()) {
            return TaskRef::Known(*index);
        }
        let index = u32::try_from(self.known.len()).expect("a program has fewer tasks");
        self.known.insert(task.key(), index);
        let (offset, fingerprint) = task.reference();
        TaskRef::New { index, offset, fingerprint }
    }

    pub(super) fn push(&mut self, frame: Frame) {
        if self.closed {
            return;
        }
        self.waiting.push_back(frame.head);
        if !frame.body.is_empty() {
            self.waiting.push_back(frame.body);
        }
    }

    /// Writes what the pipe takes. A pipe that is broken takes everything: the worker's end is told elsewhere.
    pub(super) fn flush(&mut self, pipe: impl AsFd) -> Flushed {
        while !self.waiting.is_empty() {
            match self.write(&pipe) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flushed::PipeIsFull,
                Err(_) => self.close(),
            }
        }
        Flushed::All
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
    }

    fn write(&mut self, pipe: impl AsFd) -> io::Result<()> {
        let parts: [IoSlice<'_>; 4] =
            std::array::from_fn(|index| IoSlice::new(self.waiting.get(index).map_or(&[], |part| part)));
        let mut written = os::write_some(pipe, &parts[..self.waiting.len().min(parts.len())])?;
        self.written += written as u64;
        while let Some(first) = self.waiting.front_mut() {
            if written < first.len() {
                first.advance(written);
                break;
            }
            written -= first.len();
            self.waiting.pop_front();
        }
        Ok(())
    }
}
