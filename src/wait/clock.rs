//! The crate's own clock, which goes under any executor and outside of all.

use std::time::{Duration, Instant};

use crate::os::{self, Rooted, background};

/// Waits with the crate's own clock, which goes under any executor. Without an end it never ends.
pub(crate) async fn until(end: Option<Instant>) {
    // A forked child has no clock of the crate's, and what it waits for has failed anyway.
    let Some(end) = end.filter(|_| !os::forked()) else { return std::future::pending().await };
    let mut sleep = {
        let background =
            background().expect("who waits has made something that started the background runtime");
        let _inside = background.enter();
        Rooted::new(Box::pin(tokio::time::sleep_until(end.into())))
    };
    sleep.as_mut().await;
}

/// Waits for a future at most so long.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    // A limit beyond what the clock can hold is no limit.
    let end = Instant::now().checked_add(limit);
    tokio::select! {
        biased;
        output = future => Some(output),
        () = until(end) => None,
    }
}
