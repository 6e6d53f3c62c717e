//! What is known of a call that waits.

use std::sync::Arc;
use std::task::Waker;

use crate::callee::Callee;
use crate::connection::Ask;
use crate::error::RpcError;
use crate::method::MethodInfo;
use crate::moment::Moment;
use crate::scope;
use crate::trace::TraceContext;

/// A call, as its caller knows it.
#[derive(Clone)]
pub(crate) struct About {
    pub(crate) callee: Arc<Callee>,
    pub(crate) method: &'static MethodInfo,
    /// The method's place in its gateway.
    pub(crate) place: usize,
}

/// A call that waits, and who waits for it.
#[derive(Clone)]
pub(crate) struct Waits {
    pub(crate) about: About,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) who: Who,
    pub(crate) since: Moment,
    pub(crate) deadline: Moment,
}

/// Who waits for a call.
#[derive(Clone, Default)]
pub(crate) struct Who {
    /// The endpoint whose code waits, and the method that it handles.
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) handler: Option<&'static MethodInfo>,
}

/// A call that may be waiting, seen by those who look after all of them.
pub(crate) trait Waiter: Send + Sync {
    /// Tells whether the call's time is over, and takes note if so.
    fn look(&self, now: Moment) -> Look;

    /// Returns who waits.
    fn waker(&self) -> Option<Waker>;

    /// Lets go of what is kept for further calls, which there will not be.
    fn rest(&self);

    /// Returns what is known of the call, if it waits.
    fn waits(&self) -> Option<Waits>;
}

/// What is found of a call.
pub(crate) enum Look {
    /// It does not wait, or has no deadline.
    Endless,
    /// It waits until then.
    Waits(Moment),
    /// Its time is over since then; the caller is to be woken.
    Expired(Moment, Option<Waker>),
}

impl About {
    pub(crate) fn new(callee: &Arc<Callee>, ask: &Ask) -> Self {
        Self {
            callee: Arc::clone(callee),
            method: ask.info,
            place: ask.method,
        }
    }

    /// The call has failed.
    pub(crate) fn failed<E>(&self, error: &RpcError<E>) {
        if let Some(meter) = &self.callee.meter {
            meter.failed(self.place, self.method, error);
        }
    }
}

impl Who {
    /// Writes down who is found waiting here.
    pub(crate) fn here() -> Self {
        let (endpoint, handler) = scope::current_handler();
        Self { endpoint, handler }
    }
}
