//! The quickest way to learn that somebody is gone: the endpoint ends, or the connection to it breaks.

use std::time::Duration;

use futures_util::future::{AbortHandle, abortable};
use rpc_core::{AppError, Call, Closed, GatewayClosed, RpcError};
use tokio::time::Instant;

/// A watch over a gateway, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch(AbortHandle);

impl Watch {
    /// Begins a watch. The future tells how the gateway was closed, and `None` when the watch ends
    /// before.
    pub(crate) fn begin(
        closed: Closed,
    ) -> (
        Self,
        impl Future<Output = Option<GatewayClosed>> + Send + 'static,
    ) {
        let (closed, abort) = abortable(closed);
        (Self(abort), async move { closed.await.ok() })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells whether somebody to whom the connection is lost answers within this time, to a call that may
/// be made more than once, and does not refuse it.
pub(crate) async fn reached<E>(within: Duration, call: impl Fn() -> Call<(), E> + Send) -> bool
where
    E: AppError,
{
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match call().timeout(left).await {
            Ok(()) => return true,
            // It was reached, and the connection broke again.
            Err(RpcError::Disconnected {
                possibly_executed: true,
                ..
            }) if !left.is_zero() => {}
            Err(_) => return false,
        }
    }
}
