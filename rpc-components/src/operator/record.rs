//! What travels through a job.

use super::OperatorError;

/// A key and a value, borrowed from whoever made them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// What the record belongs to; empty until an operator gives it a key.
    pub key: &'a str,
    /// What it says.
    pub value: Value<'a>,
}

impl<'a> Record<'a> {
    /// Makes a record that has no key yet.
    #[must_use]
    pub const fn text(text: &'a str) -> Self {
        Self {
            key: "",
            value: Value::Text(text),
        }
    }
}

/// The value of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// A number with a fraction.
    Float(f64),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// Nothing: the key says it all.
    Unit,
}

impl Value<'_> {
    /// Says what kind of value it is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Bytes(_) => "bytes",
            Self::Float(_) => "a float",
            Self::Int(_) => "an int",
            Self::Text(_) => "a text",
            Self::Unit => "nothing",
        }
    }
}

/// Takes the records that an operator hands on.
pub trait Collector {
    /// Takes a record, and returns when whoever comes next is done with it.
    ///
    /// # Errors
    ///
    /// An error is of the operators or tasks behind, or says that the task is cancelled. The
    /// operator that gets it returns it.
    fn emit(&mut self, record: Record<'_>) -> Result<(), OperatorError>;
}
