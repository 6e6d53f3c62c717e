//! What is known of a call that waits.

use std::sync::Arc;

use tokio::time::Instant;

use crate::call::Time;
use crate::callee::Callee;
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
    /// The endpoint whose code waits, and the method that it handles.
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) handler: Option<&'static MethodInfo>,
    pub(crate) since: Instant,
    pub(crate) deadline: Option<Instant>,
}

impl About {
    /// The call has failed.
    pub(crate) fn failed<E>(&self, error: &RpcError<E>) {
        if let Some(meter) = &self.callee.meter {
            meter.failed(self.place, self.method, error);
        }
    }
}

impl Waits {
    /// Writes a call down that is found waiting here and now.
    pub(super) fn new(about: About, time: Time) -> Self {
        let (endpoint, handler) = scope::current_handler();
        let Time { after, deadline } = time;
        // The clock was read when the time was set, and need not be read again.
        let since = deadline.and_then(|it| it.checked_sub(after?));
        Self {
            about,
            endpoint,
            handler,
            since: since.unwrap_or_else(Instant::now),
            deadline,
        }
    }
}
