//! A connection as a stream of what it receives, and as a sink for what it sends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{Sink, Stream};

use super::connection::Connection;
use super::end::Written;
use super::letter::into_value;
use super::watch::Own;
use crate::error::{Error, Result};
use crate::os::Watched;
use crate::task::Payload;

/// What a sink has taken and not sent so far, and what it waits for room with.
#[derive(Debug, Default)]
pub(super) struct Sending {
    written: Option<Written>,
    room: Option<Own<Watched>>,
}

/// What [`recv`](Connection::recv) gives, one after the other. It ends when nobody is left to send something, and behind an error after which nothing can come.
impl<A, B: Payload> Stream for Connection<A, B> {
    type Item = Result<B>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<B>>> {
        if self.told_its_end {
            return Poll::Ready(None);
        }
        match ready!(self.end.poll_receive(self.max, into_value, cx)) {
            Err(Error::Disconnected) => Poll::Ready(None),
            Err(error) => {
                // What every attempt would say is said once.
                self.told_its_end = self.end.has_ended();
                Poll::Ready(Some(Err(error)))
            }
            received => Poll::Ready(Some(received)),
        }
    }
}

/// It holds one value that there is no room for. One that was not flushed is lost if the connection is dropped, and is overtaken by
/// what [`send`](Connection::send) sends. Closing the sink flushes it, and leaves the connection open until it is dropped.
impl<A: Payload, B> Sink<A> for Connection<A, B> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_flush(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, value: A) -> Result<()> {
        let written = self.end.write(&value, self.max)?;
        if !self.end.try_send(&written)? {
            self.sending.written = Some(written);
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Self { end, sending, .. } = self.get_mut();
        let Some(written) = &sending.written else { return Poll::Ready(Ok(())) };
        let sent = ready!(end.poll_send(written, &mut sending.room, cx));
        *sending = Sending::default();
        Poll::Ready(sent)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_flush(cx)
    }
}

impl<A, B> Unpin for Connection<A, B> {}
