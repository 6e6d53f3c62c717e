//! What a main thread does just now, for those who watch it from outside.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::lifecycle::State;

/// The signs of life of an endpoint. Only its main thread writes them.
pub(crate) struct Pulse {
    /// How many pieces of code were begun; what runs now is in the lowest 16 bits.
    beat: AtomicU64,
    state: AtomicU8,
    /// Nothing is under way.
    idle: AtomicBool,
    handlers: AtomicU32,
    timers: AtomicU32,
    /// Timers or continuations were set or cancelled since the main loop looked.
    changed: AtomicBool,
}

/// Code that runs on a main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Nothing,
    OnStart,
    OnStop,
    Timer,
    Posted,
    Continuation,
    /// The handler of the method in this place among those of the endpoint.
    Method(u16),
}

/// What was seen at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beat(pub(crate) u64);

impl Pulse {
    pub(crate) const fn new() -> Self {
        Self {
            beat: AtomicU64::new(0),
            state: AtomicU8::new(0),
            idle: AtomicBool::new(true),
            handlers: AtomicU32::new(0),
            timers: AtomicU32::new(0),
            changed: AtomicBool::new(false),
        }
    }

    /// Something runs until the value is dropped.
    pub(crate) fn during(&self, doing: Doing) -> During<'_> {
        // There is one writer, so that nothing is lost between the two.
        let count = self.beat.load(Ordering::Relaxed) >> DOING_BITS;
        let beat = (count + 1) << DOING_BITS | u64::from(doing.code());
        self.beat.store(beat, Ordering::Relaxed);
        During(self, beat)
    }

    pub(crate) fn beat(&self) -> Beat {
        Beat(self.beat.load(Ordering::Relaxed))
    }

    pub(crate) fn publish(&self, state: State, handlers: usize, idle: bool) {
        self.state.store(state as u8, Ordering::Relaxed);
        self.idle.store(idle, Ordering::Relaxed);
        self.handlers.store(count(handlers), Ordering::Relaxed);
    }

    /// Says that the main loop is to look at timers and continuations; the main thread calls it.
    pub(crate) fn change(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Tells whether it is to look; the main thread calls it.
    pub(crate) fn is_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Tells whether it is to look, once; the main thread calls it.
    pub(crate) fn take_changed(&self) -> bool {
        let changed = self.changed.load(Ordering::Relaxed);
        if changed {
            self.changed.store(false, Ordering::Relaxed);
        }
        changed
    }

    pub(crate) fn publish_timers(&self, timers: usize) {
        self.timers.store(count(timers), Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> State {
        let state = self.state.load(Ordering::Relaxed);
        let mut states = State::ALL.into_iter();
        states
            .find(|it| *it as u8 == state)
            .expect("a state was stored")
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Relaxed)
    }

    pub(crate) fn handlers(&self) -> u32 {
        self.handlers.load(Ordering::Relaxed)
    }

    pub(crate) fn timers(&self) -> u32 {
        self.timers.load(Ordering::Relaxed)
    }
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}

/// A piece of code that runs.
pub(crate) struct During<'a>(&'a Pulse, u64);

impl Drop for During<'_> {
    fn drop(&mut self) {
        let idle = self.1 >> DOING_BITS << DOING_BITS;
        self.0.beat.store(idle, Ordering::Relaxed);
    }
}

impl Beat {
    pub(crate) fn doing(self) -> Doing {
        let code = u16::try_from(self.0 & DOING_MASK).expect("it is masked");
        match code {
            0 => Doing::Nothing,
            1 => Doing::OnStart,
            2 => Doing::OnStop,
            3 => Doing::Timer,
            4 => Doing::Posted,
            5 => Doing::Continuation,
            code => Doing::Method(code - METHODS),
        }
    }
}

impl Doing {
    pub(crate) fn method(place: usize) -> Self {
        Self::Method(u16::try_from(place).unwrap_or(u16::MAX))
    }

    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::Nothing => 0,
            Self::OnStart => 1,
            Self::OnStop => 2,
            Self::Timer => 3,
            Self::Posted => 4,
            Self::Continuation => 5,
            Self::Method(place) => place.saturating_add(METHODS),
        }
    }
}

const DOING_BITS: u32 = 16;
const DOING_MASK: u64 = (1 << DOING_BITS) - 1;
/// The code of the first method.
const METHODS: u16 = 6;

#[cfg(test)]
mod tests {
    use super::{Doing, Pulse};

    #[test]
    fn what_runs_is_seen_until_it_ends() {
        let pulse = Pulse::new();
        let before = pulse.beat();
        for doing in [
            Doing::OnStart,
            Doing::OnStop,
            Doing::Timer,
            Doing::Posted,
            Doing::Continuation,
            Doing::Method(0),
            Doing::Method(700),
        ] {
            let during = pulse.during(doing);
            assert_eq!(pulse.beat().doing(), doing);
            drop(during);
            assert_eq!(pulse.beat().doing(), Doing::Nothing);
        }
        assert_ne!(pulse.beat(), before, "it moved");
    }
}
