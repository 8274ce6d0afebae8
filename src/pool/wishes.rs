//! What a caller may ask of a call beside its result: options that single calls, maps and streams have in common.

use std::time::{Duration, Instant};

use futures::future::OptionFuture;
use tokio_util::sync::CancellationToken;

use crate::dispatch::Terms;
use crate::error::{Error, Result};

/// Options that were set before a call has started.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes {
    pub(super) terms: Terms,
    pub(super) token: Option<CancellationToken>,
}

impl Wishes {
    pub(super) fn new(terms: Terms) -> Self {
        Self { terms, token: None }
    }

    /// What is wrong with them.
    pub(super) fn check(&self) -> Result<()> {
        match self.terms.timeout {
            Some(Duration::ZERO) => Err(Error::option("timeout", "a task needs some time")),
            _ => Ok(()),
        }
    }

    /// By when a call that begins to wait now must have started.
    pub(super) fn start_by(&self) -> Option<Instant> {
        let limit = self.terms.queue_timeout?;
        Instant::now().checked_add(limit)
    }

    /// Ready when the caller's token is cancelled; never if there is none.
    pub(super) async fn cancelled(&self) {
        let cancelled: OptionFuture<_> = self.token.as_ref().map(CancellationToken::cancelled).into();
        if cancelled.await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// The options themselves, for a type whose `change(name, change)` has them.
macro_rules! wishes {
    ($type:ident) => {
        /// Options of each task, to be set before the first poll.
        impl<R: Payload> $type<R> {
            /// How long the task may run, counted from its true start in the worker; in a map each element has this long. Default: the pool's
            /// [`timeout`](crate::Builder::timeout), which is none.
            ///
            /// When the time is over the task fails with [`Error::TimedOut`](crate::Error::TimedOut) and [`Limit::Run`](crate::Limit::Run), and sees
            /// [`worker::is_cancelled`](crate::worker::is_cancelled). If it has not ended after half the pool's [`grace`](crate::Builder::grace), its worker
            /// gets SIGTERM, and after the other half SIGKILL; the worker is replaced, and nothing else is lost. A thread cannot be
            /// killed: it is given up, and ends when its task returns. `Duration::ZERO` is an error.
            ///
            /// # Examples
            ///
            /// ```
            /// use std::time::Duration;
            /// use multiprocess::{Error, Limit, ProcessPool};
            ///
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// let pool = ProcessPool::new(1)?;
            /// let endless = pool.apply(|| -> u8 { loop { std::hint::spin_loop() } }, ());
            /// let error = endless.timeout(Duration::from_millis(20)).await.unwrap_err();
            /// assert!(matches!(error, Error::TimedOut { limit: Limit::Run, .. }));
            /// # pool.shutdown().await
            /// # }).unwrap();
            /// ```
            pub fn timeout(self, limit: Duration) -> Self {
                self.change("timeout", |wishes| wishes.terms.timeout = Some(limit))
            }

            /// How long the task may wait for its start, counted from the first poll or `start`; in a map from when its element was read. Default: for ever.
            ///
            /// It covers the wait for a place in a limited queue too. A task that has not started by then never will, and fails with
            /// [`Error::TimedOut`](crate::Error::TimedOut) and [`Limit::Queue`](crate::Limit::Queue).
            ///
            /// # Examples
            ///
            /// ```
            /// use std::time::Duration;
            ///
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// let pool = multiprocess::ProcessPool::new(1)?;
            /// assert_eq!(pool.apply(|| 1, ()).queue_timeout(Duration::from_secs(60)).await?, 1);
            /// # pool.shutdown().await
            /// # }).unwrap();
            /// ```
            pub fn queue_timeout(self, limit: Duration) -> Self {
                self.change("queue_timeout", |wishes| wishes.terms.queue_timeout = Some(limit))
            }

            /// How often the task may run again, each time on another worker, after the worker that ran it has died. Default: the pool's
            /// [`retries`](crate::Builder::retries), which is 0: a task runs at most once.
            ///
            /// Only for tasks that may run twice, for what one has done before its worker died stays done. After the last attempt it fails with
            /// [`Error::WorkerDied`](crate::Error::WorkerDied), which tells the number of [`attempts`](crate::Death::attempts). A panic or a time that is over is no reason to run again.
            ///
            /// # Examples
            ///
            /// ```
            /// use multiprocess::{Error, ProcessPool};
            ///
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// let pool = ProcessPool::new(1)?;
            /// match pool.apply(|| -> u8 { std::process::abort() }, ()).retries(2).await {
            ///     Err(Error::WorkerDied(death)) => assert_eq!(death.attempts, 3),
            ///     other => panic!("unexpected: {other:?}"),
            /// }
            /// # pool.shutdown().await
            /// # }).unwrap();
            /// ```
            pub fn retries(self, times: u32) -> Self {
                self.change("retries", |wishes| wishes.terms.retries = times)
            }

            /// Whether giving the task up while it runs ends its worker at once. Default: false, and the task is only asked to end.
            ///
            /// It is given up when this is dropped before it is done, or cancelled. The worker is replaced, and nothing else is lost. A thread cannot be killed, as for [`timeout`](Self::timeout).
            ///
            /// # Examples
            ///
            /// ```
            /// use std::time::Duration;
            ///
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// let pool = multiprocess::ProcessPool::new(1)?;
            /// let endless = pool.apply(|| -> u8 { loop { std::hint::spin_loop() } }, ()).kill_on_drop(true);
            /// assert!(tokio::time::timeout(Duration::from_millis(50), endless).await.is_err());
            /// assert_eq!(pool.apply(|| 1, ()).await?, 1, "its worker was replaced");
            /// # pool.shutdown().await
            /// # }).unwrap();
            /// ```
            pub fn kill_on_drop(self, kill: bool) -> Self {
                self.change("kill_on_drop", |wishes| wishes.terms.kill_on_drop = kill)
            }

            /// Cancels it when the token is cancelled: what has not started never will, what runs sees
            /// [`worker::is_cancelled`](crate::worker::is_cancelled), and the result is [`Error::Cancelled`](crate::Error::Cancelled).
            ///
            /// # Examples
            ///
            /// ```
            /// use multiprocess::{Error, ProcessPool};
            /// use tokio_util::sync::CancellationToken;
            ///
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// let pool = ProcessPool::new(1)?;
            /// let token = CancellationToken::new();
            /// let call = pool.apply(|| 1, ()).cancel_on(token.clone());
            /// token.cancel();
            /// assert!(matches!(call.await, Err(Error::Cancelled { .. })));
            /// # pool.shutdown().await
            /// # }).unwrap();
            /// ```
            pub fn cancel_on(self, token: CancellationToken) -> Self {
                self.change("cancel_on", |wishes| wishes.token = Some(token))
            }
        }
    };
}
pub(super) use wishes;
