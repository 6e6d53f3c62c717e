//! Which trace a call belongs to, in the terms of the W3C trace context.

use std::fmt;

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
    trace: u128,
    span: u64,
    flags: u8,
}

impl TraceContext {
    /// Makes a context of its ids; `None` if one of them is zero, which says that there is none.
    #[must_use]
    pub const fn new(trace: u128, span: u64, flags: u8) -> Option<Self> {
        if trace == 0 || span == 0 {
            return None;
        }
        Some(Self { trace, span, flags })
    }

    /// Returns the context of the call that is being handled on this thread, if it has one.
    #[must_use]
    pub fn current() -> Option<Self> {
        scope::current_trace()
    }

    /// Begins a trace.
    pub(crate) fn root() -> Self {
        Self {
            trace: fastrand::u128(1..),
            span: fastrand::u64(1..),
            flags: SAMPLED,
        }
    }

    /// Makes the context of a call that is made while this one is handled.
    pub(crate) fn child(self) -> Self {
        Self {
            span: fastrand::u64(1..),
            ..self
        }
    }

    /// Returns the id that all calls of the trace share.
    #[must_use]
    pub const fn trace_id(&self) -> u128 {
        self.trace
    }

    /// Returns the call's own id.
    #[must_use]
    pub const fn span_id(&self) -> u64 {
        self.span
    }

    /// Returns the flags, of which the lowest says that the trace is recorded.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.flags
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, span, flags } = self;
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
