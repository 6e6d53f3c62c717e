//! A connection that this service opened, and the calls that are under way on it.

mod read;
mod resolve;
mod send;

pub(crate) use self::resolve::Claim;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::beside::beside;
use super::calls::CallTable;
use super::credit::Credit;
use super::lanes::{BULK_READ_BYTES, Wire};
use super::liveness::{Liveness, Lost};
use super::outbox::Urgency;
use super::remote::{Parked, RemoteGateway};
use super::reply::ReplySink;
use super::{FrameReader, ReadError, Welcome, together};
use crate::config::RpcConfig;
use crate::diagnostics::ConnectionDiagnostics;
use crate::error::RpcError;
use crate::frame::{FrameBuffer, Header, Kind};
use crate::metering::Direction;
use crate::method::MethodInfo;
use crate::mutant::{self, Mutant};
use crate::transport::{Driver, Stream};

/// The calling side of a connection.
pub(crate) struct OutgoingConnection {
    wire: Wire,
    /// The peer's own id, new with each start of the peer.
    service: u128,
    calls: Mutex<CallTable<Pending>>,
    credit: Credit,
    gateways: Mutex<Gateways>,
    /// Those whose requests go by the bulk lane.
    moved: Mutex<BTreeSet<u32>>,
    /// What the peer takes at most.
    frame_bytes_max: usize,
    age_max: Option<Duration>,
    /// It is old, and takes no more calls and messages. Only set while nobody else puts anything on the
    /// main lane.
    retired: AtomicBool,
    /// How many lanes have not said yet that the callee has heeded all that went before that.
    unheeded: AtomicUsize,
    /// The callee has heeded it, or the connection has ended.
    heeded: Notify,
}

/// The gateways that speak through a connection.
#[derive(Default)]
struct Gateways {
    by_number: BTreeMap<u32, Weak<RemoteGateway>>,
    /// Numbers of which the callee says that their endpoints have ended, and that no gateway has yet,
    /// the latest last.
    gone: VecDeque<u32>,
    /// How the connection ended: nobody hears of it any more.
    ended: Option<End>,
}

/// A call that waits for its answer.
pub(super) struct Pending {
    method: &'static MethodInfo,
    gateway: u32,
    /// Its request went by the bulk lane, and its gateway was released.
    by_bulk: bool,
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
    /// It was old, and all went by another.
    Aged,
    /// The peer's service ends, and says so.
    Goodbye,
    Lost,
}

/// What a gateway finds on a connection.
pub(super) struct Registered {
    /// How the connection ended, if it has: the gateway hears nothing of it.
    pub(super) ended: Option<End>,
    /// The endpoint has ended already.
    pub(super) gone: bool,
}

impl OutgoingConnection {
    /// Takes over the writing half of a stream whose handshake is done; the other half is to be
    /// [driven](Self::drive).
    pub(crate) fn new(
        peer: String,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        welcome: &Welcome,
        config: &RpcConfig,
    ) -> Arc<Self> {
        let calls_max = config.calls_max.min(welcome.calls_max as usize);
        Arc::new(Self {
            wire: Wire::new(Direction::Outgoing, peer, writer, config),
            service: welcome.service,
            calls: Mutex::new(CallTable::new(calls_max)),
            credit: Credit::new(welcome.window_bytes),
            gateways: Mutex::default(),
            moved: Mutex::default(),
            frame_bytes_max: (welcome.frame_bytes_max as usize).min(config.frame_bytes_max),
            age_max: config.connection_age_max,
            retired: AtomicBool::new(false),
            unheeded: AtomicUsize::new(0),
            heeded: Notify::new(),
        })
    }

    pub(crate) const fn service(&self) -> u128 {
        self.service
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.calls.lock().is_closed()
    }

    /// Tells whether it is old: later calls and messages go by another, once the callee has
    /// [heeded](Self::until_heeded) all that went by this one.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Waits until the callee has heeded all that went by an old connection, which nothing can overtake
    /// then. Returns whether that is so: the connection may have ended before.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub(crate) async fn until_heeded(&self) -> bool {
        loop {
            let heeded = self.heeded.notified();
            if self.unheeded.load(Ordering::Acquire) == 0 {
                return true;
            }
            if self.is_closed() {
                return false;
            }
            heeded.await;
        }
    }

    pub(crate) const fn opened(&self) -> Instant {
        self.wire.opened()
    }

    /// Fails all calls, and closes the stream.
    pub(crate) fn close(&self) {
        self.end(End::Lost);
    }

    fn end(&self, end: End) {
        let end = match end {
            End::Lost if self.is_retired() => End::Aged,
            end => end,
        };
        let pending = self.calls.lock().close();
        self.heeded.notify_waiters();
        self.wire.close();
        self.wire.ended();
        let gateways = {
            let mut gateways = self.gateways.lock();
            gateways.ended.get_or_insert(end);
            mem::take(&mut gateways.by_number)
        };
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

    /// Reads what the peer says and writes what is left to it, until the connection ends. Meanwhile it
    /// does `widening`, and runs the driver that it is lent once it is polled: before, nobody would.
    pub(crate) fn drive<W: Future<Output = ()>, D: FnOnce() -> Option<Driver>>(
        self: Arc<Self>,
        lend_driver: D,
        reader: Box<dyn AsyncRead + Send + Unpin>,
        config: &RpcConfig,
        widening: W,
    ) -> impl Future<Output = ()> + use<W, D> {
        let limit = config.frame_bytes_max;
        let liveness = Liveness::new(config, Instant::now());
        // Apart from what each read needs.
        let rest = Box::pin(Arc::clone(&self).rest(liveness, widening));
        let mut ending = Ending {
            connection: self,
            end: End::Lost,
        };
        async move {
            let work = pin!(async {
                let Ending { connection, end } = &mut ending;
                let ended = {
                    let heard = &connection.wire.main.heard;
                    let mut frames = FrameReader::new(reader, limit, usize::MAX, heard);
                    let read = pin!(connection.read(&mut frames));
                    beside(read, rest).await
                };
                match ended {
                    Ok(ended) => *end = ended,
                    Err(error) => {
                        tracing::debug!(peer = %connection.wire.peer, %error, "connection lost");
                    }
                }
                drop(ending);
            });
            together(lend_driver(), work).await;
        }
    }

    /// Does what there is to do besides reading.
    async fn rest(
        self: Arc<Self>,
        liveness: Liveness,
        widening: impl Future<Output = ()>,
    ) -> Result<End, ReadError> {
        let widening = async {
            widening.await;
            pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            write = self.write() => write.map(|()| End::Lost).map_err(ReadError::Io),
            lost = self.watch(liveness) => Err(ReadError::Lost(lost)),
            error = self.wire.bulk_lost() => Err(error),
            never = widening => match never {},
        }
    }

    /// Writes what there is to write, until there will be no more.
    async fn write(&self) -> io::Result<()> {
        self.wire.main.outbox.drive().await?;
        self.wire.bulk_over().await;
        if self.is_retired() {
            // What was written last may be on its way yet. The peer ends the stream when it has read it.
            tokio::time::sleep(RETIRED_MAX).await;
        }
        Ok(())
    }

    /// Looks after the stream until the peer is lost, or the connection is so old that it goes.
    async fn watch(&self, liveness: Liveness) -> Lost {
        let main = &self.wire.main;
        match self
            .wire
            .watch(main, liveness, |age| self.retire(age))
            .await
        {
            Ok(()) => pending().await,
            Err(lost) => lost,
        }
    }

    /// Waits until there is something large to send, or the connection has ended. Tells whether a bulk
    /// lane is to be opened.
    pub(crate) async fn wants_bulk(&self) -> bool {
        self.wire.bulk_wanted().await;
        !self.wire.main.outbox.is_closed()
    }

    /// Takes over a further stream, whose handshake is done, and runs it until it or the connection
    /// ends.
    pub(crate) async fn run_bulk(&self, stream: Stream, config: &RpcConfig) {
        let Some(bulk) = self.wire.add_bulk(stream.writer, config) else {
            return;
        };
        if self.wire.main.outbox.is_closed() {
            // Whoever closed it did not see the lane.
            bulk.outbox.close();
        }
        let limit = config.frame_bytes_max;
        let _over = self.wire.over_when_dropped(bulk);
        let mut frames = FrameReader::new(stream.reader, limit, BULK_READ_BYTES, &bulk.heard);
        let liveness = Liveness::new(config, Instant::now());
        let read = pin!(self.read_bulk(bulk, &mut frames));
        let write = bulk.outbox.drive();
        self.wire.run_bulk(bulk, read, write, liveness).await;
    }

    pub(crate) fn report(&self) -> ConnectionDiagnostics {
        let calls = self.calls.lock().len();
        self.wire.report(calls)
    }

    /// Retires the connection if it is old, and ends it when its calls are answered. Returns whether it
    /// ends.
    fn retire(&self, age: Duration) -> bool {
        let Some(age_max) = self.age_max.filter(|it| age >= *it) else {
            return false;
        };
        if !self.is_retired() {
            self.begin_to_retire();
        }
        let is_over = self.unheeded.load(Ordering::Acquire) == 0
            && self.calls.lock().len() == 0
            && self.wire.close_if_idle();
        if !is_over && age >= age_max.saturating_mul(2) {
            self.wire.close();
            return true;
        }
        is_over
    }

    /// Lets later calls and messages go by another connection. Each lane is asked whether what went by
    /// it was heeded: those may not overtake it.
    fn begin_to_retire(&self) {
        let asked = Header::new(Kind::Ping, HEEDED);
        let put = |out: &mut FrameBuffer| {
            let lanes = 1 + usize::from(self.wire.has_bulk());
            self.unheeded.store(lanes, Ordering::Release);
            self.retired.store(true, Ordering::Release);
            out.put_empty(&asked);
            self.wire.send_bulk_empty(&asked);
            Ok(())
        };
        // If there is no room for it, it is tried again, unless the connection has ended.
        let _asked = self.wire.main.outbox.send(Urgency::Now, put);
    }

    /// A lane says that what went by it was heeded.
    fn heeded(&self) {
        let one_less = |lanes: usize| lanes.checked_sub(1);
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        if self.unheeded.fetch_update(success, failure, one_less) == Ok(1) {
            self.heeded.notify_waiters();
        }
    }

    /// Lets a gateway hear of this connection.
    pub(super) fn register(&self, number: u32, gateway: Weak<RemoteGateway>) -> Registered {
        let mut gateways = self.gateways.lock();
        let gone = gateways.take_gone(number);
        if gateways.ended.is_none() {
            gateways.by_number.insert(number, gateway);
        }
        Registered {
            ended: gateways.ended,
            gone,
        }
    }

    /// Gives a gateway's number back.
    pub(super) fn release(&self, number: u32) {
        {
            let mut gateways = self.gateways.lock();
            gateways.by_number.remove(&number);
            gateways.take_gone(number);
        }
        let release = Header {
            gateway: number,
            ..Header::new(Kind::Release, 0)
        };
        let is_moved = self.is_moved(number);
        self.send_after(is_moved, &release);
        if is_moved {
            // Those of its calls that are under way may still be cancelled, and that goes behind them.
            let mut calls = self.calls.lock();
            let of_it = calls.iter_mut().filter(|it| it.gateway == number);
            of_it.for_each(|it| it.by_bulk = true);
            drop(calls);
            self.moved.lock().remove(&number);
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

/// Ends a connection with its task, also if that panics or is dropped.
struct Ending {
    connection: Arc<OutgoingConnection>,
    end: End,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.connection.end(self.end);
        // Calls that are given up later hold the connection, and are not to hold its stream.
        self.connection.wire.discard();
    }
}

impl Gateways {
    /// Returns the gateway whose endpoint has ended; notes the number if no gateway has it yet.
    fn end(&mut self, number: u32) -> Option<Arc<RemoteGateway>> {
        if let Some(gateway) = self.by_number.get(&number) {
            return gateway.upgrade();
        }
        if self.gone.len() >= GONE_MAX {
            self.gone.pop_front();
        }
        self.gone.push_back(number);
        None
    }

    fn take_gone(&mut self, number: u32) -> bool {
        let place = self.gone.iter().position(|it| *it == number);
        place.and_then(|it| self.gone.remove(it)).is_some()
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
            by_bulk: false,
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

/// The number of a ping that asks whether what went before it was heeded.
const HEEDED: u64 = 1;
/// How long a connection that takes no more waits for its peer to end it.
const RETIRED_MAX: Duration = Duration::from_secs(1);
/// More numbers than can be on their way to be registered: most others are of gateways that were just
/// released.
const GONE_MAX: usize = 1 << 12;

#[cfg(test)]
mod tests {
    use super::{GONE_MAX, Gateways};

    #[test]
    fn of_ends_that_nobody_asked_for_the_latest_are_known() {
        let mut gateways = Gateways::default();
        for number in 0..100_000 {
            assert!(gateways.end(number).is_none());
        }
        assert_eq!(gateways.gone.len(), GONE_MAX);
        assert!(gateways.take_gone(99_999) && !gateways.take_gone(99_999));
        assert!(!gateways.take_gone(1));
    }
}
