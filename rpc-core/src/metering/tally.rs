//! What a main thread has counted and timed, and not told the recorder yet.
//!
//! To tell it of each message would cost more than many handlers do. So the main thread counts by itself,
//! and tells at the end of each round of messages, and at that of its turn, also when that panics.

use std::cell::RefCell;
use std::sync::Arc;

use super::endpoint::EndpointMeter;
use super::laps::{Lap, Share};
use super::runs::{Run, Runs, coarse};

thread_local! {
    /// That of the endpoint whose main thread this is.
    static LENT: RefCell<Option<Box<Tally>>> = const { RefCell::new(None) };
}

/// An endpoint's tally, lent to the thread that runs its code; `None` if nobody records.
pub(crate) struct MainTally(Option<Box<Tally>>);

/// What was counted and timed.
pub(super) struct Tally {
    meter: Arc<EndpointMeter>,
    /// In the order of the endpoint's methods.
    methods: Box<[Counted]>,
    /// Which of them have something to tell. The last bit is that of all that have no bit of their own.
    touched: u64,
}

/// What was counted and timed of one method.
#[derive(Default)]
struct Counted {
    calls: u64,
    handler: Runs,
    response: Runs,
    wait: Runs,
    /// How long its handlers take, if that is so little that several may be timed together.
    usual: Option<u64>,
}

impl MainTally {
    pub(crate) fn new(meter: Option<&Arc<EndpointMeter>>) -> Self {
        Self(meter.map(|meter| Box::new(Tally::new(meter))))
    }

    /// Runs `f` as the main thread, and tells at the end what it has counted.
    pub(crate) fn lend<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let _lent = self.0.is_some().then(|| Lent::new(self));
        f()
    }

    fn swap(&mut self) {
        LENT.with(|lent| std::mem::swap(&mut *lent.borrow_mut(), &mut self.0));
    }
}

/// What was there before is in the place of the tally meanwhile.
struct Lent<'a>(&'a mut MainTally);

impl<'a> Lent<'a> {
    fn new(tally: &'a mut MainTally) -> Self {
        tally.swap();
        Self(tally)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.swap();
        self.0.0.iter_mut().for_each(|it| it.tell());
    }
}

/// Tells what the main thread has counted that this is.
pub(crate) fn tell() {
    lent(Tally::tell);
}

/// Counts with the tally of this main thread, if it is that of the endpoint with this meter.
pub(super) fn with<R>(meter: &EndpointMeter, f: impl FnOnce(&mut Tally) -> R) -> Option<R> {
    lent(|tally| std::ptr::eq(&*tally.meter, meter).then(|| f(tally))).flatten()
}

fn lent<R>(f: impl FnOnce(&mut Tally) -> R) -> Option<R> {
    // What the recorder does when it is told is not counted here.
    let lent = |it: &RefCell<Option<_>>| it.try_borrow_mut().ok()?.as_deref_mut().map(f);
    LENT.try_with(lent).ok().flatten()
}

impl Tally {
    fn new(meter: &Arc<EndpointMeter>) -> Self {
        Self {
            meter: Arc::clone(meter),
            methods: meter.methods.iter().map(|_| Counted::default()).collect(),
            touched: 0,
        }
    }

    fn touch(&mut self, method: usize) {
        self.touched |= 1 << method.min(LAST_BIT);
    }

    /// Tells whether several handlers of a method may be timed together.
    pub(super) fn is_quick(&self, method: usize) -> bool {
        self.methods[method].usual.is_some()
    }

    /// Handlers have ended that were timed together, and took so many nanoseconds.
    pub(super) fn handled(&mut self, lap: &Lap, took: u64) {
        self.begun(lap, took);
        let histogram = &self.meter.methods[lap.method].handler;
        let counted = &mut self.methods[lap.method];
        let (share, usual) = lap.share(took, counted.usual);
        counted.usual = usual;
        let mut add = |nanos, count| {
            let tell = |run| tell_time(histogram, run);
            counted.handler.add(coarse(nanos), count, tell);
        };
        match share {
            Share::Alike(nanos) => add(nanos, lap.handlers),
            Share::OneLong { long, others } => {
                add(others, lap.handlers - 1);
                add(long, 1);
            }
        }
    }

    /// Handlers have begun, in so many nanoseconds.
    pub(super) fn begun(&mut self, lap: &Lap, took: u64) {
        self.touch(lap.method);
        let histogram = &self.meter.methods[lap.method].wait;
        let counted = &mut self.methods[lap.method];
        counted.calls += lap.handlers as u64;
        lap.waits(took, |nanos, count| {
            let tell = |run| tell_time(histogram, run);
            counted.wait.add(coarse(nanos), count, tell);
        });
    }

    /// An interleaving handler has ended.
    pub(super) fn took(&mut self, method: usize, nanos: u64) {
        self.touch(method);
        let histogram = &self.meter.methods[method].handler;
        let tell = |run| tell_time(histogram, run);
        self.methods[method].handler.add(coarse(nanos), 1, tell);
    }

    /// A response of so many bytes is on its way.
    pub(super) fn responded(&mut self, method: usize, bytes: u64) {
        self.touch(method);
        let histogram = &self.meter.methods[method].response;
        let tell = |run| tell_size(histogram, run);
        self.methods[method].response.add(bytes, 1, tell);
    }

    fn tell(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        while touched != 0 {
            let first = touched.trailing_zeros() as usize;
            touched &= touched - 1;
            let last = if first == LAST_BIT {
                self.methods.len()
            } else {
                first + 1
            };
            for method in first..last {
                self.tell_of(method);
            }
        }
    }

    fn tell_of(&mut self, method: usize) {
        let meter = &self.meter.methods[method];
        let counted = &mut self.methods[method];
        let calls = std::mem::take(&mut counted.calls);
        if calls > 0 {
            meter.calls.increment(calls);
        }
        counted.handler.take(|run| tell_time(&meter.handler, run));
        counted.wait.take(|run| tell_time(&meter.wait, run));
        counted.response.take(|run| tell_size(&meter.response, run));
    }
}

/// Tells a histogram of seconds.
pub(super) fn tell_time(histogram: &metrics::Histogram, run: Run) {
    tell_run(histogram, run.value as f64 / NANOS, run.count);
}

/// Tells a histogram of bytes.
pub(super) fn tell_size(histogram: &metrics::Histogram, run: Run) {
    tell_run(histogram, run.value as f64, run.count);
}

fn tell_run(histogram: &metrics::Histogram, value: f64, count: usize) {
    match count {
        1 => histogram.record(value),
        _ => histogram.record_many(value, count),
    }
}

const LAST_BIT: usize = 63;
/// In a second.
const NANOS: f64 = 1e9;
