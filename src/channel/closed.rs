//! Waiting for the end of a connection, whatever there is still to receive.

use super::connection::Connection;
use super::watch::watch_here;
use crate::os::Wanted;

impl<A, B> Connection<A, B> {
    /// Waits until the other end is closed. For ever where that cannot be told.
    ///
    /// It is registered with the runtime of this call until then, in which nobody else may wait for the connection.
    pub(crate) async fn closed(&self) {
        let Ok(watched) = watch_here(self.end.fd(), Wanted::Input) else {
            return std::future::pending().await;
        };
        loop {
            let Ok(mut guard) = watched.readable().await else { return std::future::pending().await };
            if guard.ready().is_read_closed() {
                return;
            }
            guard.clear_ready();
        }
    }
}
