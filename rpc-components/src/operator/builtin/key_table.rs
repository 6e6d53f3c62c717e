//! A number for each key, in little memory.

use std::hash::{BuildHasher, Hasher};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::arena::{Arena, Position};
use crate::operator::codec::encode_bytes;
use crate::operator::{DecodeError, RecordReader, Value};

/// A table of keys and numbers; a short key costs about 25 bytes.
///
/// ```text
///   index: hash ▶ position       arena: │ number, 9 │ key length │ key │ number, 9 │ …
/// ```
/// Its entries come out in the order in which their keys came in.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    index: HashTable<Position>,
    arena: Arena,
    hasher: DefaultHashBuilder,
}

/// What a key's records add up to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Float(f64),
    Int(i64),
}

impl KeyTable {
    /// Sets the number of `key` to what `merge` makes of it and `number`, or to `number` itself if
    /// the key is new.
    ///
    /// Returns whether there was room for it.
    pub(super) fn merge<E>(
        &mut self,
        key: &str,
        number: Number,
        merge: impl FnOnce(Number, Number) -> Result<Number, E>,
    ) -> Result<bool, E> {
        let key = key.as_bytes();
        let Self {
            index,
            arena,
            hasher,
        } = self;
        let entry = index.entry(
            hash(hasher, key),
            |position| key_at(arena, *position) == key,
            |position| hash(hasher, key_at(arena, *position)),
        );
        match entry {
            Entry::Occupied(entry) => {
                let bytes = arena.get_mut(*entry.get());
                if let Some(slot) = bytes.first_chunk_mut() {
                    *slot = merge(Number::from_bytes(*slot), number)?.to_bytes();
                }
                Ok(true)
            }
            Entry::Vacant(entry) => {
                let length_max = NUMBER_BYTES + VARINT_BYTES_MAX + key.len();
                let position = arena.push(length_max, |chunk| {
                    chunk.extend_from_slice(&number.to_bytes());
                    encode_bytes(key, chunk);
                });
                let is_stored = position.is_some();
                if let Some(position) = position {
                    entry.insert(position);
                }
                Ok(is_stored)
            }
        }
    }

    /// Hands each key and its number to `take`, and frees them on the way.
    pub(super) fn drain<E: From<DecodeError>>(
        &mut self,
        mut take: impl FnMut(&str, Number) -> Result<(), E>,
    ) -> Result<(), E> {
        // The index is of no more use, and whoever takes the keys may need the memory.
        self.index = HashTable::new();
        while let Some(chunk) = self.arena.pop_chunk() {
            let mut rest = chunk.as_slice();
            while let Some((number, after)) = rest.split_first_chunk() {
                let mut reader = RecordReader::new(after);
                let key = reader.text("key")?;
                take(key, Number::from_bytes(*number))?;
                rest = reader.rest();
            }
        }
        Ok(())
    }

    /// Returns how much memory the table takes, more or less.
    pub(super) fn memory_bytes(&self) -> usize {
        self.arena.bytes() + self.index.allocation_size()
    }
}

impl Number {
    /// Returns the number that a value is.
    pub(super) const fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Float(number) => Some(Self::Float(number)),
            Value::Int(number) => Some(Self::Int(number)),
            _ => None,
        }
    }

    /// Returns the number as a value.
    pub(super) const fn value(self) -> Value<'static> {
        match self {
            Self::Float(number) => Value::Float(number),
            Self::Int(number) => Value::Int(number),
        }
    }

    /// Returns the number with its fraction, if it has one.
    #[expect(
        clippy::cast_precision_loss,
        reason = "whoever mixes ints and floats asks for floats"
    )]
    pub(super) const fn as_float(self) -> f64 {
        match self {
            Self::Float(number) => number,
            Self::Int(number) => number as f64,
        }
    }

    fn to_bytes(self) -> [u8; NUMBER_BYTES] {
        let (kind, digits) = match self {
            Self::Float(number) => (1, number.to_le_bytes()),
            Self::Int(number) => (0, number.to_le_bytes()),
        };
        let mut bytes = [kind; NUMBER_BYTES];
        bytes[1..].copy_from_slice(&digits);
        bytes
    }

    const fn from_bytes(bytes: [u8; NUMBER_BYTES]) -> Self {
        let [kind, a, b, c, d, e, f, g, h] = bytes;
        let digits = [a, b, c, d, e, f, g, h];
        if kind == 0 {
            Self::Int(i64::from_le_bytes(digits))
        } else {
            Self::Float(f64::from_le_bytes(digits))
        }
    }
}

/// Returns the key of the entry at `position`.
fn key_at(arena: &Arena, position: Position) -> &[u8] {
    let entry = &arena.get(position)[NUMBER_BYTES..];
    // The table wrote the entry itself; an empty key is what a wrong one would be.
    RecordReader::new(entry).bytes().unwrap_or_default()
}

fn hash(hasher: &DefaultHashBuilder, key: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(key);
    hasher.finish()
}

const NUMBER_BYTES: usize = 9;
const VARINT_BYTES_MAX: usize = 10;
