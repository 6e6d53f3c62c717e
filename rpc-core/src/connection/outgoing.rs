//! A connection that this service opened, and the calls that are under way on it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::io::AsyncRead;
use tokio::time::{Duration, Instant};

use super::calls::{CallTable, NotTaken};
use super::credit::Credit;
use super::liveness::Liveness;
use super::outbox::SendError;
use super::remote::{Parked, RemoteGateway};
use super::reply::ReplySink;
use super::wire::{BULK_READ_BYTES, Lane, Wire};
use super::{FrameReader, ReadError, Resolve, ResolveRefusal, Resolved, Welcome};
use crate::config::RpcConfig;
use crate::diagnostics::ConnectionDiagnostics;
use crate::error::{RpcError, RpcResult};
use crate::frame::{Frame, FrameBuffer, Header, Kind, PutError};
use crate::metering::Direction;
use crate::method::{CallTimeout, MethodInfo};
use crate::mutant::{self, Mutant};
use crate::reply_slot::ReplySlot;
use crate::transport::Stream;
use crate::turn;

/// The calling side of a connection.
pub(crate) struct OutgoingConnection {
    wire: Wire,
    /// The peer's own id, new with each start of the peer.
    service: u128,
    calls: Mutex<CallTable<Pending>>,
    credit: Credit,
    /// The gateways that speak through this connection, by their number.
    gateways: Mutex<BTreeMap<u32, Weak<RemoteGateway>>>,
    /// Those whose requests go by the bulk lane.
    moved: Mutex<BTreeSet<u32>>,
    /// What the peer takes at most.
    frame_bytes_max: usize,
    age_max: Option<Duration>,
}

/// A call that waits for its answer.
pub(super) struct Pending {
    method: &'static MethodInfo,
    gateway: u32,
    reply: Arc<dyn ReplySink>,
    /// How to make the call again, if it may be made again.
    again: Option<Box<Parked>>,
}

/// Why a request is not on its way.
pub(super) enum NotSent {
    /// The connection is lost: another may carry the call.
    Closed(Option<Box<Parked>>),
    Refused(RpcError),
}

/// Why a connection ended, as far as it matters to those who used it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is old, and was idle.
    Aged,
    /// The peer's service ends, and says so.
    Goodbye,
    Lost,
}

/// The peer's service ends.
struct Goodbye {
    /// So many frames of the bulk lane come before that.
    bulk_frames: u64,
}

/// What a gateway finds on a connection.
pub(super) struct Registered {
    pub(super) open: bool,
    /// The endpoint has ended already.
    pub(super) gone: bool,
}

impl OutgoingConnection {
    /// Takes over a stream whose handshake is done; the second value has to be run.
    pub(crate) fn new(
        peer: String,
        stream: Stream,
        welcome: &Welcome,
        config: &RpcConfig,
    ) -> (Arc<Self>, impl Future<Output = ()> + use<>) {
        let calls_max = config.calls_max.min(welcome.calls_max as usize);
        let connection = Arc::new(Self {
            wire: Wire::new(Direction::Outgoing, peer, stream.writer, config),
            service: welcome.service,
            calls: Mutex::new(CallTable::new(calls_max)),
            credit: Credit::new(welcome.window_bytes),
            gateways: Mutex::default(),
            moved: Mutex::default(),
            frame_bytes_max: (welcome.frame_bytes_max as usize).min(config.frame_bytes_max),
            age_max: config.connection_age_max,
        });
        let liveness = Liveness::new(config, Instant::now());
        let driver = Arc::clone(&connection).drive(stream.reader, liveness, config.frame_bytes_max);
        (connection, driver)
    }

    pub(crate) const fn service(&self) -> u128 {
        self.service
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.calls.lock().is_closed()
    }

    pub(crate) const fn opened(&self) -> Instant {
        self.wire.opened()
    }

    /// Fails all calls, and closes the stream.
    pub(crate) fn close(&self) {
        self.end(End::Lost);
    }

    fn end(&self, end: End) {
        let pending = self.calls.lock().close();
        self.wire.close();
        self.wire.ended();
        let gateways = std::mem::take(&mut *self.gateways.lock());
        // The latest first, since each goes before those that wait already.
        for call in pending.into_iter().rev() {
            let again = call.again.filter(|_| end != End::Goodbye);
            match again.and_then(|again| again.gateway().map(|gateway| (gateway, again))) {
                Some((gateway, again)) => gateway.park_again(self, again),
                None if mutant::is(Mutant::LostForgotten) => {}
                None => {
                    let possibly_executed = !mutant::is(Mutant::BlameNobody);
                    call.reply.fail(self.disconnected(possibly_executed));
                }
            }
        }
        for gateway in gateways.into_values().filter_map(|it| it.upgrade()) {
            gateway.unbind(self, end);
        }
    }

    async fn drive(
        self: Arc<Self>,
        reader: impl AsyncRead + Unpin,
        liveness: Liveness,
        limit: usize,
    ) {
        let main = &self.wire.main;
        let frames = FrameReader::new(reader, limit, usize::MAX, &main.heard);
        let ended = tokio::select! {
            biased;
            read = self.read(frames) => read,
            write = self.write() => write.map(|()| End::Lost).map_err(ReadError::Io),
            ended = self.wire.watch(main, liveness, |age| self.is_over(age)) => {
                ended.map(|()| End::Aged).map_err(ReadError::Lost)
            }
            error = self.wire.bulk_lost() => Err(error),
        };
        let end = ended.unwrap_or_else(|error| {
            tracing::debug!(peer = %self.wire.peer, %error, "connection lost");
            End::Lost
        });
        self.end(end);
        // Calls that are given up later hold the connection, and are not to hold its stream.
        self.wire.discard();
    }

    /// Writes what there is to write, until there will be no more.
    async fn write(&self) -> io::Result<()> {
        self.wire.main.outbox.drive().await?;
        self.wire.bulk_over().await;
        Ok(())
    }

    /// Waits until there is something large to send, or the connection has ended. Tells whether a bulk
    /// lane is to be opened.
    pub(crate) async fn wants_bulk(&self) -> bool {
        self.wire.bulk_wanted().await;
        !self.is_closed()
    }

    /// Takes over a further stream, whose handshake is done, and runs it until it or the connection
    /// ends.
    pub(crate) async fn run_bulk(&self, stream: Stream, config: &RpcConfig) {
        let Some(bulk) = self.wire.add_bulk(stream.writer, config) else {
            return;
        };
        if self.is_closed() {
            // Whoever closed it did not see the lane.
            bulk.outbox.close();
        }
        let limit = config.frame_bytes_max;
        let frames = FrameReader::new(stream.reader, limit, BULK_READ_BYTES, &bulk.heard);
        let liveness = Liveness::new(config, Instant::now());
        let (read, write) = (self.read_bulk(bulk, frames), bulk.outbox.drive());
        self.wire.run_bulk(bulk, read, write, liveness).await;
    }

    async fn read_bulk(
        &self,
        bulk: &Lane,
        mut frames: FrameReader<'_, impl AsyncRead + Unpin>,
    ) -> Result<(), ReadError> {
        while frames.read().await? {
            turn::take(|| {
                while let Some(frame) = frames.next()? {
                    match frame.header.kind {
                        Kind::Response | Kind::Ping | Kind::Pong => self.heed(bulk, &frame)?,
                        _ => return Err(ReadError::Protocol("what has no place in a bulk lane")),
                    };
                }
                Ok(())
            })?;
            self.wire.bulk_heeded(bulk);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn read(
        &self,
        mut frames: FrameReader<'_, impl AsyncRead + Unpin>,
    ) -> Result<End, ReadError> {
        while frames.read().await? {
            if let Some(goodbye) = turn::take(|| self.heed_all(&mut frames))? {
                self.wire.bulk_has_heeded(goodbye.bulk_frames).await;
                return Ok(End::Goodbye);
            }
        }
        Ok(End::Lost)
    }

    /// Does what the frames of one read say, up to a goodbye.
    fn heed_all(
        &self,
        frames: &mut FrameReader<'_, impl AsyncRead + Unpin>,
    ) -> Result<Option<Goodbye>, ReadError> {
        let mut answers = 0;
        while let Some(frame) = frames.next()? {
            answers += usize::from(frame.header.kind == Kind::Response);
            if let Some(goodbye) = self.heed(&self.wire.main, &frame)? {
                return Ok(Some(goodbye));
            }
        }
        if answers > 1 {
            self.wire.main.outbox.expect(answers);
        }
        Ok(None)
    }

    /// Does what a frame says that came by a lane.
    fn heed(&self, lane: &Lane, frame: &Frame<'_>) -> Result<Option<Goodbye>, ReadError> {
        let header = &frame.header;
        match header.kind {
            Kind::Response => {
                let call = self.calls.lock().take(header.call);
                if let Some(call) = call {
                    let before = call.again.as_ref().is_some_and(|it| it.was_sent());
                    let lost = before.then(|| self.lost());
                    frame.decode(|body| {
                        call.reply.complete(call.method, header.error, body, lost);
                    });
                }
            }
            Kind::Ping => lane.send_empty(&Header::new(Kind::Pong, header.call)),
            Kind::Pong => {}
            Kind::Credit => self.credit.earn(header.call),
            Kind::Gone => self.gone(header.gateway),
            Kind::Goodbye if mutant::is(Mutant::GoodbyeIgnored) => {}
            Kind::Goodbye => {
                return Ok(Some(Goodbye {
                    bulk_frames: header.call,
                }));
            }
            Kind::Widen => self.wire.want_bulk(),
            Kind::Request
            | Kind::OneWay
            | Kind::Cancel
            | Kind::Extend
            | Kind::Resolve
            | Kind::Release
            | Kind::Move => {
                return Err(ReadError::Protocol("a request from the accepting side"));
            }
        }
        Ok(None)
    }

    pub(crate) fn report(&self) -> ConnectionDiagnostics {
        let calls = self.calls.lock().len();
        self.wire.report(calls)
    }

    fn gone(&self, number: u32) {
        // A gateway that is about to be registered finds that it is here already.
        let gateway = self.gateways.lock().entry(number).or_default().upgrade();
        if let Some(gateway) = gateway {
            gateway.stopped();
        }
    }

    /// Tells whether it is old, and nobody needs it just now.
    fn is_over(&self, age: Duration) -> bool {
        self.age_max.is_some_and(|it| age >= it)
            && self.calls.lock().len() == 0
            && self.wire.is_bulk_idle()
    }

    /// Lets a gateway hear of this connection.
    pub(super) fn register(&self, number: u32, gateway: Weak<RemoteGateway>) -> Registered {
        let early = self.gateways.lock().insert(number, gateway);
        // Whoever closes it takes the gateways after it has closed the table.
        Registered {
            open: !self.is_closed(),
            gone: early.is_some(),
        }
    }

    /// Gives a gateway's number back.
    pub(super) fn release(&self, number: u32) {
        self.gateways.lock().remove(&number);
        self.send_after(&Header {
            gateway: number,
            ..Header::new(Kind::Release, 0)
        });
        // Those of its calls that are under way may still be cancelled, by either lane.
        self.moved.lock().remove(&number);
    }

    /// Asks for the number of an endpoint's gateway.
    pub(crate) async fn resolve(&self, resolve: &Resolve) -> RpcResult<Resolved, ResolveRefusal> {
        let slot = Arc::new(ReplySlot::new(None));
        let pending = Pending::new(&RESOLVE, 0, Arc::clone(&slot) as _, None);
        let put =
            |out: &mut FrameBuffer, header: &Header| out.put(header, resolve, self.frame_bytes_max);
        if let Err(not_sent) = self.send_call(Header::new(Kind::Resolve, 0), pending, false, put) {
            slot.fail(not_sent.into_error(self));
        }
        poll_fn(|cx| slot.poll(cx)).await
    }

    /// Sends a request; its reply gets the answer. Returns the call's id.
    pub(super) fn request<A: Serialize>(
        &self,
        header: Header,
        arguments: &A,
        pending: Pending,
    ) -> Result<u64, NotSent> {
        self.send_call(header, pending, true, |out, header| {
            out.put(header, arguments, self.frame_bytes_max)
        })
    }

    /// As [`request`](Self::request), of arguments that are encoded already.
    pub(super) fn request_encoded(
        &self,
        header: Header,
        body: &[u8],
        pending: Pending,
    ) -> Result<u64, NotSent> {
        self.send_call(header, pending, true, |out, header| {
            out.put_encoded(header, body, self.frame_bytes_max)
        })
    }

    fn send_call(
        &self,
        mut header: Header,
        pending: Pending,
        spends: bool,
        put: impl FnOnce(&mut FrameBuffer, &Header) -> Result<usize, PutError>,
    ) -> Result<u64, NotSent> {
        let (method, gateway) = (pending.method, header.gateway);
        let (id, alone) = {
            let mut calls = self.calls.lock();
            if calls.is_closed() {
                return Err(NotSent::Closed(pending.again));
            }
            let inserted = calls.insert(pending);
            (inserted, calls.len() == 1)
        };
        let id = id.map_err(|error| NotSent::Refused(self.not_taken(error)))?;
        header.call = id;
        // A caller that is alone writes for itself; several leave it to be done for all at once.
        let sent = self.send(alone, gateway, |out| self.spend(out, &header, spends, put));
        let Err(error) = sent else { return Ok(id) };
        match (self.calls.lock().take(id), error) {
            (Some(pending), SendError::Closed) => Err(NotSent::Closed(pending.again)),
            (Some(_), error) => Err(NotSent::Refused(self.not_sent(error, method))),
            // It was answered by whoever closed the connection meanwhile.
            (None, _) => Ok(id),
        }
    }

    pub(super) fn tell<A: Serialize>(
        &self,
        header: &Header,
        method: &MethodInfo,
        arguments: &A,
    ) -> Result<(), NotSent> {
        let sent = self.send(false, header.gateway, |out| {
            self.spend(out, header, true, |out, header| {
                out.put(header, arguments, self.frame_bytes_max)
            })
        });
        match sent {
            Ok(_) => Ok(()),
            Err(SendError::Closed) => Err(NotSent::Closed(None)),
            Err(error) => Err(NotSent::Refused(self.not_sent(error, method))),
        }
    }

    /// Sends a frame behind all others of its gateway.
    fn send(
        &self,
        alone: bool,
        gateway: u32,
        put: impl FnOnce(&mut FrameBuffer) -> Result<usize, PutError>,
    ) -> Result<usize, SendError> {
        let mut by_bulk = None;
        // Which lane it goes by is decided while nobody else puts anything on the main lane.
        let by_main = |out: &mut FrameBuffer| {
            if self.is_moved(gateway) {
                by_bulk = Some(self.wire.send_bulk(put));
                return Ok(0);
            }
            put(out)
        };
        let moved = |out: &mut FrameBuffer| {
            self.moved.lock().insert(gateway);
            out.put_empty(&Header {
                gateway,
                ..Header::new(Kind::Move, 0)
            });
        };
        let sent = self.wire.send(alone, by_main, moved);
        by_bulk.unwrap_or(sent)
    }

    /// As [`send`](Self::send), of a frame without a body. It may be lost with the connection: then
    /// nobody needs it.
    fn send_after(&self, header: &Header) {
        if !self.is_moved(header.gateway) {
            return self.wire.main.send_empty(header);
        }
        let _sent = self.wire.send_bulk(|out| {
            out.put_empty(header);
            Ok(0)
        });
    }

    /// Tells whether a gateway's requests go by the bulk lane.
    fn is_moved(&self, gateway: u32) -> bool {
        self.wire.has_bulk()
            && !mutant::is(Mutant::BulkOvertaken)
            && self.moved.lock().contains(&gateway)
    }

    /// Puts a message if the callee's window is open. Only one does so at a time, which keeps within
    /// the window all but the last message.
    fn spend(
        &self,
        out: &mut FrameBuffer,
        header: &Header,
        spends: bool,
        put: impl FnOnce(&mut FrameBuffer, &Header) -> Result<usize, PutError>,
    ) -> Result<usize, PutError> {
        if spends && !self.credit.is_left() && !mutant::is(Mutant::CreditIgnored) {
            let limit = self.credit.window();
            return Err(PutError::Window { limit });
        }
        let size = put(out, header)?;
        if spends {
            self.credit.spend(size);
        }
        Ok(size)
    }

    /// Tells the callee that nobody waits for a call any more.
    pub(super) fn cancel(&self, id: u64) {
        let call = self.calls.lock().take(id);
        if let Some(call) = call.filter(|_| !mutant::is(Mutant::CancelNotSent)) {
            self.send_after(&Header {
                gateway: call.gateway,
                ..Header::new(Kind::Cancel, id)
            });
        }
    }

    /// Tells the callee how long the caller waits from now on.
    pub(super) fn extend(&self, id: u64, remaining_us: Option<u64>) {
        let gateway = self.calls.lock().get(id).map(|call| call.gateway);
        if let Some(gateway) = gateway {
            self.send_after(&Header {
                gateway,
                remaining_us,
                ..Header::new(Kind::Extend, id)
            });
        }
    }

    fn not_taken(&self, error: NotTaken) -> RpcError {
        match error {
            NotTaken::Closed => self.disconnected(false),
            NotTaken::Full { limit } => RpcError::Overloaded {
                queue: format!("the table of calls to {}", self.wire.peer),
                limit: limit as u64,
            },
        }
    }

    fn not_sent(&self, error: SendError, method: &MethodInfo) -> RpcError {
        match error {
            SendError::Closed => self.disconnected(false),
            SendError::Full { limit } => RpcError::Overloaded {
                queue: format!("the outbox to {}", self.wire.peer),
                limit: limit as u64,
            },
            SendError::Put(PutError::Window { limit }) => RpcError::Overloaded {
                queue: format!("the window of {}", self.wire.peer),
                limit,
            },
            SendError::Put(error) => error.into_error(method.name, false),
        }
    }

    /// Says of a call that nothing is known of it.
    pub(super) fn lost(&self) -> RpcError {
        self.disconnected(true)
    }

    fn disconnected(&self, possibly_executed: bool) -> RpcError {
        RpcError::Disconnected {
            peer: self.wire.peer.clone(),
            possibly_executed,
        }
    }
}

impl Pending {
    pub(super) fn new(
        method: &'static MethodInfo,
        gateway: u32,
        reply: Arc<dyn ReplySink>,
        again: Option<Box<Parked>>,
    ) -> Self {
        Self {
            method,
            gateway,
            reply,
            again,
        }
    }
}

impl NotSent {
    fn into_error(self, connection: &OutgoingConnection) -> RpcError {
        match self {
            Self::Closed(_) => connection.disconnected(false),
            Self::Refused(error) => error,
        }
    }
}

static RESOLVE: MethodInfo = MethodInfo::internal("resolve", CallTimeout::Never);
