//! What is known of a call that waits.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::call::Time;
use crate::callee::Callee;
use crate::connection::Ask;
use crate::error::RpcError;
use crate::method::MethodInfo;
use crate::scope;
use crate::trace::TraceContext;

/// A call, as its caller knows it.
#[derive(Clone)]
pub(crate) struct About {
    pub(crate) callee: Arc<Callee>,
    pub(crate) method: &'static MethodInfo,
    /// The method's place in its gateway.
    pub(crate) place: usize,
    /// Behind a pointer, since most calls have none.
    pub(crate) trace: Option<Box<TraceContext>>,
}

/// A call that waits, and who waits for it.
#[derive(Clone)]
pub(crate) struct Waits {
    pub(crate) about: About,
    pub(crate) who: Who,
    pub(crate) deadline: Option<Instant>,
}

/// Who waits for a call.
#[derive(Clone)]
pub(crate) struct Who {
    /// The endpoint whose code waits, and the method that it handles.
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) handler: Option<&'static MethodInfo>,
    since: Since,
}

/// Since when a call waits: so long before that. It is worked out for whoever asks, which is nobody
/// for nearly all calls.
#[derive(Clone, Copy)]
struct Since(Instant, Duration);

impl Since {
    /// The clock was read when the time began, and need not be read again.
    fn new(time: &Time) -> Self {
        match (time.deadline(), time.after()) {
            (Some(deadline), Some(after)) => Self(deadline, after),
            _ => Self(Instant::now(), Duration::ZERO),
        }
    }
}

/// A call that may be waiting, seen by those who look after all of them.
pub(crate) trait Waiter: Send + Sync {
    /// Tells whether the call's time is over, and takes note if so.
    fn look(&self, now: Instant) -> Look;

    /// Returns who waits.
    fn waker(&self) -> Option<Waker>;

    /// Returns what is known of the call, if it waits.
    fn waits(&self) -> Option<Waits>;
}

/// What is found of a call.
pub(crate) enum Look {
    /// It does not wait, or has no deadline.
    Endless,
    /// It waits until then.
    Waits(Instant),
    /// Its time is over since then; the caller is to be woken.
    Expired(Instant, Option<Waker>),
}

impl About {
    pub(crate) fn new(callee: &Arc<Callee>, ask: &Ask) -> Self {
        Self {
            callee: Arc::clone(callee),
            method: ask.info,
            place: ask.method,
            trace: ask.trace.clone(),
        }
    }

    /// The call has failed.
    pub(crate) fn failed<E>(&self, error: &RpcError<E>) {
        if let Some(meter) = &self.callee.meter {
            meter.failed(self.place, self.method, error);
        }
    }

    /// Becomes that of another call; most are of the same gateway as the last.
    pub(crate) fn renew(&mut self, callee: &Arc<Callee>, ask: &Ask) {
        if !Arc::ptr_eq(&self.callee, callee) {
            self.callee = Arc::clone(callee);
        }
        self.method = ask.info;
        self.place = ask.method;
        if self.trace.is_some() || ask.trace.is_some() {
            self.trace = ask.trace.clone();
        }
    }
}

impl Who {
    /// Writes down who is found waiting here and now, for a call with so much time.
    pub(crate) fn new(time: &Time) -> Self {
        let (endpoint, handler) = scope::current_handler();
        Self {
            endpoint,
            handler,
            since: Since::new(time),
        }
    }

    /// Returns since when it waits.
    pub(crate) fn since(&self) -> Instant {
        let Since(at, before) = self.since;
        at.checked_sub(before).unwrap_or(at)
    }
}
