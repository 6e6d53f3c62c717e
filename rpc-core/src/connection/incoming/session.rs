//! What a peer has resolved, and what its frames ask.

use std::sync::Arc;

use slab::Slab;

use super::{Asked, Charge, IncomingCall, IncomingConnection, Watcher, Watchers};
use crate::codec;
use crate::connection::lanes::Lane;
use crate::connection::{Directory, ReadError, Resolve, ResolveRefusal, Resolved};
use crate::error::RpcError;
use crate::fencing::FencingToken;
use crate::frame::{Frame, Header, Kind};
use crate::gateway::Exposed;
use crate::moment::Moment;
use crate::mutant::{self, Mutant};

/// What a peer has resolved on a connection.
pub(super) struct Session {
    /// `None` once nothing more of the peer is heeded.
    directory: Option<Box<dyn Directory>>,
    opened: Slab<Opened>,
    /// How many methods those have in all.
    methods: usize,
    /// How many gateways were resolved, so that each has a number of its own for a long time.
    resolved: u16,
}

/// A gateway that the peer has resolved on this connection.
struct Opened {
    number: u32,
    exposed: Exposed,
    /// For each method of the peer's gateway, its place in ours.
    methods: Box<[Option<u16>]>,
    watchers: Arc<Watchers>,
    /// Its requests come by the bulk lane.
    moved: bool,
}

impl Session {
    pub(super) const fn new(directory: Box<dyn Directory>) -> Self {
        Self {
            directory: Some(directory),
            opened: Slab::new(),
            methods: 0,
            resolved: 0,
        }
    }

    pub(super) const fn is_cut(&self) -> bool {
        self.directory.is_none()
    }

    /// Nothing more of the peer is heeded.
    pub(super) fn cut(&mut self) {
        self.directory = None;
    }

    /// The connection has ended.
    pub(super) fn end(&mut self, connection: u64) {
        self.cut();
        for opened in self.opened.drain() {
            opened.watchers.remove(connection, opened.number);
        }
    }

    /// Tells whether the requests of a gateway come by the bulk lane.
    pub(super) fn has_moved(&self, gateway: u32) -> Result<bool, ReadError> {
        Ok(self.opened(gateway)?.moved)
    }

    /// Does what a frame says that came by a lane of a connection at `now`.
    pub(super) fn heed(
        &mut self,
        connection: &Arc<IncomingConnection>,
        lane: &Lane,
        frame: Frame<'_>,
        now: Moment,
    ) -> Result<(), ReadError> {
        if self.is_cut() {
            return Err(ReadError::Protocol("a frame over a connection that is cut"));
        }
        let header = &frame.header;
        match header.kind {
            Kind::Request | Kind::OneWay => self.request(connection, &frame, now)?,
            Kind::Cancel => connection.cancel(header.call),
            Kind::Extend => connection.extend(header.call, header.remaining_us),
            Kind::Resolve => self.resolve(connection, header, frame.body)?,
            Kind::Release => self.release(connection, header.gateway)?,
            Kind::Move => {
                self.opened_mut(header.gateway)?.moved = true;
                connection.said.notify_one();
            }
            Kind::Ping => lane.send_empty(&Header::new(Kind::Pong, header.call)),
            Kind::Pong => {}
            Kind::Response | Kind::Credit | Kind::Gone | Kind::Goodbye | Kind::Widen => {
                return Err(ReadError::Protocol("an answer to no request"));
            }
        }
        Ok(())
    }

    fn request(
        &self,
        connection: &Arc<IncomingConnection>,
        frame: &Frame<'_>,
        now: Moment,
    ) -> Result<(), ReadError> {
        let Frame { header, size, .. } = frame;
        let size = *size;
        if !connection.debt.receive(size) {
            return Err(ReadError::Protocol("more than the window allows"));
        }
        let opened = self.opened(header.gateway)?;
        let method = opened.methods.get(usize::from(header.method));
        let method = *method.ok_or(ReadError::Protocol("a method that was not resolved"))?;
        let method = method.map(usize::from);
        let name = method.map_or("a method", |it| opened.exposed.methods[it].name);
        let (call, charge) = match header.kind {
            Kind::OneWay => (None, Some(Charge::new(connection, size))),
            _ => {
                let meter = opened.exposed.meter.as_ref().zip(method);
                let meter = meter.map(|(meter, method)| (meter, opened.exposed.first + method));
                let asked = Asked {
                    id: header.call,
                    bytes: size,
                    method: name,
                    meter,
                    remaining_us: header.remaining_us,
                };
                (Some(connection.open_call(asked, now)?), None)
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
        if let Err(error) = connection.admit(info.name, info.roles) {
            IncomingCall::deny(call, error);
            return Ok(());
        }
        frame.decode(|body| {
            let token = header.token.map(FencingToken::new);
            let wire = &opened.exposed.wire;
            wire.deliver(method, body, token, header.trace, call, charge);
        });
        Ok(())
    }

    fn resolve(
        &mut self,
        connection: &Arc<IncomingConnection>,
        header: &Header,
        body: &[u8],
    ) -> Result<(), ReadError> {
        let resolve: Resolve = codec::decode(body)
            .map_err(|_| ReadError::Protocol("a malformed request to resolve"))?;
        let result = self.open_gateway(connection, &resolve);
        let result = result.map_err(RpcError::App);
        connection.respond((header.call, true), "resolve", None, result.as_ref());
        Ok(())
    }

    fn open_gateway(
        &mut self,
        connection: &Arc<IncomingConnection>,
        resolve: &Resolve,
    ) -> Result<Resolved, ResolveRefusal> {
        let directory = self.directory.as_ref();
        let listing = directory.and_then(|it| it.find(&resolve.endpoint));
        let listing = listing.ok_or(ResolveRefusal::NoEndpoint)?;
        let mut exposed = listing.exposed.into_iter();
        let exposed = exposed.find(|it| it.name == resolve.gateway);
        let exposed = exposed.ok_or(ResolveRefusal::NoGateway)?;
        let full = self.opened.len() >= connection.limits.gateways.min(PLACES);
        let count = resolve.methods.len();
        if full || count > METHODS_MAX || self.methods + count > METHODS_IN_ALL_MAX {
            return Err(ResolveRefusal::TooMany);
        }
        let place = |fingerprint: &u64| {
            let mut methods = exposed.methods.iter();
            let place = methods.position(|it| it.fingerprint == *fingerprint);
            place.and_then(|it| u16::try_from(it).ok())
        };
        let methods: Box<[_]> = resolve.methods.iter().map(place).collect();
        self.methods += count;
        let compatible = methods.iter().map(Option::is_some).collect();
        // A place that is used again gets another number: what is said of the old one may be late.
        self.resolved = self.resolved.wrapping_add(1);
        let entry = self.opened.vacant_entry();
        let place = u32::try_from(entry.key()).expect("there are 2^16 places");
        let gateway = u32::from(self.resolved) << 16 | place;
        entry.insert(Opened {
            number: gateway,
            exposed,
            methods,
            watchers: Arc::clone(&listing.watchers),
            moved: false,
        });
        listing.watchers.add(Watcher::new(connection, gateway));
        Ok(Resolved {
            gateway,
            incarnation: listing.incarnation,
            compatible,
            endpoint: listing.name.to_string(),
        })
    }

    fn release(&mut self, connection: &IncomingConnection, gateway: u32) -> Result<(), ReadError> {
        self.opened(gateway)?;
        if mutant::is(Mutant::ReleaseIgnored) {
            return Ok(());
        }
        let opened = self.opened.remove(gateway as usize % PLACES);
        self.methods -= opened.methods.len();
        opened.watchers.remove(connection.id, gateway);
        Ok(())
    }

    fn opened(&self, gateway: u32) -> Result<&Opened, ReadError> {
        let opened = self.opened.get(gateway as usize % PLACES);
        opened.filter(|it| it.number == gateway).ok_or(NOT_RESOLVED)
    }

    fn opened_mut(&mut self, gateway: u32) -> Result<&mut Opened, ReadError> {
        let opened = self.opened.get_mut(gateway as usize % PLACES);
        opened.filter(|it| it.number == gateway).ok_or(NOT_RESOLVED)
    }
}

/// How many gateways there can be at once: their places take the lower half of their numbers.
const PLACES: usize = 1 << 16;
const NOT_RESOLVED: ReadError = ReadError::Protocol("a gateway that was not resolved");
/// A gateway of a peer has no more methods than this.
const METHODS_MAX: usize = 1 << 12;
/// All of them have no more than this: a peer pays for each with a frame's bytes once, and it is held for
/// as long as the peer likes.
const METHODS_IN_ALL_MAX: usize = 1 << 20;
