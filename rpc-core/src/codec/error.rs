//! What cannot be encoded or decoded, where, and why.

use std::fmt;

/// What cannot be encoded or decoded, and why.
///
/// A pointer wide, as each value that is decoded is returned beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodecError(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    reason: Reason,
    /// Where in the message it is, the innermost step first.
    path: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("it is nested deeper than {0} levels")]
    Depth(u32),
    #[error("it expands to more than {limit} bytes, the limit for {size} encoded ones")]
    Expanded { size: usize, limit: usize },
    #[error("{0} bytes are left over")]
    LeftOver(usize),
    #[error("{needed} more bytes are announced, and {left} are left")]
    Short { needed: u64, left: usize },
    #[error("a message of {size} bytes is larger than the limit {limit}")]
    TooLarge { size: usize, limit: usize },
    /// In the words of serde, of bincode, or of the value's type.
    #[error("{0}")]
    Value(String),
}

/// One step from a value to a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An element, an entry of a map, or an unnamed field.
    Element(usize),
    Field(&'static str),
}

impl CodecError {
    /// Tells whether the error is of a part of the value that its place names.
    pub(crate) fn has_place(&self) -> bool {
        !self.0.path.is_empty()
    }

    /// Says in which part of a value it is.
    #[cold]
    pub(super) fn at(mut self, step: Step) -> Self {
        self.0.path.push(step);
        self
    }
}

impl From<Reason> for CodecError {
    #[cold]
    fn from(reason: Reason) -> Self {
        let path = Vec::new();
        Self(Box::new(Inner { reason, path }))
    }
}

impl From<bincode::error::EncodeError> for CodecError {
    #[cold]
    fn from(error: bincode::error::EncodeError) -> Self {
        Reason::Value(error.to_string()).into()
    }
}

impl serde::ser::Error for CodecError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Reason::Value(text.to_string()).into()
    }
}

impl serde::de::Error for CodecError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Reason::Value(text.to_string()).into()
    }
}

/// `slots[3].id: the reason`, or the reason alone.
impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { reason, path } = &*self.0;
        for (index, step) in path.iter().rev().take(STEPS_SHOWN_MAX).enumerate() {
            match (step, index) {
                (Step::Element(place), 0) => write!(f, "{place}")?,
                (Step::Element(place), _) => write!(f, "[{place}]")?,
                (Step::Field(name), 0) => f.write_str(name)?,
                (Step::Field(name), _) => write!(f, ".{name}")?,
            }
        }
        if path.len() > STEPS_SHOWN_MAX {
            f.write_str("…")?;
        }
        if self.has_place() {
            f.write_str(": ")?;
        }
        reason.fmt(f)
    }
}

impl std::error::Error for CodecError {}

/// A longer path is cut: what is nested too deep is not shown in full.
const STEPS_SHOWN_MAX: usize = 8;
