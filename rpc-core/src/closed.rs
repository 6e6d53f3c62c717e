//! The end of an endpoint, as those learn of it who have a gateway to it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

/// Waits for the end of an endpoint; see [`RpcGateway::closed`](crate::RpcGateway::closed).
///
/// # Cancel safety
///
/// May be dropped and asked for again.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Closed(BoxFuture<'static, GatewayClosed>);

/// Why a gateway is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GatewayClosed {
    /// The connection was lost; whether the endpoint lives is not known.
    Disconnected,
    /// The endpoint has ended.
    Stopped,
}

impl Closed {
    pub(crate) fn new(closed: impl Future<Output = GatewayClosed> + Send + 'static) -> Self {
        Self(Box::pin(closed))
    }

    /// Waits for ever, as a mock does.
    pub fn never() -> Self {
        Self::new(std::future::pending())
    }
}

impl Future for Closed {
    type Output = GatewayClosed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<GatewayClosed> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}
