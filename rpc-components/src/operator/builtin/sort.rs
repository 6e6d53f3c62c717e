//! `sort`: all records, in the order of their keys.

use std::cmp::Ordering;

use super::arena::{Arena, Position};
use crate::job_graph::OperatorSpecError;
use crate::operator::context::count;
use crate::operator::{
    Collector, DecodeError, Operator, OperatorError, Options, Record, RecordReader, encode_record,
};

/// Holds all records until the last has come, and hands them on sorted by the bytes of their keys;
/// records of the same key stay in the order in which they came.
#[derive(Debug)]
pub(super) struct Sort {
    memory_bytes_max: u64,
    arena: Arena,
    entries: Vec<Entry>,
    scratch: Vec<u8>,
}

/// A record's place, and the beginning of its key, which mostly decides.
#[derive(Clone, Copy, Debug)]
struct Entry {
    prefix: [u8; PREFIX_BYTES],
    position: Position,
}

impl Sort {
    pub(super) fn from_options(options: &mut Options<'_>) -> Result<Self, OperatorSpecError> {
        let memory_bytes_max = options.optional("memory_bytes_max")?;
        Ok(Self {
            memory_bytes_max: memory_bytes_max.unwrap_or(MEMORY_BYTES_DEFAULT),
            arena: Arena::default(),
            entries: Vec::new(),
            scratch: Vec::new(),
        })
    }

    fn memory_bytes(&self) -> u64 {
        count(self.arena.bytes() + self.entries.capacity() * size_of::<Entry>())
    }
}

impl Operator for Sort {
    fn process(&mut self, record: Record<'_>, _: &mut dyn Collector) -> Result<(), OperatorError> {
        self.scratch.clear();
        encode_record(record, &mut self.scratch);
        let scratch = &self.scratch;
        let position = self
            .arena
            .push(scratch.len(), |chunk| chunk.extend_from_slice(scratch));
        let prefix = prefix(record.key);
        let entry = position.map(|position| Entry { prefix, position });
        self.entries.extend(entry);
        if entry.is_none() || self.memory_bytes() > self.memory_bytes_max {
            return Err(OperatorError::Memory {
                operator: "sort",
                limit: self.memory_bytes_max,
            });
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Collector) -> Result<(), OperatorError> {
        let arena = &self.arena;
        self.entries.sort_unstable_by(|a, b| compare(arena, *a, *b));
        for entry in &self.entries {
            out.emit(record_at(arena, entry.position)?)?;
        }
        Ok(())
    }
}

fn compare(arena: &Arena, a: Entry, b: Entry) -> Ordering {
    let key = |entry: Entry| record_at(arena, entry.position).map(|record| record.key);
    a.prefix
        .cmp(&b.prefix)
        .then_with(|| key(a).unwrap_or_default().cmp(key(b).unwrap_or_default()))
        .then(a.position.cmp(&b.position))
}

fn record_at(arena: &Arena, position: Position) -> Result<Record<'_>, DecodeError> {
    let record = RecordReader::new(arena.get(position)).next()?;
    record.ok_or(DecodeError::Truncated)
}

/// Returns the first bytes of a key, filled up with zeros: it sorts as the key does, save that
/// different keys may have the same.
fn prefix(key: &str) -> [u8; PREFIX_BYTES] {
    let mut prefix = [0; PREFIX_BYTES];
    let length = key.len().min(PREFIX_BYTES);
    prefix[..length].copy_from_slice(&key.as_bytes()[..length]);
    prefix
}

const PREFIX_BYTES: usize = 8;
/// How much it holds. Beyond it the task fails, and not the process with all its tasks.
const MEMORY_BYTES_DEFAULT: u64 = 1 << 30;
