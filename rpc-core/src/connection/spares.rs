//! The memory of large frames, which is used again once nobody has any of it.
//!
//! Allocators give memory of that size back to the system, and to get it anew costs more than to read a
//! frame into it. Pure.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// The memory of frames that were handed out, the oldest first.
#[derive(Default)]
pub(super) struct Spares {
    frames: VecDeque<Spare>,
    /// How many bytes of memory they have in all.
    bytes: usize,
    /// How often none was needed since the last was let go.
    idle: u32,
}

struct Spare {
    frame: Bytes,
    /// How much it has, of which the frame may be a part.
    memory: usize,
}

impl Spares {
    /// Returns memory for a frame of this size: that of an earlier one, or none so far.
    pub(super) fn take(&mut self, size: usize) -> BytesMut {
        // Whoever gets a part of the frame keeps all of the memory.
        let fits = size..=size + size / 4;
        let is_free = |it: &Spare| fits.contains(&it.memory) && it.frame.is_unique();
        // The one that was used last is the warmest.
        let place = self.frames.iter().rposition(is_free);
        let Some(Spare { frame, memory }) = place.and_then(|it| self.frames.remove(it)) else {
            return BytesMut::new();
        };
        self.bytes -= memory;
        let mut free = frame.try_into_mut().unwrap_or_default();
        free.clear();
        free
    }

    /// Remembers a frame that is handed out, and that has so much memory.
    pub(super) fn keep(&mut self, frame: &Bytes, memory: usize) {
        let frame = frame.clone();
        self.bytes += memory;
        self.frames.push_back(Spare { frame, memory });
        while self.bytes > KEPT_BYTES_MAX || self.frames.len() > KEPT_MAX {
            self.let_go();
        }
    }

    /// No large frame was there to be read. If that lasts, the memory goes, little by little: also on a
    /// connection on which there is nothing but signs of life.
    pub(super) fn cool(&mut self) {
        self.idle += 1;
        if self.idle >= READS_PER_FRAME {
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        self.idle = 0;
        let oldest = self.frames.pop_front();
        self.bytes -= oldest.map_or(0, |it| it.memory);
    }
}

/// So much memory a connection keeps in each direction for what may come.
const KEPT_BYTES_MAX: usize = 3 << 19;
/// And so many frames, since all are looked at.
const KEPT_MAX: usize = 32;
/// After so many reads without a large frame one is let go.
const READS_PER_FRAME: u32 = 16;

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::{KEPT_BYTES_MAX, KEPT_MAX, READS_PER_FRAME, Spares};

    fn frame(size: usize) -> Bytes {
        BytesMut::zeroed(size).freeze()
    }

    fn keep(spares: &mut Spares, size: usize) {
        spares.keep(&frame(size), size);
    }

    #[test]
    fn memory_is_used_again_once_nobody_has_any_of_it() {
        let mut spares = Spares::default();
        let first = frame(1000);
        spares.keep(&first, 1000);
        let part = first.slice(10..20);
        drop(first);
        assert_eq!(spares.take(1000).capacity(), 0, "a part is still read");
        let begin = part.as_ptr().addr() - 10;
        drop(part);
        let again = spares.take(900);
        assert_eq!((again.len(), again.capacity()), (0, 1000));
        assert_eq!(again.as_ptr().addr(), begin);
        assert_eq!(spares.take(900).capacity(), 0, "it is given once");
    }

    #[test]
    fn a_frame_does_not_get_much_more_than_it_needs() {
        let mut spares = Spares::default();
        keep(&mut spares, 1000);
        assert_eq!(spares.take(799).capacity(), 0);
        assert_eq!(spares.take(1001).capacity(), 0);
        let mut again = spares.take(800);
        assert_eq!(again.capacity(), 1000);
        // It is as large as before for the next, however short this one was.
        again.resize(800, 0);
        spares.keep(&again.freeze(), 1000);
        assert_eq!(spares.take(640).capacity(), 0);
        assert_eq!(spares.take(1000).capacity(), 1000);
    }

    #[test]
    fn what_is_kept_is_limited() {
        let mut spares = Spares::default();
        for size in (1..).take(2 * KEPT_MAX) {
            keep(&mut spares, size);
        }
        assert_eq!(spares.frames.len(), KEPT_MAX);
        keep(&mut spares, KEPT_BYTES_MAX);
        assert_eq!((spares.frames.len(), spares.bytes), (1, KEPT_BYTES_MAX));
        keep(&mut spares, KEPT_BYTES_MAX + 1);
        assert_eq!((spares.frames.len(), spares.bytes), (0, 0));
    }

    #[test]
    fn what_is_not_used_goes() {
        let mut spares = Spares::default();
        keep(&mut spares, 1000);
        keep(&mut spares, 1100);
        for _ in 0..READS_PER_FRAME {
            assert_eq!(spares.bytes, 2100);
            spares.cool();
        }
        assert_eq!(spares.bytes, 1100);
        for _ in 0..2 * READS_PER_FRAME {
            spares.cool();
        }
        assert_eq!((spares.frames.len(), spares.bytes), (0, 0));
    }
}
