//! What a peer has resolved, and what its frames ask.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::hash_map::Entry;
use slab::Slab;
use tokio::io::AsyncRead;
use tokio::time::Instant;

use super::{Charge, IncomingCall, IncomingConnection, Watcher, Watchers};
use crate::codec;
use crate::connection::{Directory, FrameReader, ReadError, Resolve, ResolveRefusal, Resolved};
use crate::error::RpcError;
use crate::fencing::FencingToken;
use crate::frame::{Frame, Header, Kind};
use crate::gateway::{Delivery, Exposed};
use crate::metering::ResponseMeter;
use crate::mutant::{self, Mutant};
use crate::turn;

/// The state of the reading side.
pub(super) struct Session<'a, D> {
    connection: &'a Arc<IncomingConnection>,
    directory: D,
    opened: Slab<Opened>,
    /// How many gateways were resolved, so that each has a number of its own for a long time.
    resolved: u16,
}

/// A gateway that the peer has resolved on this connection.
struct Opened {
    number: u32,
    exposed: Exposed,
    /// For each method of the peer's gateway, its place in ours.
    methods: Vec<Option<usize>>,
    watchers: Arc<Watchers>,
}

impl<'a, D: Directory> Session<'a, D> {
    pub(super) const fn new(connection: &'a Arc<IncomingConnection>, directory: D) -> Self {
        Self {
            connection,
            directory,
            opened: Slab::new(),
            resolved: 0,
        }
    }

    pub(super) async fn read(
        &mut self,
        mut frames: FrameReader<'_, impl AsyncRead + Unpin>,
    ) -> Result<(), ReadError> {
        while frames.read().await? {
            turn::take(|| self.heed_all(&mut frames))?;
        }
        Ok(())
    }

    /// Does what the frames of one read say.
    fn heed_all(
        &mut self,
        frames: &mut FrameReader<'_, impl AsyncRead + Unpin>,
    ) -> Result<(), ReadError> {
        // One look at the clock for all that came together.
        let now = Instant::now();
        // Whoever cuts the connection waits for what is being handed on.
        let cut = self.connection.cut.lock();
        if *cut {
            return Err(ReadError::Protocol("a frame over a connection that is cut"));
        }
        while let Some(frame) = frames.next()? {
            self.heed(frame, now)?;
        }
        Ok(())
    }

    /// Does what a frame says that came at `now`.
    fn heed(&mut self, frame: Frame<'_>, now: Instant) -> Result<(), ReadError> {
        let connection = self.connection;
        let header = &frame.header;
        match header.kind {
            Kind::Request | Kind::OneWay => self.request(frame, now)?,
            Kind::Cancel => connection.cancel(header.call),
            Kind::Extend => connection.extend(header.call, header.remaining_us),
            Kind::Resolve => self.resolve(header, frame.body)?,
            Kind::Release => self.release(header.gateway)?,
            Kind::Ping => connection
                .wire
                .send_empty(&Header::new(Kind::Pong, header.call)),
            Kind::Pong => {}
            Kind::Response | Kind::Credit | Kind::Gone | Kind::Goodbye => {
                return Err(ReadError::Protocol("an answer to no request"));
            }
        }
        Ok(())
    }

    fn request(&self, frame: Frame<'_>, now: Instant) -> Result<(), ReadError> {
        let Frame { header, size, .. } = frame;
        if !self.connection.debt.receive(size) {
            return Err(ReadError::Protocol("more than the window allows"));
        }
        let charge = Charge::new(self.connection, size);
        let opened = self.opened(header.gateway)?;
        let method = opened.methods.get(usize::from(header.method));
        let method = *method.ok_or(ReadError::Protocol("a method that was not resolved"))?;
        let name = method.map_or("a method", |it| opened.exposed.methods[it].name);
        let (call, calls) = match header.kind {
            Kind::OneWay => (None, 0),
            _ => {
                let meter = opened.exposed.meter.as_ref().zip(method);
                let meter = meter.map(|(meter, method)| {
                    ResponseMeter::new(Arc::clone(meter), opened.exposed.first + method)
                });
                let call = IncomingCall::new(self.connection, &header, size, name, meter, now);
                let calls = self.open_call(&call)?;
                (Some(call), calls)
            }
        };
        let Some(method) = method else {
            IncomingCall::deny(
                call,
                RpcError::Incompatible {
                    method: format!("{}, number {}", opened.exposed.name, header.method),
                },
            );
            return Ok(());
        };
        let info = &opened.exposed.methods[method];
        if call.is_some() == info.one_way {
            return Err(ReadError::Protocol(
                "a one-way call of a method that answers, or the reverse",
            ));
        }
        if let Err(error) = self.admit(info.name, info.roles, calls) {
            IncomingCall::deny(call, error);
            return Ok(());
        }
        frame.decode(|body| {
            opened.exposed.wire.deliver(Delivery {
                method,
                body,
                token: header.token.map(FencingToken::new),
                trace: header.trace.map(Box::new),
                call,
                charge,
            });
        });
        Ok(())
    }

    /// Tells whether the peer may make a call now, with which it has so many under way.
    fn admit(&self, method: &'static str, allowed: &[&str], calls: usize) -> Result<(), RpcError> {
        if let Some(roles) = &self.connection.roles
            && !roles.iter().any(|it| allowed.contains(&it.as_str()))
        {
            tracing::debug!(peer = %self.connection.wire.peer, method, "call forbidden");
            return Err(RpcError::Forbidden {
                method: method.to_owned(),
                roles: roles.clone(),
            });
        }
        let (held, limit) = (&self.connection.held, self.connection.limits.held);
        if held.load(Ordering::Relaxed) > limit {
            return Err(RpcError::Overloaded {
                queue: String::from("what the connection's calls hold"),
                limit,
            });
        }
        let limit = self.connection.limits.calls;
        if calls > limit {
            return Err(RpcError::Overloaded {
                queue: String::from("the connection's table of calls"),
                limit: limit as u64,
            });
        }
        Ok(())
    }

    /// Lists a call. Returns how many there are with it.
    fn open_call(&self, call: &Arc<IncomingCall>) -> Result<usize, ReadError> {
        let deadline = call.deadline_at();
        let mut calls = self.connection.calls.lock();
        self.connection.note_deadline(&mut calls, deadline);
        match calls.by_id.entry(call.id()) {
            Entry::Vacant(place) => {
                place.insert(Arc::clone(call));
                Ok(calls.by_id.len())
            }
            // The call that has the id stays in the table, to be abandoned with the others.
            Entry::Occupied(_) => Err(ReadError::Protocol("a call id that is in use")),
        }
    }

    fn resolve(&mut self, header: &Header, body: &[u8]) -> Result<(), ReadError> {
        let resolve: Resolve = codec::decode(body)
            .map_err(|_| ReadError::Protocol("a malformed request to resolve"))?;
        let result = self.open_gateway(&resolve);
        let result = result.map_err(RpcError::App);
        self.connection
            .respond((header.call, true), "resolve", None, result);
        Ok(())
    }

    fn open_gateway(&mut self, resolve: &Resolve) -> Result<Resolved, ResolveRefusal> {
        let listing = self.directory.find(&resolve.endpoint);
        let listing = listing.ok_or(ResolveRefusal::NoEndpoint)?;
        let mut exposed = listing.exposed.iter();
        let exposed = exposed.find(|it| it.name == resolve.gateway);
        let exposed = exposed.ok_or(ResolveRefusal::NoGateway)?;
        let full = self.opened.len() >= self.connection.limits.gateways.min(PLACES);
        if full || resolve.methods.len() > METHODS_MAX {
            return Err(ResolveRefusal::TooMany);
        }
        let place = |fingerprint: &u64| {
            let mut methods = exposed.methods.iter();
            methods.position(|it| it.fingerprint == *fingerprint)
        };
        let methods: Vec<Option<usize>> = resolve.methods.iter().map(place).collect();
        let compatible = methods.iter().map(Option::is_some).collect();
        // A place that is used again gets another number: what is said of the old one may be late.
        self.resolved = self.resolved.wrapping_add(1);
        let entry = self.opened.vacant_entry();
        let place = u32::try_from(entry.key()).expect("there are 2^16 places");
        let gateway = u32::from(self.resolved) << 16 | place;
        entry.insert(Opened {
            number: gateway,
            exposed: exposed.clone(),
            methods,
            watchers: Arc::clone(&listing.watchers),
        });
        listing.watchers.add(Watcher::new(self.connection, gateway));
        Ok(Resolved {
            gateway,
            incarnation: listing.incarnation,
            compatible,
        })
    }

    fn release(&mut self, gateway: u32) -> Result<(), ReadError> {
        self.opened(gateway)?;
        if mutant::is(Mutant::ReleaseIgnored) {
            return Ok(());
        }
        let opened = self.opened.remove(gateway as usize % PLACES);
        opened.watchers.remove(self.connection.id, gateway);
        Ok(())
    }

    fn opened(&self, gateway: u32) -> Result<&Opened, ReadError> {
        let opened = self.opened.get(gateway as usize % PLACES);
        opened
            .filter(|it| it.number == gateway)
            .ok_or(ReadError::Protocol("a gateway that was not resolved"))
    }
}

impl<D> Drop for Session<'_, D> {
    fn drop(&mut self) {
        for (_, opened) in &self.opened {
            opened.watchers.remove(self.connection.id, opened.number);
        }
    }
}

/// How many gateways there can be at once: their places take the lower half of their numbers.
const PLACES: usize = 1 << 16;
/// A gateway of a peer has no more methods than this.
const METHODS_MAX: usize = 1 << 12;
