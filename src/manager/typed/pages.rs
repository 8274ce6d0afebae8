//! Iteration over what a proxy stands for, in pages.

use std::collections::VecDeque;
use std::fmt;

use crate::error::Result;
use crate::manager::blob::{Blob, Raw};
use crate::manager::reference::Reference;
use crate::manager::served::Page;

/// How an entry becomes an item.
type Open<T> = fn(Raw, Blob) -> Result<T>;

/// The entries of a [`DictProxy`](crate::DictProxy), a [`SetProxy`](crate::SetProxy), a [`ListProxy`](crate::ListProxy) or an [`ArrayProxy`](crate::ArrayProxy), one after the other; up to 1,024 of them are fetched at a time.
///
/// Others may change the object meanwhile. Whatever is there all the time comes once, of a dict and a set; whatever comes or goes meanwhile may come or not. A list and an array are read by their places.
///
/// In Python it is an error if a dict changes while it is iterated over, which tells a program of a mistake in its own loop. Here whoever has a proxy may write at any time, and an iteration that fails whenever somebody does would seldom come to its end.
/// Whoever needs all entries as they are at one moment asks for them at once: [`DictProxy::items`](crate::DictProxy::items), [`DictProxy::to_map`](crate::DictProxy::to_map),
/// [`SetProxy::to_vec`](crate::SetProxy::to_vec), [`ListProxy::to_vec`](crate::ListProxy::to_vec).
///
/// # Examples
///
/// See [`DictProxy::pages`](crate::DictProxy::pages).
pub struct Pages<'p, T> {
    reference: &'p Reference,
    open: Open<T>,
    after: Option<u64>,
    fetched: VecDeque<(Raw, Blob)>,
    ended: bool,
}

impl<'p, T> Pages<'p, T> {
    pub(super) fn new(reference: &'p Reference, open: Open<T>) -> Self {
        Self { reference, open, after: None, fetched: VecDeque::new(), ended: false }
    }

    /// The next item; `None` when there are no more.
    ///
    /// # Errors
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an item is lost only with the whole iteration.
    ///
    /// # Examples
    ///
    /// See [`DictProxy::pages`](crate::DictProxy::pages).
    pub async fn next(&mut self) -> Result<Option<T>> {
        if self.fetched.is_empty() && !self.ended {
            let page = self.reference.finish(self.reference.ours("page", &(self.after,))?).await?;
            self.turn(page);
        }
        self.take()
    }

    /// As [`next`](Self::next), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    ///
    /// # Examples
    ///
    /// See [`DictProxy::pages`](crate::DictProxy::pages).
    pub fn blocking_next(&mut self) -> Result<Option<T>> {
        if self.fetched.is_empty() && !self.ended {
            let page = self.reference.blocking_finish(&self.reference.ours("page", &(self.after,))?)?;
            self.turn(page);
        }
        self.take()
    }

    fn turn(&mut self, (entries, last): Page) {
        self.ended = last.is_none() || entries.is_empty();
        self.after = last;
        self.fetched.extend(entries);
    }

    fn take(&mut self) -> Result<Option<T>> {
        let Some((key, value)) = self.fetched.pop_front() else { return Ok(None) };
        (self.open)(key, value).map(Some)
    }
}

impl<T> fmt::Debug for Pages<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("fetched", &self.fetched.len()).finish_non_exhaustive()
    }
}
