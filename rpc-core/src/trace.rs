//! Which trace a call belongs to, in the terms of the W3C trace context.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::scope;

/// A call's place in a trace: it travels with the call, and the calls that its handler makes are
/// its children.
///
/// It is written as in the `traceparent` header of the W3C:
///
/// ```
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let trace: rpc_core::TraceContext = text.parse()?;
/// assert_eq!(trace.to_string(), text);
/// # Ok::<(), rpc_core::TraceContextError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The upper and the lower half of the id.
    trace: [u64; 2],
    /// Not zero, so that a context that is not there takes no room of its own.
    span: NonZeroU64,
    flags: u8,
}

impl TraceContext {
    /// Makes a context of its ids; `None` if one of them is zero, which says that there is none.
    #[must_use]
    pub const fn new(trace: u128, span: u64, flags: u8) -> Option<Self> {
        match NonZeroU64::new(span) {
            Some(span) if trace != 0 => Some(Self {
                trace: halves(trace),
                span,
                flags,
            }),
            _ => None,
        }
    }

    /// Returns the context of the call that is being handled on this thread, if it has one.
    #[must_use]
    pub fn current() -> Option<Self> {
        scope::current_trace()
    }

    /// Begins a trace. Its first call is told from its others by half of the trace's own id, so that
    /// there is one random number less to be made.
    pub(crate) fn root() -> Self {
        let span = random_span();
        Self {
            trace: [fastrand::u64(..), span.get()],
            span,
            flags: SAMPLED,
        }
    }

    /// Makes the context of a call that is made while this one is handled.
    pub(crate) fn child(self) -> Self {
        Self {
            span: random_span(),
            ..self
        }
    }

    /// Returns the id that all calls of the trace share.
    #[must_use]
    pub const fn trace_id(&self) -> u128 {
        let [upper, lower] = self.trace;
        (upper as u128) << 64 | lower as u128
    }

    /// Returns the call's own id.
    #[must_use]
    pub const fn span_id(&self) -> u64 {
        self.span.get()
    }

    /// Returns the flags, of which the lowest says that the trace is recorded.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.flags
    }
}

/// A context that one writes and others read, though it is shared.
///
/// Who reads it knows by other means that it was written, and that nobody writes it meanwhile.
#[derive(Debug, Default)]
pub(crate) struct TraceCell {
    trace: [AtomicU64; 2],
    /// Zero if there is no context.
    span: AtomicU64,
    flags: AtomicU8,
}

impl TraceCell {
    pub(crate) fn set(&self, context: Option<TraceContext>) {
        let Some(context) = context else {
            self.span.store(0, Ordering::Relaxed);
            return;
        };
        let [upper, lower] = &self.trace;
        upper.store(context.trace[0], Ordering::Relaxed);
        lower.store(context.trace[1], Ordering::Relaxed);
        self.span.store(context.span.get(), Ordering::Relaxed);
        self.flags.store(context.flags, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Option<TraceContext> {
        let [upper, lower] = &self.trace;
        Some(TraceContext {
            span: NonZeroU64::new(self.span.load(Ordering::Relaxed))?,
            trace: [upper, lower].map(|it| it.load(Ordering::Relaxed)),
            flags: self.flags.load(Ordering::Relaxed),
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span, flags) = (self.trace_id(), self.span, self.flags);
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for TraceContext {
    type Err = TraceContextError;

    fn from_str(text: &str) -> Result<Self, TraceContextError> {
        let parse = || {
            let mut parts = text.split('-');
            let mut part = |digits: usize| {
                let lower = |it: &u8| it.is_ascii_digit() || (b'a'..=b'f').contains(it);
                let part = parts.next()?;
                (part.len() == digits && part.as_bytes().iter().all(lower)).then_some(part)
            };
            let version = part(2)?;
            let trace = u128::from_str_radix(part(32)?, 16).ok()?;
            let span = u64::from_str_radix(part(16)?, 16).ok()?;
            let flags = u8::from_str_radix(part(2)?, 16).ok()?;
            // A later version may append parts, this one has none.
            let whole = version != "ff" && (version != "00" || parts.next().is_none());
            Self::new(trace, span, flags).filter(|_| whole)
        };
        parse().ok_or(TraceContextError)
    }
}

/// A text that is not a trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a trace context of the form `00-<32 digits>-<16 digits>-<2 digits>`")]
#[non_exhaustive]
pub struct TraceContextError;

#[expect(clippy::cast_possible_truncation, reason = "it is the lower half")]
const fn halves(id: u128) -> [u64; 2] {
    [(id >> 64) as u64, id as u64]
}

fn random_span() -> NonZeroU64 {
    NonZeroU64::new(fastrand::u64(..)).unwrap_or(NonZeroU64::MIN)
}

/// The trace is recorded by whoever began it.
const SAMPLED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::TraceContext;

    #[test]
    fn a_child_is_of_its_parents_trace() {
        let root = TraceContext::root();
        let child = root.child();
        assert_eq!(child.trace_id(), root.trace_id());
        assert_ne!(child.span_id(), root.span_id());
        assert_eq!(child.to_string().parse(), Ok(child));
    }

    #[test]
    fn what_is_no_context_is_refused() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(text.parse::<TraceContext>().is_err(), "{text}");
        }
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert!(later.parse::<TraceContext>().is_ok());
    }
}
