//! A handler under way, and all that surrounds its code while it runs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tracing::Span;
use tracing::span::Entered;

use crate::connection::Charge;
use crate::metering::Timing;
use crate::method::MethodInfo;
use crate::pulse::{Doing, During, Pulse};
use crate::scope::{self, Scope, Within};
use crate::trace::TraceContext;
use crate::turn;

/// What surrounds a handler: its call's scope and span, and that it is seen to run.
pub(crate) struct Around<'a> {
    pub(crate) scope: Scope,
    /// `None` unless the call is traced.
    pub(crate) span: Option<Span>,
    pub(crate) pulse: &'a Pulse,
    pub(crate) doing: Doing,
}

impl Around<'_> {
    /// A piece of the handler runs until the value is dropped.
    pub(crate) fn enter(&mut self) -> Inside<'_> {
        let during = self.pulse.during(self.doing);
        let span = self.span.as_ref().map(Span::enter);
        Inside {
            _scope: scope::enter(&mut self.scope),
            _span: span,
            _during: during,
        }
    }
}

/// A piece of a handler that runs; it is left in this order.
pub(crate) struct Inside<'a> {
    _scope: Within<'a>,
    _span: Option<Entered<'a>>,
    _during: During<'a>,
}

/// An interleaving handler under way.
pub(crate) struct Handler<'a> {
    // Dropped first: what the future does in its end is timed too.
    pub(crate) future: BoxFuture<'a, ()>,
    pub(crate) around: Around<'a>,
    /// `None` if nobody records it.
    #[expect(dead_code, reason = "dropping it records it")]
    pub(crate) timing: Option<Timing<'a>>,
    /// What a one-way message takes of its connection's window. No table lists its handlers, as it does
    /// those of calls, so that a peer could have any number of them otherwise.
    #[expect(dead_code, reason = "dropping it gives it back")]
    pub(crate) charge: Option<Charge>,
}

impl Future for Handler<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { future, around, .. } = &mut *self;
        turn::polled_by(cx.waker());
        let _inside = around.enter();
        future.as_mut().poll(cx)
    }
}

/// Makes the span of a traced call; `peer` sent it over a connection.
pub(crate) fn span(
    trace: TraceContext,
    method: &MethodInfo,
    endpoint: &str,
    peer: Option<&str>,
) -> Span {
    tracing::info_span!(
        target: "rpc_core::call",
        "rpc",
        method = method.name,
        endpoint,
        peer = peer.unwrap_or("local"),
        trace_id = %TraceId(trace.trace_id()),
        span_id = %SpanId(trace.span_id()),
    )
}

/// Tells that a traced call is made: it links the call with the one that is being handled here.
#[inline]
pub(crate) fn made(trace: TraceContext, method: &MethodInfo, to: &str) {
    tracing::debug!(
        target: "rpc_core::call",
        method = method.name,
        to,
        trace_id = %TraceId(trace.trace_id()),
        span_id = %SpanId(trace.span_id()),
        parent_id = %SpanId(scope::current_trace().map_or(0, |it| it.span_id())),
        "call",
    );
}

/// The id of a trace, as it stands in a field.
struct TraceId(u128);

/// The id of a call in its trace, or zero for none.
struct SpanId(u64);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
