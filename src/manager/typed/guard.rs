//! What was acquired, and is given back when its guard is dropped.

use std::fmt;
use std::time::Duration;

use crate::error::Result;
use crate::manager::message::{Answer, Line, Request};
use crate::manager::reference::{Asked, Reference, blocking_talk, talk};
use crate::task::{Arguments, Payload};

/// No limit of time.
pub(super) const EVER: Option<Duration> = None;
pub(super) const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

/// A lock, an rlock or a permit of a semaphore that lives in a [`Manager`](crate::Manager), which is ours until this is dropped.
///
/// Dropping it gives it back, and waits for nothing. If this process ends, however it does, the manager sees it and gives it to the next.
/// A copy of this process by `fork` has none of it.
///
/// # Examples
///
/// See [`LockProxy`](crate::LockProxy).
#[must_use = "what was acquired is given back at once if its guard is not kept"]
pub struct GuardProxy {
    pub(super) kept: Kept,
}

/// What the server keeps for the session of one line.
pub(super) struct Kept {
    reference: Reference,
    /// Nothing once it was given back.
    line: Option<Line>,
    pub(super) number: u64,
    process: u32,
}

impl GuardProxy {
    /// Keeps it acquired for ever, though nobody holds it: of a semaphore, it is released by [`release`](crate::SemaphoreProxy::release).
    /// An rlock belongs to whoever has it, and cannot be forgotten: [`Error::Refused`](crate::Error::Refused).
    ///
    /// # Errors
    ///
    /// As for [`Proxy::call`](crate::Proxy::call); it is given back then.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped gives it back.
    ///
    /// # Examples
    ///
    /// See [`SemaphoreProxy`](crate::SemaphoreProxy).
    pub async fn forget(mut self) -> Result<()> {
        let asked = self.kept.reference.ours("forget", &(self.kept.number,))?;
        self.kept.ask::<()>(asked).await?;
        self.kept.is_given();
        Ok(())
    }

    /// As [`forget`](Self::forget), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`forget`](Self::forget).
    ///
    /// # Examples
    ///
    /// See [`SemaphoreProxy`](crate::SemaphoreProxy).
    pub fn blocking_forget(mut self) -> Result<()> {
        let asked = self.kept.reference.ours("forget", &(self.kept.number,))?;
        self.kept.blocking_ask::<()>(&asked)?;
        self.kept.is_given();
        Ok(())
    }
}

impl Kept {
    /// Acquires; nothing if it was not to be had in time.
    pub(super) async fn acquire(reference: &Reference, asked: Result<Asked>) -> Result<Option<Self>> {
        let Asked { call, request } = asked?;
        let (answer, line) = reference.exchange_and_keep(&request).await?;
        let number = call.value(answer)?;
        Ok(Self::on(reference, line, number))
    }

    pub(super) fn blocking_acquire(reference: &Reference, asked: Result<Asked>) -> Result<Option<Self>> {
        let Asked { call, request } = asked?;
        let (answer, line) = reference.blocking_exchange_and_keep(&request)?;
        let number = call.value(answer)?;
        Ok(Self::on(reference, line, number))
    }

    fn on(reference: &Reference, line: Line, number: Option<u64>) -> Option<Self> {
        let Some(number) = number else {
            reference.put(line);
            return None;
        };
        Some(Self { reference: reference.clone(), line: Some(line), number, process: std::process::id() })
    }

    /// Asks on the very line whose session keeps it.
    pub(super) async fn ask<R: Payload>(&self, asked: Asked) -> Result<R> {
        let Asked { call, request } = asked;
        call.value(talk(self.line(), &request).await?)
    }

    pub(super) fn blocking_ask<R: Payload>(&self, asked: &Asked) -> Result<R> {
        let answer: Answer = blocking_talk(self.line(), &asked.request)?;
        asked.call.value(answer)
    }

    pub(super) fn asked(&self, name: &'static str, args: &impl Arguments) -> Result<Asked> {
        self.reference.ours(name, args)
    }

    fn line(&self) -> &Line {
        self.line.as_ref().expect("it is there until it is given back")
    }

    /// The server keeps it no more.
    fn is_given(&mut self) {
        if let Some(line) = self.line.take() {
            self.reference.put(line);
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(line) = self.line.take() else { return };
        if self.process != std::process::id() {
            return;
        }
        // If that does not go, the end of the line says it too.
        if line.try_send(&Request::Release(self.number)).is_ok() {
            self.reference.put(line);
        }
    }
}

impl fmt::Debug for GuardProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardProxy").field("object", &self.kept.reference.object).finish_non_exhaustive()
    }
}

/// The ways to acquire: for ever, at once, within a time; each in both forms.
macro_rules! acquires {
    ($guard:ident, $args:expr) => {
        /// Waits until it is ours. Dropping the guard gives it back.
        ///
        /// # Errors
        ///
        /// As for [`Proxy::call`](crate::Proxy::call).
        ///
        /// # Cancel safety
        ///
        /// A future that is dropped has acquired nothing.
        ///
        /// # Examples
        ///
        /// See [the type](Self).
        pub async fn acquire(&self) -> Result<$guard> {
            let asked = self.reference.ours("acquire", &($args)(EVER));
            let kept = Kept::acquire(&self.reference, asked).await?;
            Ok($guard { kept: kept.expect("without a limit it is had") })
        }

        /// As [`acquire`](Self::acquire), for code outside async: blocks this thread.
        ///
        /// # Errors
        ///
        /// As for [`acquire`](Self::acquire).
        ///
        /// # Examples
        ///
        /// See [the type](Self).
        pub fn blocking_acquire(&self) -> Result<$guard> {
            let asked = self.reference.ours("acquire", &($args)(EVER));
            let kept = Kept::blocking_acquire(&self.reference, asked)?;
            Ok($guard { kept: kept.expect("without a limit it is had") })
        }

        /// Acquires it if that can be done without waiting for another holder. Python: `acquire(block=False)`.
        ///
        /// # Errors
        ///
        /// As for [`acquire`](Self::acquire).
        ///
        /// # Cancel safety
        ///
        /// A future that is dropped has acquired nothing.
        ///
        /// # Examples
        ///
        /// See [the type](Self).
        pub async fn try_acquire(&self) -> Result<Option<$guard>> {
            let asked = self.reference.ours("acquire", &($args)(AT_ONCE));
            Ok(Kept::acquire(&self.reference, asked).await?.map(|kept| $guard { kept }))
        }

        /// As [`try_acquire`](Self::try_acquire), for code outside async: blocks this thread until the manager has answered.
        ///
        /// # Errors
        ///
        /// As for [`acquire`](Self::acquire).
        ///
        /// # Examples
        ///
        /// See [the type](Self).
        pub fn blocking_try_acquire(&self) -> Result<Option<$guard>> {
            let asked = self.reference.ours("acquire", &($args)(AT_ONCE));
            Ok(Kept::blocking_acquire(&self.reference, asked)?.map(|kept| $guard { kept }))
        }

        /// Waits at most so long; nothing if it was not to be had. Python: `acquire(timeout)`.
        ///
        /// # Errors
        ///
        /// As for [`acquire`](Self::acquire).
        ///
        /// # Cancel safety
        ///
        /// A future that is dropped has acquired nothing.
        ///
        /// # Examples
        ///
        /// See [the type](Self).
        pub async fn acquire_timeout(&self, limit: Duration) -> Result<Option<$guard>> {
            let asked = self.reference.ours("acquire", &($args)(Some(limit)));
            Ok(Kept::acquire(&self.reference, asked).await?.map(|kept| $guard { kept }))
        }

        /// As [`acquire_timeout`](Self::acquire_timeout), for code outside async: blocks this thread.
        ///
        /// # Errors
        ///
        /// As for [`acquire`](Self::acquire).
        ///
        /// # Examples
        ///
        /// See [the type](Self).
        pub fn blocking_acquire_timeout(&self, limit: Duration) -> Result<Option<$guard>> {
            let asked = self.reference.ours("acquire", &($args)(Some(limit)));
            Ok(Kept::blocking_acquire(&self.reference, asked)?.map(|kept| $guard { kept }))
        }
    };
}
pub(super) use acquires;
