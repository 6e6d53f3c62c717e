//! An endpoint of another service, seen through one of its gateways, whatever becomes of connections.
//!
//! ```text
//!             bound ◀──────────── resolved, same incarnation ───────┐
//!               │ connection lost                                   │
//!               ▼              a call                               │
//!            unbound ────────────────────────▶ binding: redials with back-off, calls are parked
//!               │ goodbye, or another incarnation                   │
//!               ▼                                                   │
//!             gone ◀────────────────────────────────────────────────┘
//!               │ a call: is there another incarnation?
//!               ▼
//!           restarted
//! ```
//!
//! A gateway is that of one incarnation of an endpoint. When its connection is lost, the calls that
//! are under way fail, save those that may be made again; later calls are parked while the service
//! redials, and are sent only to the same incarnation. Nothing is delivered to another. Those that are
//! made when the endpoint is gone fail as soon as it is known whether there is another: at once while
//! the peer is not to be dialled again yet.

mod bind;
mod call;
mod state;

pub(crate) use self::bind::Redial;
pub(super) use self::call::Parked;
pub(crate) use self::call::RemoteCall;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::{RwLock, RwLockWriteGuard};
use serde::Serialize;
use tokio::sync::{Notify, watch};

use self::call::{Failed, Sent, Ticket};
use self::state::State;
use super::Resolve;
use super::outgoing::{Claim, End, NotSent, OutgoingConnection, Pending};
use super::reply::ReplySink;
use crate::address::Address;
use crate::call::Time;
use crate::closed::GatewayClosed;
use crate::codec;
use crate::error::RpcError;
use crate::fencing::FencingToken;
use crate::frame::{Kind, PutError};
use crate::gateway::Message;
use crate::method::MethodInfo;
use crate::mutant::{self, Mutant};
use crate::reply_slot::ReplySlot;
use crate::service::WeakService;
use crate::trace::TraceContext;

/// The client's side of a gateway to another service.
pub(crate) struct RemoteGateway {
    me: Weak<Self>,
    service: WeakService,
    address: Address,
    resolve: Resolve,
    incarnation: Incarnation,
    state: RwLock<State>,
    /// Counts what its death watch tells.
    status: watch::Sender<Status>,
    /// Wakes the task that binds: a parked call was given up.
    given_up: Notify,
}

/// Which start of which service's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Incarnation {
    service: u128,
    endpoint: u64,
}

impl Incarnation {
    fn of(claim: &Claim) -> Self {
        Self {
            service: claim.connection().service(),
            endpoint: claim.resolved().incarnation,
        }
    }
}

/// The endpoint has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gone {
    /// Another has taken its name: that stays so.
    restarted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Status {
    /// How many connections were lost.
    losses: u64,
    /// Whether there is none since the last loss.
    lost: bool,
    /// Whether the endpoint has ended.
    stopped: bool,
}

/// What a caller asks.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: usize,
    pub(crate) info: &'static MethodInfo,
    pub(crate) token: Option<FencingToken>,
    pub(crate) trace: Option<TraceContext>,
}

impl RemoteGateway {
    pub(crate) fn new(
        service: WeakService,
        address: Address,
        resolve: Resolve,
        claim: Claim,
    ) -> Arc<Self> {
        let incarnation = Incarnation::of(&claim);
        let gateway = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            service,
            address,
            resolve,
            incarnation,
            state: RwLock::default(),
            status: watch::Sender::new(Status::default()),
            given_up: Notify::new(),
        });
        gateway.bind_to(claim);
        gateway
    }

    /// Makes a call whose answer `slot` gets, and notes how to give it up, if it is under way.
    pub(crate) fn call<A: Serialize, T: Message, E: Message>(
        self: &Arc<Self>,
        ask: &Ask,
        time: &Time,
        arguments: &A,
        slot: &Arc<ReplySlot<T, E>>,
        remote: &mut RemoteCall,
    ) {
        if ask.info.idempotent || mutant::is(Mutant::RetryAll) {
            return self.call_encoded(ask, arguments, slot, remote);
        }
        let state = self.state.read();
        let Some(bound) = &state.bound else {
            drop(state);
            return self.call_encoded(ask, arguments, slot, remote);
        };
        if let Err(error) = bound.check(ask) {
            return slot.fail(error);
        }
        let header = bound.header(Kind::Request, ask, time.remaining_us());
        let pending = Pending::new(ask.info, header.gateway, Arc::clone(slot) as _, None);
        match bound.connection.request(header, arguments, pending) {
            Ok(id) => remote.sent(&bound.connection, id),
            Err(NotSent::Refused(error)) => slot.fail(error),
            Err(NotSent::Closed(_)) => {
                drop(state);
                self.call_encoded(ask, arguments, slot, remote);
            }
        }
    }

    /// Makes a call that may have to wait for a connection, or to be made again.
    fn call_encoded<A: Serialize, T: Message, E: Message>(
        self: &Arc<Self>,
        ask: &Ask,
        arguments: &A,
        slot: &Arc<ReplySlot<T, E>>,
        remote: &mut RemoteCall,
    ) {
        let mut body = Vec::new();
        if let Err(error) = codec::encode(arguments, &mut body) {
            return slot.fail(PutError::Codec(error).into_error(ask.info.name, false));
        }
        let ticket = Arc::new(Ticket::default());
        let parked = Box::new(Parked {
            gateway: Weak::clone(&self.me),
            ask: ask.clone(),
            body: body.into(),
            reply: Arc::clone(slot) as _,
            ticket: Arc::clone(&ticket),
            sent: Sent::Never,
        });
        let mut failed = Failed::default();
        self.send_or_park(self.state.write(), parked, &mut failed);
        failed.tell();
        remote.has(Arc::clone(self), ticket);
    }

    fn send_or_park(
        &self,
        mut state: RwLockWriteGuard<'_, State>,
        parked: Box<Parked>,
        failed: &mut Failed,
    ) {
        // Nobody overtakes those who wait already.
        let bound = state.bound.as_ref().filter(|_| state.parked.is_empty());
        let Some(parked) = parked.send(bound, failed) else {
            return;
        };
        state.bound = None;
        match self.may_park(&state) {
            Ok(()) => {
                state.back += 1;
                let place = state.back;
                state.put(place, parked);
                self.start_binding(state);
            }
            Err(error) => failed.add(parked.reply, error),
        }
    }

    /// Tells whether a call may wait for a connection.
    fn may_park(&self, state: &State) -> Result<(), RpcError> {
        if let Some(gone @ Gone { restarted: true }) = state.gone {
            return Err(self.unreachable(gone));
        }
        let service = self.service.upgrade().filter(|it| !it.is_closed());
        let service = service.ok_or_else(|| match state.gone {
            Some(gone) => self.unreachable(gone),
            None => self.never_sent(),
        })?;
        let config = service.config();
        let full = |queue: &str, limit: usize| RpcError::Overloaded {
            queue: format!("the {queue} that wait for {}", self.address),
            limit: limit as u64,
        };
        if state.parked.len() >= config.calls_max {
            return Err(full("calls", config.calls_max));
        }
        if state.parked_bytes >= config.outbox_bytes_max {
            return Err(full("bytes", config.outbox_bytes_max));
        }
        Ok(())
    }

    /// Puts a call that was under way on a lost connection before those that were made after it.
    pub(super) fn park_again(&self, connection: &OutgoingConnection, mut parked: Box<Parked>) {
        parked.sent = Sent::Before;
        let mut failed = Failed::default();
        self.send_or_park_again(connection, parked, &mut failed);
        failed.tell();
    }

    fn send_or_park_again(
        &self,
        connection: &OutgoingConnection,
        parked: Box<Parked>,
        failed: &mut Failed,
    ) {
        let mut state = self.state.write();
        state.leave(connection);
        if state.gone.is_some() || self.service.upgrade().is_none_or(|it| it.is_closed()) {
            return failed.add(parked.reply, self.lost());
        }
        // It may be bound to another connection by now.
        let bound = state.bound.as_ref().filter(|_| state.parked.is_empty());
        let Some(parked) = parked.send(bound, failed) else {
            return;
        };
        state.bound = None;
        let reply = Arc::clone(&parked.reply);
        state.front -= 1;
        let place = state.front;
        state.put(place, parked);
        // Whoever has given it up did so before its place was known, or looks for it there yet.
        if reply.is_abandoned()
            && let Some(parked) = state.remove(place)
        {
            parked.forget();
        }
    }

    /// Sends a one-way message. Returns whether it is on its way.
    pub(crate) fn tell<A: Serialize>(&self, ask: &Ask, arguments: &A) -> bool {
        let error = {
            let state = self.state.read();
            match &state.bound {
                Some(bound) => bound.tell(ask, arguments),
                None => Err(NotSent::Closed(None)),
            }
        };
        let method = ask.info.name;
        match error {
            Ok(()) => return true,
            Err(NotSent::Refused(error)) => {
                tracing::warn!(method, %error, "one-way message dropped");
            }
            Err(NotSent::Closed(_)) => {
                let mut state = self.state.write();
                state.bound.take_if(|it| it.connection.is_retired());
                if state.gone.is_none() {
                    self.start_binding(state);
                }
                tracing::debug!(method, to = %self.address, "one-way message dropped: no connection");
            }
        }
        false
    }

    /// The connection has ended.
    pub(super) fn unbind(&self, connection: &OutgoingConnection, end: End) {
        let mut state = self.state.write();
        state.leave(connection);
        if end == End::Goodbye && !mutant::is(Mutant::GoodbyeIgnored) {
            self.leave_for_good(state, Gone { restarted: false });
        } else if !state.parked.is_empty() {
            self.start_binding(state);
        } else {
            drop(state);
        }
        self.status.send_modify(|status| {
            status.losses += u64::from(end == End::Lost);
            status.lost |= end == End::Lost && self.is_unbound();
            status.stopped |= end == End::Goodbye;
        });
    }

    /// Tells whether there is no connection now: one may have come, or gone, since one has looked.
    fn is_unbound(&self) -> bool {
        self.state.read().bound.is_none()
    }

    /// The callee says that the endpoint has ended. Calls are still sent: it knows more by then.
    pub(super) fn stopped(&self) {
        self.status.send_modify(|status| status.stopped = true);
    }

    /// Waits until the endpoint has ended, or the connection to it is lost.
    pub(crate) async fn closed(self: Arc<Self>) -> GatewayClosed {
        let mut status = self.status.subscribe();
        let losses = status.borrow_and_update().losses;
        let over = |now: &Status| now.stopped || now.lost || now.losses != losses;
        let stopped = match status.wait_for(|now| over(now)).await {
            Ok(now) => now.stopped,
            Err(_) => true,
        };
        match stopped {
            true => GatewayClosed::Stopped,
            false => GatewayClosed::Disconnected,
        }
    }

    /// There is nothing more to bind to.
    fn leave_for_good(&self, mut state: RwLockWriteGuard<'_, State>, gone: Gone) {
        state.gone = Some(gone);
        let orphans = state.orphan();
        drop(state);
        fail_all(orphans, &self.unreachable(gone), &self.lost());
    }

    fn unreachable(&self, Gone { restarted }: Gone) -> RpcError {
        RpcError::Unreachable {
            address: self.address.to_string(),
            restarted,
        }
    }

    fn never_sent(&self) -> RpcError {
        self.disconnected(false)
    }

    fn lost(&self) -> RpcError {
        self.disconnected(!mutant::is(Mutant::BlameNobody))
    }

    fn disconnected(&self, possibly_executed: bool) -> RpcError {
        RpcError::Disconnected {
            peer: self.address.authority().to_owned(),
            possibly_executed,
        }
    }

    /// Takes a parked call out, if it is still there.
    fn unpark(&self, place: i64) -> Option<Sent> {
        let mut state = self.state.write();
        let parked = state.remove(place)?;
        let was_last = state.parked.is_empty();
        drop(state);
        if was_last {
            self.given_up.notify_one();
        }
        Some(parked.sent)
    }
}

impl Drop for RemoteGateway {
    fn drop(&mut self) {
        if let Some(bound) = self.state.get_mut().bound.take() {
            bound.connection.release(bound.number);
        }
    }
}

/// The calls that waited for an endpoint in vain, in their order.
type Orphans = BTreeMap<i64, Box<Parked>>;

/// Fails the calls that waited for an endpoint in vain. Of one that was sent before it is not
/// known whether it was executed then.
fn fail_all(calls: Orphans, unreachable: &RpcError, lost: &RpcError) {
    for call in calls.into_values() {
        call.forget();
        call.reply.fail(match call.sent {
            Sent::Before => lost.clone(),
            Sent::Never => unreachable.clone(),
        });
    }
}
