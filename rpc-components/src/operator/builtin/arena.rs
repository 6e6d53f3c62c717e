//! Entries of bytes in chunks: no allocation for each, no copy when it grows, and memory that goes
//! back chunk by chunk.

use std::collections::VecDeque;

/// Entries that can be found again by their position, and that are appended only.
///
/// An entry must tell by itself where it ends.
#[derive(Debug, Default)]
pub(super) struct Arena {
    chunks: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// Where an entry is: the chunk in the upper bits, the byte within it in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(u32);

impl Arena {
    /// Appends the entry that `write` appends, which says beforehand how long it is at most.
    ///
    /// Returns `None` when there is no position left, which is at 4 GiB.
    pub(super) fn push(
        &mut self,
        length_max: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Position> {
        let has_room = |chunk: &Vec<u8>| chunk.len() + length_max <= CHUNK_BYTES;
        if !self.chunks.back().is_some_and(has_room) {
            if self.chunks.len() == CHUNKS_MAX {
                return None;
            }
            // An entry that is longer than a chunk has one of its own.
            self.chunks
                .push_back(Vec::with_capacity(length_max.max(CHUNK_BYTES)));
        }
        let index = u32::try_from(self.chunks.len() - 1).ok()?;
        let chunk = self.chunks.back_mut()?;
        let offset = u32::try_from(chunk.len()).ok()?;
        write(chunk);
        self.bytes += chunk.len() - usize::try_from(offset).ok()?;
        Some(Position((index << OFFSET_BITS) | offset))
    }

    /// Returns the bytes that begin with the entry at `position`.
    pub(super) fn get(&self, position: Position) -> &[u8] {
        let (chunk, offset) = position.parts();
        &self.chunks[chunk][offset..]
    }

    /// Returns the bytes that begin with the entry at `position`, to change some of them.
    pub(super) fn get_mut(&mut self, position: Position) -> &mut [u8] {
        let (chunk, offset) = position.parts();
        &mut self.chunks[chunk][offset..]
    }

    /// Takes the first chunk with its entries, in the order in which they came.
    ///
    /// From then on positions are void.
    pub(super) fn pop_chunk(&mut self) -> Option<Vec<u8>> {
        let chunk = self.chunks.pop_front()?;
        self.bytes -= chunk.len();
        Some(chunk)
    }

    /// Returns how many bytes the entries have.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Position {
    fn parts(self) -> (usize, usize) {
        let part = |bits: u32| usize::try_from(bits).unwrap_or(usize::MAX);
        (
            part(self.0 >> OFFSET_BITS),
            part(self.0 & ((1 << OFFSET_BITS) - 1)),
        )
    }
}

const OFFSET_BITS: u32 = 20;
/// Chunks of 1 MiB: the system hands out the pages of one only as they are written.
const CHUNK_BYTES: usize = 1 << OFFSET_BITS;
const CHUNKS_MAX: usize = 1 << (u32::BITS - OFFSET_BITS);
