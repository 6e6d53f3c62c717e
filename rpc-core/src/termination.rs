//! How an endpoint has ended, for all who wait for it.

use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::EndpointError;

/// Tells how an endpoint has ended, once it has.
#[derive(Default)]
pub(crate) struct Termination {
    /// The error is elsewhere: there is hardly ever one, and all endpoints would have room for it.
    result: Mutex<Option<Result<(), Box<EndpointError>>>>,
    ended: Notify,
}

/// Says that an endpoint is over, if nobody has said how it has ended: its task was dropped.
pub(crate) struct Ending(pub(crate) Arc<Termination>);

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.0.is_set() {
            self.0.set(Ok(()));
        }
    }
}

impl Termination {
    /// Says how the endpoint has ended.
    pub(crate) fn set(&self, result: Result<(), EndpointError>) {
        *self.result.lock() = Some(result.map_err(Box::new));
        self.ended.notify_waiters();
    }

    /// Tells whether it has ended.
    pub(crate) fn is_set(&self) -> bool {
        self.result.lock().is_some()
    }

    /// Waits until the endpoint has ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: whoever asks later is told too.
    pub(crate) fn wait(
        self: &Arc<Self>,
    ) -> impl Future<Output = Result<(), EndpointError>> + use<> {
        let this = Arc::clone(self);
        async move {
            loop {
                // Before one looks: what happens from here on is told.
                let ended = this.ended.notified();
                if let Some(result) = this.result.lock().clone() {
                    return result.map_err(|error| *error);
                }
                ended.await;
            }
        }
    }
}
