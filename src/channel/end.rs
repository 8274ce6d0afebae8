//! One end of a connection, whatever goes over it: sending and taking messages, and waiting for them and for room.
//!
//! The socket is never waited on in a call of the kernel that takes something: whoever waits, waits until something can be taken, and then
//! tries. So a message is taken only by a call that returns it.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use serde::Serialize;

use super::letter::{Arrived, Letter, take};
use super::net::{Note, Remote};
use super::watch::{Own, Watch, watch_here};
use crate::error::{Error, Result};
use crate::os::{self, Quick, Wanted, Watched};
use crate::wire::Fd;

#[derive(Debug)]
pub(super) struct End {
    fd: Fd,
    watch: Watch,
    quick: Quick,
    /// What messages are sealed with, if they are.
    remote: Option<Remote>,
}

/// A message that is ready to be sent.
#[derive(Debug)]
pub(super) enum Written {
    Letter(Letter),
    Note(Note),
}

impl End {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd: Fd::new(fd), watch: Watch::default(), quick: Quick::default(), remote: None }
    }

    #[cfg(feature = "net")]
    pub(super) fn sealed(fd: Fd, remote: Remote) -> Self {
        Self { fd, watch: Watch::default(), quick: Quick::default(), remote: Some(remote) }
    }

    pub(super) fn try_clone(&self) -> Result<Self> {
        let copy = self.fd.as_fd().try_clone_to_owned();
        let copy = copy.map_err(|cause| Error::connection("copy it", cause))?;
        Ok(Self { remote: self.remote.clone(), ..Self::new(copy) })
    }

    /// A value as it goes over this end.
    pub(super) fn write<T: Serialize + 'static>(&self, value: &T, max: u64) -> Result<Written> {
        match &self.remote {
            Some(remote) => remote.write(value, max).map(Written::Note),
            None => Letter::of(value, max).map(Written::Letter),
        }
    }

    /// Bytes as they go over this end.
    pub(super) fn write_bytes(&self, bytes: &[u8], max: u64) -> Result<Written> {
        match &self.remote {
            Some(remote) => remote.write_bytes(bytes, max).map(Written::Note),
            None => Letter::of_bytes(bytes, max).map(Written::Letter),
        }
    }

    pub(super) fn fd(&self) -> &Fd {
        &self.fd
    }

    /// False if it belongs to this process.
    pub(super) fn travels(&self) -> bool {
        self.remote.is_none()
    }

    pub(super) fn into_fd(self) -> Fd {
        self.fd
    }

    #[cfg(feature = "net")]
    pub(super) fn cutter(&self) -> Option<super::net::Cutter> {
        self.remote.as_ref().map(Remote::cutter)
    }

    /// True if nothing more can be received, and every attempt will say so.
    pub(super) fn has_ended(&self) -> bool {
        self.remote.as_ref().is_some_and(Remote::has_ended)
    }

    /// Sends a message, or so much of it as there is room for; false if that is not all.
    pub(super) fn try_send(&self, written: &Written) -> Result<bool> {
        match written {
            Written::Letter(letter) => self.try_send_letter(letter),
            Written::Note(note) => note.push(),
        }
    }

    /// Sends a message, if there is room for it; what is left of it then is written in the background.
    pub(super) fn try_deliver(&self, written: &Written) -> Result<bool> {
        let sent = self.try_send(written)?;
        match written {
            Written::Letter(_) => Ok(sent),
            Written::Note(note) => Ok(sent || note.is_begun()),
        }
    }

    fn try_send_letter(&self, letter: &Letter) -> Result<bool> {
        match os::send_datagram(&self.fd, letter.parts(), &letter.descriptors()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if os::is_gone(&error) => Err(Error::Disconnected),
            Err(error) => Err(Error::connection("send a message", error)),
        }
    }

    pub(super) fn blocking_send(&self, written: &Written) -> Result<()> {
        while !self.try_send(written)? {
            self.wait_here(Wanted::Room, None)?;
        }
        Ok(())
    }

    pub(super) async fn send(&self, written: &Written) -> Result<()> {
        let mut room = None;
        std::future::poll_fn(|cx| self.poll_send(written, &mut room, cx)).await
    }

    /// Sends a message as soon as there is room; `room` holds what is waited with in the meantime.
    pub(super) fn poll_send(
        &self,
        written: &Written,
        room: &mut Option<Own<Watched>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        while !self.try_send(written)? {
            let Some(watched) = room.as_ref().and_then(Own::here) else {
                // A registration of its own, for which the kernel wants a copy: most messages never wait for room.
                *room = Some(Own::new(watch_here(self.try_clone()?.fd(), Wanted::Room)?));
                continue;
            };
            match ready!(watched.poll_write_ready(cx)) {
                Ok(mut guard) if os::is_ready(&self.fd, Wanted::Room).is_ok_and(|is| !is) => {
                    guard.clear_ready();
                }
                Ok(_) => {}
                // Its runtime has ended.
                Err(_) => *room = None,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next message, if there is one.
    pub(super) fn try_receive<T>(
        &self,
        max: u64,
        open: impl FnOnce(Arrived<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        match &self.remote {
            Some(remote) => remote.take(max)?.map(|message| open(Arrived::whole(&message))).transpose(),
            None => take(&self.fd, max, open),
        }
    }

    /// Takes the next message, and blocks this thread until there is one.
    pub(super) fn receive_here<T>(
        &self,
        max: u64,
        mut open: impl FnMut(Arrived<'_>) -> Result<T>,
    ) -> Result<T> {
        loop {
            if let Some(taken) = self.blocking_receive(max, None, &mut open)? {
                return Ok(taken);
            }
        }
    }

    /// As `receive_here`; nothing if there is none until `end`.
    pub(super) fn blocking_receive<T>(
        &self,
        max: u64,
        end: Option<Instant>,
        mut open: impl FnMut(Arrived<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        if let Some(taken) = self.try_receive(max, &mut open)? {
            return Ok(Some(taken));
        }
        let mut waiting = self.quick.begin(end);
        loop {
            if !waiting.once_more() && !self.wait_here(Wanted::Input, end)? {
                return Ok(None);
            }
            if let Some(taken) = self.try_receive(max, &mut open)? {
                waiting.came();
                return Ok(Some(taken));
            }
        }
    }

    pub(super) async fn receive<T>(
        &self,
        max: u64,
        mut open: impl FnMut(Arrived<'_>) -> Result<T>,
    ) -> Result<T> {
        self.when_readable(|| self.try_receive(max, &mut open)).await
    }

    /// Waits until there is something to take, or the end.
    pub(super) async fn readable(&self) -> Result<()> {
        self.when_readable(|| Ok(self.is_ready(Wanted::Input)?.then_some(()))).await
    }

    /// Waits until there is something to read and `attempt` has made something of it.
    pub(super) async fn when_readable<T>(&self, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        loop {
            let watched = self.watch.here(&self.fd)?;
            match watched.readable().await {
                Ok(mut guard) => match attempt()? {
                    Some(done) => return Ok(done),
                    None if self.has_more() => {
                        drop(guard);
                        // What is always ready would never give the thread to others.
                        tokio::task::yield_now().await;
                    }
                    None => guard.clear_ready(),
                },
                Err(_) => self.watch.forget(&watched),
            }
        }
    }

    /// As `receive`, for the one stream that an end can be: it keeps one waker and no future.
    pub(super) fn poll_receive<T>(
        &self,
        max: u64,
        mut open: impl FnMut(Arrived<'_>) -> Result<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T>> {
        loop {
            let watched = self.watch.here(&self.fd)?;
            match ready!(watched.poll_read_ready(cx)) {
                Ok(mut guard) => match self.try_receive(max, &mut open)? {
                    Some(taken) => return Poll::Ready(Ok(taken)),
                    None if self.has_more() => {}
                    None => guard.clear_ready(),
                },
                Err(_) => self.watch.forget(&watched),
            }
        }
    }

    /// True if an attempt has left something to read, as one does that has read much of a sealed message.
    fn has_more(&self) -> bool {
        !self.travels() && self.is_ready(Wanted::Input).unwrap_or(false)
    }

    pub(super) fn is_ready(&self, wanted: Wanted) -> Result<bool> {
        self.wait_here(wanted, Some(Instant::now()))
    }

    /// Blocks this thread; false when the time is over.
    pub(super) fn wait_here(&self, wanted: Wanted, end: Option<Instant>) -> Result<bool> {
        let ready = os::ready(&[self.fd.as_fd()], wanted, end);
        ready.map(|ready| ready[0]).map_err(|cause| Error::connection("wait for it", cause))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
