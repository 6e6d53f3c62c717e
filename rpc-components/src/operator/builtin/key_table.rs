//! A number for each key, in little memory.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table};

use super::arena::{Arena, Position};
use crate::operator::Value;

/// A table of keys and numbers; a short key costs about 25 bytes.
///
/// ```text
///   index: hash ▶ position       arena: │ number, 9 │ key length, 4 │ key │ number, 9 │ …
/// ```
/// Its entries come out in the order in which their keys came in.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    index: HashTable<Position>,
    arena: Arena,
    hasher: DefaultHashBuilder,
}

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// It is the first of its key.
    New,
    /// There is no room for another key.
    NoRoom,
    /// It went into that of its key.
    Old,
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
    pub(super) fn merge<E>(
        &mut self,
        key: &str,
        number: Number,
        merge: impl FnOnce(Number, Number) -> Result<Number, E>,
    ) -> Result<Merged, E> {
        let Self {
            index,
            arena,
            hasher,
        } = self;
        let key = key.as_bytes();
        let Ok(key_bytes) = u32::try_from(key.len()) else {
            return Ok(Merged::NoRoom);
        };
        let entry = index.entry(
            hash(hasher, key),
            |position| Entry::first(arena.get(*position)).is_some_and(|entry| entry.key == key),
            |position| Entry::first(arena.get(*position)).map_or(0, |e| hash(hasher, e.key)),
        );
        match entry {
            hash_table::Entry::Occupied(entry) => {
                if let Some(slot) = arena.get_mut(*entry.get()).first_chunk_mut() {
                    *slot = merge(Number::from_bytes(*slot), number)?.to_bytes();
                }
                Ok(Merged::Old)
            }
            hash_table::Entry::Vacant(entry) => {
                let position = arena.push(ENTRY_BYTES + key.len(), |chunk| {
                    chunk.extend_from_slice(&number.to_bytes());
                    chunk.extend_from_slice(&key_bytes.to_le_bytes());
                    chunk.extend_from_slice(key);
                });
                match position {
                    Some(position) => {
                        entry.insert(position);
                        Ok(Merged::New)
                    }
                    None => Ok(Merged::NoRoom),
                }
            }
        }
    }

    /// Hands each key and its number to `take`, and frees them on the way.
    pub(super) fn drain<E>(
        &mut self,
        mut take: impl FnMut(&str, Number) -> Result<(), E>,
    ) -> Result<(), E> {
        // The index is of no more use, and whoever takes the keys may need the memory.
        self.index = HashTable::new();
        while let Some(chunk) = self.arena.pop_chunk() {
            let mut rest = chunk.as_slice();
            while let Some(entry) = Entry::first(rest) {
                take(str::from_utf8(entry.key).unwrap_or_default(), entry.number)?;
                rest = entry.rest;
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

/// An entry of the arena, and the bytes behind it. Only the table writes them, so that there is no
/// entry is all that can be wrong.
struct Entry<'a> {
    number: Number,
    key: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Entry<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (key_bytes, rest) = rest.split_first_chunk()?;
        let key_bytes = u32::from_le_bytes(*key_bytes).try_into().ok()?;
        let (key, rest) = rest.split_at_checked(key_bytes)?;
        Some(Self {
            number: Number::from_bytes(*number),
            key,
            rest,
        })
    }
}

fn hash(hasher: &DefaultHashBuilder, key: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(key);
    hasher.finish()
}

const NUMBER_BYTES: usize = 9;
/// What an entry has beside its key.
const ENTRY_BYTES: usize = NUMBER_BYTES + 4;
