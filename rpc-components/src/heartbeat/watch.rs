//! The quickest way to learn that somebody is gone: the endpoint ends, or the connection to it breaks.

use futures_util::future::{AbortHandle, abortable};
use rpc_core::{Closed, GatewayClosed};

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
