//! Records as bytes: between tasks, and wherever an operator keeps some.
//!
//! ```text
//! ┌──────┬────────────┬─────┬─────────────────────────────────────────────────┐
//! │ kind │ key length │ key │ value: nothing, a signed varint, 8 bytes, or    │
//! │ 1    │ varint     │     │ a length as a varint and as many bytes          │
//! └──────┴────────────┴─────┴─────────────────────────────────────────────────┘
//! ```
//! A varint has seven bits in each byte, the lowest first; a signed one is zigzag-coded. A float is
//! little-endian.

use std::str;

use thiserror::Error;

use super::context::count;
use super::{Record, Value};

/// Why bytes are not records.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A record has a kind that does not exist.
    #[error("there is no record of kind {kind}")]
    Kind {
        /// What the bytes say.
        kind: u8,
    },
    /// A text is not UTF-8.
    #[error("the {part} of a record is not UTF-8")]
    NotUtf8 {
        /// Which part of the record is none.
        part: &'static str,
    },
    /// A number has more digits than fit.
    #[error("a number in a record is too large")]
    Overflow,
    /// The bytes end within a record.
    #[error("a record is cut off")]
    Truncated,
}

/// Appends a record to `buffer`.
pub(crate) fn encode_record(record: Record<'_>, buffer: &mut Vec<u8>) {
    let kind = match record.value {
        Value::Unit => KIND_UNIT,
        Value::Int(_) => KIND_INT,
        Value::Float(_) => KIND_FLOAT,
        Value::Text(_) => KIND_TEXT,
        Value::Bytes(_) => KIND_BYTES,
    };
    buffer.push(kind);
    encode_bytes(record.key.as_bytes(), buffer);
    match record.value {
        Value::Unit => {}
        Value::Int(number) => encode_varint(zigzag(number), buffer),
        Value::Float(number) => buffer.extend_from_slice(&number.to_le_bytes()),
        Value::Text(text) => encode_bytes(text.as_bytes(), buffer),
        Value::Bytes(bytes) => encode_bytes(bytes, buffer),
    }
}

/// Reads the records of a buffer, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct RecordReader<'a> {
    rest: &'a [u8],
}

impl<'a> RecordReader<'a> {
    /// Begins at the first record.
    pub(crate) const fn new(buffer: &'a [u8]) -> Self {
        Self { rest: buffer }
    }

    /// Returns the next record, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'a>>, DecodeError> {
        let Some((&kind, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        let key = self.text("key")?;
        let value = match kind {
            KIND_UNIT => Value::Unit,
            KIND_INT => Value::Int(unzigzag(self.varint()?)),
            KIND_FLOAT => Value::Float(f64::from_le_bytes(self.array()?)),
            KIND_TEXT => Value::Text(self.text("value")?),
            KIND_BYTES => Value::Bytes(self.bytes()?),
            kind => return Err(DecodeError::Kind { kind }),
        };
        Ok(Some(Record { key, value }))
    }

    fn text(&mut self, part: &'static str) -> Result<&'a str, DecodeError> {
        str::from_utf8(self.bytes()?).map_err(|_| DecodeError::NotUtf8 { part })
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
            self.rest = rest;
            let digits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if shift == 63 && digits > 1 {
                return Err(DecodeError::Overflow);
            }
            number |= digits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(DecodeError::Overflow)
    }
}

fn encode_bytes(bytes: &[u8], buffer: &mut Vec<u8>) {
    encode_varint(count(bytes.len()), buffer);
    buffer.extend_from_slice(bytes);
}

fn encode_varint(mut number: u64, buffer: &mut Vec<u8>) {
    while number >= 0x80 {
        buffer.push(low_byte(number) | 0x80);
        number >>= 7;
    }
    buffer.push(low_byte(number));
}

const fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

const KIND_UNIT: u8 = 0;
const KIND_INT: u8 = 1;
const KIND_FLOAT: u8 = 2;
const KIND_TEXT: u8 = 3;
const KIND_BYTES: u8 = 4;
