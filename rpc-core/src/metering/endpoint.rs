//! The metrics of an endpoint: what its mailbox holds, and what its handlers do.

use std::num::NonZeroI64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::runs::Run;
use super::tally;
use crate::frame::PutError;
use crate::method::MethodInfo;
use crate::moment::Moment;
use crate::turn;

/// Meters one endpoint.
pub(crate) struct EndpointMeter {
    mailbox: Gauge,
    /// How many messages were taken out of the mailbox and handled; only the main loop writes it.
    taken: AtomicU64,
    /// The thread whose turn tells at its end how many messages wait; 0 if there is none.
    tells: AtomicU32,
    /// In the order of the endpoint's methods.
    pub(super) methods: Box<[MethodMeter]>,
}

/// Meters one method of an endpoint.
pub(super) struct MethodMeter {
    pub(super) calls: Counter,
    dropped: Counter,
    pub(super) handler: Histogram,
    oversized: Counter,
    pub(super) response: Histogram,
    pub(super) wait: Histogram,
}

/// Meters the response to a call that came over a connection.
pub(crate) struct ResponseMeter {
    meter: Arc<EndpointMeter>,
    method: usize,
}

/// When a message was queued: the moment's nanoseconds, and one more, so that an option of it is half as
/// large as that of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queued(NonZeroI64);

/// The time that an interleaving handler takes, recorded at its end.
pub(crate) struct Timing<'a> {
    meter: &'a EndpointMeter,
    method: usize,
    begun: Moment,
}

impl EndpointMeter {
    /// Makes the handles, if somebody records.
    pub(crate) fn new(endpoint: &str, methods: &[&'static MethodInfo]) -> Option<Arc<Self>> {
        super::is_recorded().then(|| {
            let methods = methods.iter().map(|it| MethodMeter::new(endpoint, it.name));
            Arc::new(Self {
                mailbox: gauge!("rpc_mailbox_messages", "endpoint" => endpoint.to_owned()),
                taken: AtomicU64::new(0),
                tells: AtomicU32::new(0),
                methods: methods.collect(),
            })
        })
    }

    /// So many messages more were taken out of the mailbox.
    pub(crate) fn taken(&self, messages: u32) {
        let taken = self.taken.load(Ordering::Relaxed);
        self.taken_all(taken + u64::from(messages));
    }

    /// So many were taken in all.
    pub(crate) fn taken_all(&self, messages: u64) {
        self.taken.store(messages, Ordering::Relaxed);
    }

    /// A message was put into the mailbox in a turn of this thread. Returns whether the turn is to tell
    /// of it at its end; if not, it tells already.
    pub(crate) fn is_to_tell(&self, thread: u32) -> bool {
        let tells = self.tells.load(Ordering::Relaxed) != thread;
        if tells {
            self.tells.store(thread, Ordering::Relaxed);
        }
        tells
    }

    /// Tells how many messages wait, of those that were ever put into the mailbox.
    pub(crate) fn tell_waiting(&self, put: impl Fn() -> u64) {
        self.tells.store(0, Ordering::Relaxed);
        let waiting = || put().saturating_sub(self.taken.load(Ordering::Relaxed));
        let mut told = waiting();
        loop {
            self.mailbox.set(told as f64);
            // Others may have told what was later, and were overtaken.
            let now = waiting();
            if now == told {
                break;
            }
            told = now;
        }
    }

    /// A one-way message was turned away.
    pub(crate) fn dropped(&self, method: usize) {
        self.methods[method].dropped.increment(1);
    }
}

impl Queued {
    pub(crate) fn now() -> Self {
        let now = turn::began().unwrap_or_else(Moment::now);
        // What has no number of its own, before all that is timed, is told to have waited no time.
        Self(NonZeroI64::new(now.nanos().wrapping_add(1)).unwrap_or(NonZeroI64::MAX))
    }

    pub(super) const fn moment(self) -> Moment {
        Moment::from_nanos(self.0.get() - 1)
    }
}

impl MethodMeter {
    fn new(endpoint: &str, method: &'static str) -> Self {
        let labels = || {
            [
                metrics::Label::new("endpoint", endpoint.to_owned()),
                metrics::Label::from_static_parts("method", method),
            ]
        };
        Self {
            calls: counter!("rpc_calls_total", labels().iter()),
            dropped: counter!("rpc_messages_dropped_total", labels().iter()),
            handler: histogram!("rpc_handler_seconds", labels().iter()),
            oversized: counter!("rpc_oversized_total", labels().iter()),
            response: histogram!("rpc_response_bytes", labels().iter()),
            wait: histogram!("rpc_mailbox_wait_seconds", labels().iter()),
        }
    }
}

impl ResponseMeter {
    /// Makes one of another that is used no more, which most often is of the same endpoint.
    pub(crate) fn renew(before: &mut Option<Self>, metered: Option<(&Arc<EndpointMeter>, usize)>) {
        match (before, metered) {
            (Some(before), Some((meter, method))) if Arc::ptr_eq(&before.meter, meter) => {
                before.method = method;
            }
            (before, metered) => {
                *before = metered.map(|(meter, method)| {
                    let meter = Arc::clone(meter);
                    Self { meter, method }
                });
            }
        }
    }

    /// A response of this many bytes is on its way.
    pub(crate) fn sent(&self, bytes: usize) {
        let (method, bytes) = (self.method, bytes as u64);
        if tally::with(&self.meter, |it| it.responded(method, bytes)).is_none() {
            let response = &self.meter.methods[method].response;
            tally::tell_size(response, Run::once(bytes));
        }
    }

    /// A response was not put into a frame.
    pub(crate) fn refused(&self, error: &PutError) {
        if matches!(error, PutError::TooLarge { .. }) {
            self.meter.methods[self.method].oversized.increment(1);
        }
    }
}

impl<'a> Timing<'a> {
    pub(super) const fn new(meter: &'a EndpointMeter, method: usize, begun: Moment) -> Self {
        Self {
            meter,
            method,
            begun,
        }
    }
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        let took = Moment::now().since(self.begun).as_nanos();
        let (method, nanos) = (self.method, u64::try_from(took).unwrap_or(u64::MAX));
        if tally::with(self.meter, |it| it.took(method, nanos)).is_none() {
            let handler = &self.meter.methods[method].handler;
            tally::tell_time(handler, Run::once(nanos));
        }
    }
}
