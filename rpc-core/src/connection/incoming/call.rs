//! A call that came over a connection and is not answered yet.

use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use hashbrown::hash_map::Entry;
use parking_lot::Mutex;

use super::{Charges, IncomingConnection};
use crate::call::{Clock, Time};
use crate::error::RpcError;
use crate::gateway::Message;
use crate::metering::{EndpointMeter, ResponseMeter};
use crate::moment::Moment;
use crate::reply_slot::Answered;
use crate::scope::{self, CallScope};
use crate::turn;
use crate::unfinished::Unfinished;

/// A call that came over a connection and is not answered yet.
pub struct IncomingCall {
    connection: Arc<IncomingConnection>,
    id: u64,
    /// The size of its request, which is never 0, of which its handler holds the arguments, until it is
    /// answered; only changed while the table is locked.
    held: AtomicU64,
    /// What its request takes of the connection's window, until it is handled; only changed by whoever
    /// has the right to answer.
    charge: AtomicUsize,
    method: &'static str,
    meter: Option<ResponseMeter>,
    /// Nobody waits any more.
    abandoned: AtomicBool,
    /// How long the caller waits, from the call's arrival on.
    clock: Clock,
    /// Wakes the handler, which wants to know when nobody waits any more.
    waker: Mutex<Option<Waker>>,
}

/// What is asked of an endpoint.
pub(super) struct Asked<'a> {
    pub(super) id: u64,
    /// The size of the request.
    pub(super) bytes: usize,
    pub(super) method: &'static str,
    /// What meters the answer, and the place of the method there.
    pub(super) meter: Option<(&'a Arc<EndpointMeter>, usize)>,
    pub(super) remaining_us: Option<u64>,
}

/// A call that was answered, and what is left of it when another has its memory. With a waker may go a
/// task, whose end may be any code: it is dropped where nothing is locked.
#[derive(Default)]
pub(super) struct Spare {
    pub(super) call: Option<Arc<IncomingCall>>,
    waker: Option<Waker>,
}

impl IncomingCall {
    /// Makes a call, in the memory of one before if that is free. Returns also until when its caller
    /// waits. The caller has locked the table.
    pub(super) fn new(
        connection: &Arc<IncomingConnection>,
        spare: &mut Spare,
        asked: Asked<'_>,
        now: Moment,
    ) -> (Arc<Self>, Moment) {
        let Asked {
            id,
            bytes,
            method,
            meter,
            remaining_us,
        } = asked;
        let time = Time::left_at(now, remaining_us);
        let held = bytes as u64;
        connection.count_in(held);
        let deadline = time.deadline();
        if let Some(mut call) = spare.call.take() {
            if let Some(free) = Arc::get_mut(&mut call) {
                (free.id, free.method) = (id, method);
                ResponseMeter::renew(&mut free.meter, meter);
                (*free.held.get_mut(), *free.charge.get_mut()) = (held, bytes);
                *free.abandoned.get_mut() = false;
                free.clock = Clock::new(time);
                spare.waker = free.waker.get_mut().take();
                return (call, deadline);
            }
            // Its handler still has it.
            spare.call = Some(call);
        }
        let mut response = None;
        ResponseMeter::renew(&mut response, meter);
        let call = Arc::new(Self {
            connection: Arc::clone(connection),
            id,
            held: AtomicU64::new(held),
            charge: AtomicUsize::new(bytes),
            method,
            meter: response,
            abandoned: AtomicBool::new(false),
            clock: Clock::new(time),
            waker: Mutex::default(),
        });
        (call, deadline)
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Returns how long the caller waits.
    pub(crate) fn time(&self) -> Time {
        self.clock.time()
    }

    /// Returns what its request takes of the connection's window.
    pub(crate) fn bytes(&self) -> usize {
        self.charge.load(Ordering::Relaxed)
    }

    /// Returns who made the call.
    pub(crate) fn peer(&self) -> &str {
        &self.connection.wire.peer
    }

    /// Its handler begins: what its request takes is given back with these. Only who has the right to
    /// answer says so.
    pub(crate) fn discharge(&self, charges: &mut Charges) {
        charges.add(&self.connection, self.uncharge());
    }

    fn uncharge(&self) -> usize {
        let bytes = self.charge.load(Ordering::Relaxed);
        self.charge.store(0, Ordering::Relaxed);
        bytes
    }

    /// Answers the call; a caller that no longer waits gets nothing.
    pub(crate) fn respond<T: Message, E: Message>(&self, answer: Answered<T, E>) {
        // Of one that is answered before it is handled, if at all.
        self.connection.give_back(self.uncharge());
        let Some(alone) = self.leave() else {
            return;
        };
        if !self.is_abandoned() {
            let meter = self.meter.as_ref();
            let result = answer.as_ref().map_err(|error| &**error);
            let unfinished = Unfinished::new(|| self.send_panicked(alone));
            self.connection
                .respond((self.id, alone), self.method, meter, result);
            unfinished.done();
        }
    }

    /// The answer has panicked when it was encoded.
    #[cold]
    fn send_panicked(&self, alone: bool) {
        let endpoint = scope::endpoint_name();
        let panicked: RpcError = RpcError::Panicked { endpoint };
        self.connection
            .respond::<(), _>((self.id, alone), self.method, None, Err(&panicked));
    }

    /// Answers a call with a failure; a one-way message's failure is told to nobody.
    pub(crate) fn deny(call: Option<Arc<Self>>, error: RpcError) {
        match call {
            Some(call) => call.respond::<(), _>(Err(Box::new(error))),
            None => tracing::debug!(%error, "one-way message refused"),
        }
    }

    /// Takes the call out of the table; `None` if it is not there any more. Returns whether no other is
    /// under way. Its handler holds its arguments no longer than it takes to answer.
    fn leave(&self) -> Option<bool> {
        let mut calls = self.connection.calls.lock();
        let Entry::Occupied(place) = calls.by_id.entry(self.id) else {
            return None;
        };
        // The caller may have used the number again once it had been told that the time was over.
        if !ptr::eq(Arc::as_ptr(place.get()), self) {
            return None;
        }
        let open = place.remove();
        self.connection.count_out(self.held.load(Ordering::Relaxed));
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
    pub(super) fn extend(&self, remaining_us: Option<u64>) -> Moment {
        let time = Time::left_at(Moment::now(), remaining_us);
        self.clock.set(time);
        time.deadline()
    }

    /// The caller's time is over. It knows by itself, but its answer frees its place.
    pub(super) fn expire(&self) {
        let after = self.time().after().unwrap_or_default();
        self.connection.respond::<(), crate::Never>(
            (self.id, false),
            self.method,
            None,
            Err(&RpcError::Timeout {
                method: self.method.to_owned(),
                after,
            }),
        );
        self.abandon();
    }

    pub(super) fn abandon(&self) {
        let mut waker = self.waker.lock();
        self.abandoned.store(true, Ordering::Release);
        let handler = waker.take();
        drop(waker);
        // What is read is heeded in a turn, while the session is locked.
        let handler = handler.as_ref().and_then(turn::wake_later);
        handler.into_iter().for_each(Waker::wake);
    }
}

impl IncomingCall {
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Is ready once nobody waits any more.
    pub(crate) fn poll_abandoned(&self, cx: &Context<'_>) -> Poll<()> {
        let mut waker = self.waker.lock();
        if self.is_abandoned() {
            return Poll::Ready(());
        }
        let before = waker.replace(cx.waker().clone());
        drop(waker);
        drop(before);
        Poll::Pending
    }
}

impl Drop for IncomingCall {
    fn drop(&mut self) {
        self.connection.give_back(self.uncharge());
        let held = *self.held.get_mut();
        if held > 0 {
            let _table = self.connection.calls.lock();
            self.connection.count_out(held);
        }
    }
}

impl CallScope for IncomingCall {
    fn begin(&self) -> Time {
        self.time()
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
