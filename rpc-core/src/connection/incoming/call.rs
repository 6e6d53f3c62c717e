//! A call that came over a connection and is not answered yet.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::IncomingConnection;
use crate::error::{RpcError, RpcResult};
use crate::gateway::Message;
use crate::metering::ResponseMeter;
use crate::scope::CallScope;

/// A call that came over a connection and is not answered yet.
pub struct IncomingCall {
    connection: Arc<IncomingConnection>,
    id: u64,
    /// The size of its request, of which its handler holds the arguments, until it is answered; only
    /// changed while the table is locked.
    held: AtomicU64,
    method: &'static str,
    meter: Option<ResponseMeter>,
    /// Nobody waits any more.
    abandoned: AtomicBool,
    state: Mutex<State>,
}

/// What is asked of an endpoint.
pub(super) struct Asked {
    pub(super) id: u64,
    /// The size of the request.
    pub(super) bytes: u64,
    pub(super) method: &'static str,
    pub(super) meter: Option<ResponseMeter>,
    pub(super) remaining_us: Option<u64>,
}

/// A call that was answered, and what is left of it when another has its memory. With a waker may go a
/// task, whose end may be any code: it is dropped where nothing is locked.
#[derive(Default)]
pub(super) struct Spare {
    pub(super) call: Option<Arc<IncomingCall>>,
    state: State,
}

#[derive(Default)]
struct State {
    /// How long the caller waits, and until when.
    after: Duration,
    deadline: Option<Instant>,
    /// Wakes the handler, which wants to know when nobody waits any more.
    waker: Option<Waker>,
}

impl State {
    /// Starts the clock of a call with what its caller says is left; a peer's clock is not trusted.
    fn set_remaining(&mut self, remaining_us: Option<u64>, now: Instant) {
        self.after = Duration::from_micros(remaining_us.unwrap_or_default());
        self.deadline = remaining_us.and_then(|_| now.checked_add(self.after));
    }
}

impl IncomingCall {
    /// Makes a call, in the memory of one before if that is free. Returns also until when its caller
    /// waits. The caller has locked the table.
    pub(super) fn new(
        connection: &Arc<IncomingConnection>,
        spare: &mut Spare,
        asked: Asked,
        now: Instant,
    ) -> (Arc<Self>, Option<Instant>) {
        let Asked {
            id,
            bytes,
            method,
            meter,
            remaining_us,
        } = asked;
        let mut state = State::default();
        state.set_remaining(remaining_us, now);
        connection.hold(bytes, 0);
        let deadline = state.deadline;
        if let Some(mut call) = spare.call.take() {
            if let Some(free) = Arc::get_mut(&mut call) {
                (free.id, free.method, free.meter) = (id, method, meter);
                (*free.held.get_mut(), *free.abandoned.get_mut()) = (bytes, false);
                spare.state = mem::replace(free.state.get_mut(), state);
                return (call, deadline);
            }
            // Its handler still has it.
            spare.call = Some(call);
        }
        let call = Arc::new(Self {
            connection: Arc::clone(connection),
            id,
            held: AtomicU64::new(bytes),
            method,
            meter,
            abandoned: AtomicBool::new(false),
            state: Mutex::new(state),
        });
        (call, deadline)
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn deadline_at(&self) -> Option<Instant> {
        self.state.lock().deadline
    }

    /// Answers the call; a caller that no longer waits gets nothing.
    pub(crate) fn respond<T: Message, E: Message>(&self, result: RpcResult<T, E>) {
        let Some(alone) = self.leave() else {
            return;
        };
        if !self.is_abandoned() {
            let meter = self.meter.as_ref();
            self.connection
                .respond((self.id, alone), self.method, meter, result);
        }
    }

    /// Answers a call with a failure; a one-way message's failure is told to nobody.
    pub(crate) fn deny(call: Option<Arc<Self>>, error: RpcError) {
        match call {
            Some(call) => call.respond::<(), _>(Err(error)),
            None => tracing::debug!(%error, "one-way message refused"),
        }
    }

    /// Takes the call out of the table; `None` if it is not there any more. Returns whether no other is
    /// under way. Its handler holds its arguments no longer than it takes to answer.
    fn leave(&self) -> Option<bool> {
        let mut calls = self.connection.calls.lock();
        let open = calls.by_id.remove(&self.id)?;
        self.connection.hold(0, self.held.load(Ordering::Relaxed));
        self.held.store(0, Ordering::Relaxed);
        let alone = calls.by_id.is_empty();
        if calls.spare.len() < SPARE_MAX {
            calls.spare.push_back(open);
        } else {
            drop(calls);
        }
        Some(alone)
    }

    /// Sets another time. Returns until when the caller waits.
    pub(super) fn extend(&self, remaining_us: Option<u64>) -> Option<Instant> {
        let mut state = self.state.lock();
        state.set_remaining(remaining_us, Instant::now());
        state.deadline
    }

    /// The caller's time is over. It knows by itself, but its answer frees its place.
    pub(super) fn expire(&self) {
        let after = self.state.lock().after;
        self.connection.respond::<(), crate::Never>(
            (self.id, false),
            self.method,
            None,
            Err(RpcError::Timeout {
                method: self.method.to_owned(),
                after,
            }),
        );
        self.abandon();
    }

    pub(super) fn abandon(&self) {
        let mut state = self.state.lock();
        self.abandoned.store(true, Ordering::Release);
        let waker = mem::take(&mut state.waker);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for IncomingCall {
    fn drop(&mut self) {
        let held = *self.held.get_mut();
        if held > 0 {
            let _table = self.connection.calls.lock();
            self.connection.hold(0, held);
        }
    }
}

impl CallScope for IncomingCall {
    fn deadline(&self) -> Option<Instant> {
        self.deadline_at()
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    fn poll_abandoned(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if self.is_abandoned() {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl fmt::Debug for IncomingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingCall")
            .field("id", &self.id)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// The memory of so many calls is kept for others.
const SPARE_MAX: usize = 512;
