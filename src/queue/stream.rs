//! A queue as a stream of what is put there.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::Stream;

use super::get::next;
use super::handle::Queue;
use super::parcel::Parcel;
use super::ring::Ring;
use crate::error::{Error, Result};
use crate::sync::{Look, endless};
use crate::task::Payload;

type Waiting = Pin<Box<dyn Future<Output = Option<Result<Parcel>>> + Send>>;

/// What a stream that was not ready waits with. It is behind a lock for the sake of the type alone: who polls has it for itself.
#[derive(Default)]
pub(super) struct Next(Mutex<Option<Waiting>>);

/// What [`get`](Queue::get) gives, one after the other. It ends when the queue is closed and all is taken.
impl<T: Payload> Stream for Queue<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let Self { ring, max, next, .. } = self.get_mut();
        let waiting = next.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let at_once = if waiting.is_none() { ring.take(*max, Look::ONCE) } else { None };
        let taken = if let Some(taken) = at_once {
            taken
        } else {
            let waits = waiting.get_or_insert_with(|| Box::pin(wait_for(Arc::clone(ring), *max)));
            let taken = ready!(waits.as_mut().poll(cx));
            *waiting = None;
            endless(taken)
        };
        Poll::Ready(match taken.and_then(Parcel::open) {
            Err(Error::Closed) => None,
            item => Some(item),
        })
    }
}

async fn wait_for(ring: Arc<Ring>, max: u64) -> Option<Result<Parcel>> {
    next(&ring, max, None).await
}

impl<T> Unpin for Queue<T> {}
