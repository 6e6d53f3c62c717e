//! A call on its way to another service, which may have to wait, or to be made again.

use std::mem;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use super::state::Bound;
use super::{Ask, RemoteGateway};
use crate::call::micros;
use crate::connection::outgoing::{NotSent, OutgoingConnection, Pending};
use crate::connection::reply::ReplySink;
use crate::error::RpcError;
use crate::frame::Kind;
use crate::moment::Moment;
use crate::mutant::{self, Mutant};

/// A call that waits to be sent, or to be sent again.
pub(in crate::connection) struct Parked {
    pub(super) gateway: Weak<RemoteGateway>,
    pub(super) ask: Ask,
    pub(super) body: Bytes,
    pub(super) reply: Arc<dyn ReplySink>,
    pub(super) ticket: Arc<Ticket>,
    pub(super) sent: Sent,
}

/// Whether a call was ever sent: one that is made again was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Before,
    Never,
}

/// Where a call is that does not stay in one place.
#[derive(Default)]
pub(crate) struct Ticket(pub(super) Mutex<Place>);

#[derive(Clone, Default)]
pub(super) enum Place {
    #[default]
    Nowhere,
    Parked(i64),
    Sent(Arc<OutgoingConnection>, u64),
    /// It was sent, and nothing more is known of it.
    Lost,
}

/// A call under way to another service, or none.
#[derive(Default)]
pub(crate) struct RemoteCall {
    /// What it was sent by, or one before: it stays for the next, which is likely to go there too.
    connection: Weak<OutgoingConnection>,
    way: Way,
}

#[derive(Default)]
enum Way {
    #[default]
    None,
    Sent(u64),
    Ticket(Arc<RemoteGateway>, Arc<Ticket>),
}

impl Parked {
    pub(in crate::connection) fn gateway(&self) -> Option<Arc<RemoteGateway>> {
        self.gateway.upgrade()
    }

    /// Leaves it to the caller's patience.
    pub(super) fn forget(&self) {
        *self.ticket.0.lock() = self.left();
    }

    /// Returns where a call is that nobody looks after any more.
    fn left(&self) -> Place {
        match self.sent {
            Sent::Before => Place::Lost,
            Sent::Never => Place::Nowhere,
        }
    }

    /// Tells whether the call was sent before, over a connection that was lost.
    pub(in crate::connection) fn was_sent(&self) -> bool {
        self.sent == Sent::Before
    }

    /// Sends the call; gives it back if it has to wait for another connection.
    pub(super) fn send(
        self: Box<Self>,
        bound: Option<&Bound>,
        failed: &mut Failed,
    ) -> Option<Box<Self>> {
        let Some(bound) = bound else {
            return Some(self);
        };
        // If it is not sent now, nothing is known of one that was sent before.
        let lost = self.was_sent().then(|| bound.connection.lost());
        if let Err(error) = bound.check(&self.ask) {
            self.forget();
            failed.add(self.reply, lost.unwrap_or(error));
            return None;
        }
        let deadline = self.reply.deadline();
        let remaining_us =
            (deadline != Moment::NEVER).then(|| micros(deadline.since(Moment::now())));
        let header = bound.header(Kind::Request, &self.ask, remaining_us);
        let (reply, ticket, body) = (
            Arc::clone(&self.reply),
            Arc::clone(&self.ticket),
            self.body.clone(),
        );
        let (info, left) = (self.ask.info, self.left());
        let waiting = self;
        // Its place is known before anybody can look: an answer may come at once.
        let mut place = ticket.0.lock();
        let (again, kept) = match info.idempotent || mutant::is(Mutant::RetryAll) {
            true => (Some(waiting), None),
            false => (None, Some(waiting)),
        };
        let pending = Pending::new(info, bound.number, Arc::clone(&reply), again);
        match bound.connection.request_encoded(header, &body, pending) {
            Ok(id) => {
                *place = Place::Sent(Arc::clone(&bound.connection), id);
                None
            }
            Err(NotSent::Refused(error)) => {
                *place = left;
                failed.add(reply, lost.unwrap_or(error));
                None
            }
            Err(NotSent::Closed(again)) => again.or(kept),
        }
    }
}

/// Calls that have failed while something was locked: their callers are told afterwards, since the code
/// of a waker may be any, and make calls.
#[derive(Default)]
#[must_use = "their callers are to be told"]
pub(super) struct Failed(Vec<(Arc<dyn ReplySink>, RpcError)>);

impl Failed {
    pub(super) fn add(&mut self, reply: Arc<dyn ReplySink>, error: RpcError) {
        self.0.push((reply, error));
    }

    pub(super) fn tell(self) {
        for (reply, error) in self.0 {
            reply.fail(error);
        }
    }
}

impl RemoteCall {
    pub(super) fn sent(&mut self, connection: &Arc<OutgoingConnection>, id: u64) {
        if !std::ptr::eq(self.connection.as_ptr(), Arc::as_ptr(connection)) {
            self.connection = Arc::downgrade(connection);
        }
        self.way = Way::Sent(id);
    }

    pub(super) fn has(&mut self, gateway: Arc<RemoteGateway>, ticket: Arc<Ticket>) {
        self.way = Way::Ticket(gateway, ticket);
    }

    /// The call is over.
    pub(crate) fn end(&mut self) {
        self.way = Way::None;
    }

    /// Gives the call up. Returns why it was never sent, if so.
    pub(crate) fn give_up(&mut self) -> Option<RpcError> {
        match mem::take(&mut self.way) {
            Way::None => None,
            Way::Sent(id) => {
                if let Some(connection) = self.connection.upgrade() {
                    connection.cancel(id);
                }
                None
            }
            Way::Ticket(gateway, ticket) => loop {
                let place = ticket.0.lock().clone();
                match place {
                    Place::Nowhere => return Some(gateway.never_sent()),
                    Place::Lost => return None,
                    Place::Sent(connection, id) => {
                        connection.cancel(id);
                        return None;
                    }
                    Place::Parked(place) => match gateway.unpark(place) {
                        Some(Sent::Before) => return None,
                        Some(Sent::Never) => return Some(gateway.never_sent()),
                        // It was sent, or failed, meanwhile.
                        None => {}
                    },
                }
            },
        }
    }

    /// Tells the callee that the caller waits as long as this from now on.
    pub(crate) fn extend(&self, remaining_us: Option<u64>) {
        let sent = match &self.way {
            Way::None => None,
            Way::Sent(id) => self.connection.upgrade().map(|it| (it, *id)),
            Way::Ticket(_, ticket) => match &*ticket.0.lock() {
                Place::Sent(connection, id) => Some((Arc::clone(connection), *id)),
                Place::Nowhere | Place::Parked(_) | Place::Lost => None,
            },
        };
        if let Some((connection, id)) = sent {
            connection.extend(id, remaining_us);
        }
    }
}
