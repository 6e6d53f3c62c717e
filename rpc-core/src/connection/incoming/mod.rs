//! A connection that a peer opened.

mod call;
mod charge;
mod read;
mod session;
mod watchers;

pub use self::call::IncomingCall;
use self::call::{Asked, Spare};
pub(crate) use self::charge::{Charge, Charges};
pub(crate) use self::watchers::{Watcher, Watchers};

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use self::session::Session;
use super::beside::beside;
use super::credit::Debt;
use super::lanes::{BULK_READ_BYTES, Lane, Wire};
use super::liveness::Liveness;
use super::outbox::SendError;
use super::{Directory, FrameReader, ReadError};
use crate::config::RpcConfig;
use crate::diagnostics::ConnectionDiagnostics;
use crate::error::RpcError;
use crate::frame::{FrameBuffer, Header, Kind};
use crate::gateway::Message;
use crate::metering::{Direction, ResponseMeter};
use crate::moment::Moment;
use crate::mutant::{self, Mutant};
use crate::transport::Stream;

/// The called side of a connection.
pub(crate) struct IncomingConnection {
    id: u64,
    wire: Wire,
    /// What the peer may do, by its certificate; `None` if everybody may do everything.
    roles: Option<Vec<String>>,
    calls: Mutex<Calls>,
    /// There is an earlier deadline than those that are waited for.
    sooner: Notify,
    /// It is locked while a message is handed on.
    session: Mutex<Session>,
    /// The main lane has said something that the bulk lane waits for.
    said: Notify,
    debt: Debt,
    /// How many calls there are that somebody may answer yet, also such whose time is over, and how many
    /// bytes their requests have; only changed while the table is locked.
    alive: AtomicUsize,
    held: AtomicU64,
    /// Whether goodbye was said.
    leaving: AtomicBool,
    limits: Limits,
}

/// Closes a connection that is served no more.
struct End<'a>(&'a IncomingConnection);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Who opened a connection.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) roles: Option<Vec<String>>,
}

/// What of the configuration a connection needs.
struct Limits {
    calls: usize,
    held: u64,
    /// What this side takes at most.
    frame_in: usize,
    /// What the peer takes at most.
    frame_out: usize,
    gateways: usize,
    age: Option<Duration>,
}

/// The peer's calls that are not answered yet.
struct Calls {
    by_id: HashMap<u64, Arc<IncomingCall>>,
    /// Some that were answered, the latest last: their memory is used again.
    spare: VecDeque<Arc<IncomingCall>>,
    /// No call has an earlier deadline than this.
    earliest: Moment,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            by_id: HashMap::new(),
            spare: VecDeque::new(),
            earliest: Moment::NEVER,
        }
    }
}

impl IncomingConnection {
    /// Takes over a stream whose handshake is done, save its reading half.
    pub(crate) fn new(
        peer: Peer,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        peer_frame_bytes_max: u32,
        directory: impl Directory + 'static,
        config: &RpcConfig,
    ) -> Arc<Self> {
        let Peer { name, roles } = peer;
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            wire: Wire::new(Direction::Incoming, name, writer, config),
            roles,
            calls: Mutex::default(),
            sooner: Notify::new(),
            session: Mutex::new(Session::new(Box::new(directory))),
            said: Notify::new(),
            debt: Debt::new(config.window_bytes, config.frame_bytes_max),
            alive: AtomicUsize::new(0),
            held: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            limits: Limits {
                calls: config.calls_max,
                held: config.calls_bytes_max as u64,
                frame_in: config.frame_bytes_max,
                frame_out: (peer_frame_bytes_max as usize).min(config.frame_bytes_max),
                gateways: config.gateways_max,
                age: config.connection_age_max.map(|age| age.saturating_mul(2)),
            },
        })
    }

    /// Serves the calls of the peer until it goes away.
    pub(crate) fn serve<R: AsyncRead + Unpin>(
        self: Arc<Self>,
        reader: R,
        config: &RpcConfig,
    ) -> impl Future<Output = ()> + use<R> {
        let liveness = Liveness::new(config, Instant::now());
        // Apart from what each read needs.
        let rest = Box::pin(Arc::clone(&self).rest(liveness));
        async move {
            // Also if this is dropped: the calls hold the connection, and it the calls.
            let _end = End(&self);
            let (heard, limit) = (&self.wire.main.heard, self.limits.frame_in);
            let mut frames = FrameReader::new(reader, limit, usize::MAX, heard);
            if let Err(error) = beside(pin!(self.read(&mut frames)), rest).await {
                tracing::debug!(peer = %self.wire.peer, %error, "connection lost");
            }
        }
    }

    /// Does what there is to do besides reading.
    async fn rest(self: Arc<Self>, liveness: Liveness) -> Result<(), ReadError> {
        let main = &self.wire.main;
        tokio::select! {
            biased;
            write = self.write(main) => write.map_err(ReadError::Io),
            over = self.wire.watch(main, liveness, |age| self.is_too_old(age)) => Err(match over {
                Ok(()) => ReadError::Protocol("it keeps a connection that is too old"),
                Err(lost) => ReadError::Lost(lost),
            }),
            () = self.expire() => Ok(()),
            () = self.ask_for_bulk() => Ok(()),
            error = self.wire.bulk_lost() => Err(error),
        }
    }

    /// Serves what comes by a further stream, whose handshake is done, until it or the connection ends.
    pub(crate) async fn serve_bulk(self: Arc<Self>, stream: Stream, config: &RpcConfig) {
        let Some(bulk) = self.wire.add_bulk(stream.writer, config) else {
            tracing::debug!(peer = %self.wire.peer, "there is a bulk lane already");
            return;
        };
        if self.is_cut() || self.leaving.load(Ordering::Relaxed) {
            // Whoever closed the connection did not see the lane.
            bulk.outbox.close();
        }
        let limit = self.limits.frame_in;
        let _over = self.wire.over_when_dropped(bulk);
        let mut frames = FrameReader::new(stream.reader, limit, BULK_READ_BYTES, &bulk.heard);
        let liveness = Liveness::new(config, Instant::now());
        let read = pin!(self.read_bulk(bulk, &mut frames));
        let write = self.write(bulk);
        self.wire.run_bulk(bulk, read, write, liveness).await;
    }

    /// Asks the peer for a bulk lane as soon as there is something large to say.
    async fn ask_for_bulk(&self) {
        self.wire.bulk_wanted().await;
        if !self.wire.has_bulk() {
            self.wire.main.send_empty(&Header::new(Kind::Widen, 0));
        }
        std::future::pending().await
    }

    /// Writes what there is to write, until there will be no more.
    async fn write(&self, lane: &Lane) -> io::Result<()> {
        lane.outbox.drive().await?;
        if self.leaving.load(Ordering::Relaxed) {
            // What was written last may be on its way yet, and is lost if the stream ends before it
            // arrives. A peer that has heard goodbye ends the stream, and that is read.
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    /// A peer closes its own old connections, unless it means harm.
    fn is_too_old(&self, age: Duration) -> bool {
        self.limits.age.is_some_and(|limit| age >= limit)
    }

    /// Ends the calls whose time is over, whether their callers say so or not.
    async fn expire(&self) {
        while !self.is_cut() {
            let earliest = self.calls.lock().earliest;
            if earliest == Moment::NEVER {
                self.sooner.notified().await;
                continue;
            }
            let due = earliest.instant().max(Instant::now() + TICK);
            tokio::select! {
                biased;
                () = self.sooner.notified() => {}
                () = tokio::time::sleep_until(due) => self.sweep(Moment::now()),
            }
        }
    }

    fn sweep(&self, now: Moment) {
        if mutant::is(Mutant::DeadlineNotSwept) {
            return;
        }
        let mut expired = Vec::new();
        {
            let mut calls = self.calls.lock();
            let mut earliest = Moment::NEVER;
            calls.by_id.retain(|_, call| {
                let deadline = call.time().deadline();
                let is_over = deadline <= now;
                match is_over {
                    true => expired.push(Arc::clone(call)),
                    false => earliest = earliest.min(deadline),
                }
                !is_over
            });
            calls.earliest = earliest;
        }
        expired.sort_by_key(|call| call.id());
        for call in expired {
            call.expire();
        }
    }

    /// Tells whether the peer may make a call now, or send a message, which is counted already.
    fn admit(&self, method: &'static str, allowed: &[&str]) -> Result<(), RpcError> {
        if let Some(roles) = &self.roles
            && !roles.iter().any(|it| allowed.contains(&it.as_str()))
        {
            tracing::debug!(peer = %self.wire.peer, method, "call forbidden");
            return Err(RpcError::Forbidden {
                method: method.to_owned(),
                roles: roles.clone(),
            });
        }
        let (held, limit) = (&self.held, self.limits.held);
        if held.load(Ordering::Relaxed) > limit {
            return Err(RpcError::Overloaded {
                queue: String::from("what the connection's calls hold"),
                limit,
            });
        }
        let (alive, limit) = (&self.alive, self.limits.calls);
        if alive.load(Ordering::Relaxed) > limit {
            return Err(RpcError::Overloaded {
                queue: String::from("the connection's table of calls"),
                limit: limit as u64,
            });
        }
        Ok(())
    }

    /// Makes a call, and lists it.
    fn open_call(
        self: &Arc<Self>,
        asked: Asked<'_>,
        now: Moment,
    ) -> Result<Arc<IncomingCall>, ReadError> {
        let mut spare = Spare::default();
        let mut calls = self.calls.lock();
        let calls = &mut *calls;
        match calls.by_id.entry(asked.id) {
            Entry::Vacant(place) => {
                spare.call = calls.spare.pop_front();
                let (call, deadline) = IncomingCall::new(self, &mut spare, asked, now);
                place.insert(Arc::clone(&call));
                self.note_deadline(calls, deadline);
                Ok(call)
            }
            // The call that has the id stays in the table, to be abandoned with the others.
            Entry::Occupied(_) => Err(ReadError::Protocol("a call id that is in use")),
        }
    }

    /// Counts a call whose request has so many bytes. The caller holds the table.
    fn count_in(&self, bytes: u64) {
        let (alive, held) = self.counted();
        self.alive.store(alive + 1, Ordering::Relaxed);
        self.held.store(held + bytes, Ordering::Relaxed);
    }

    /// Counts it no more. The caller holds the table.
    fn count_out(&self, bytes: u64) {
        let (alive, held) = self.counted();
        self.alive.store(alive - 1, Ordering::Relaxed);
        self.held.store(held - bytes, Ordering::Relaxed);
    }

    fn counted(&self) -> (usize, u64) {
        let (alive, held) = (&self.alive, &self.held);
        (alive.load(Ordering::Relaxed), held.load(Ordering::Relaxed))
    }

    /// Sees to it that a call ends in time. The caller holds the table.
    fn note_deadline(&self, calls: &mut Calls, deadline: Moment) {
        if deadline < calls.earliest {
            calls.earliest = deadline;
            self.sooner.notify_one();
        }
    }

    fn cancel(&self, id: u64) {
        let call = self.calls.lock().by_id.get(&id).cloned();
        if let Some(call) = call.filter(|_| !mutant::is(Mutant::CancelIgnored)) {
            call.abandon();
        }
    }

    fn extend(&self, id: u64, remaining_us: Option<u64>) {
        let mut calls = self.calls.lock();
        let call = calls.by_id.get(&id).cloned();
        if let Some(call) = call.filter(|_| !mutant::is(Mutant::ExtendIgnored)) {
            let deadline = call.extend(remaining_us);
            self.note_deadline(&mut calls, deadline);
        }
    }

    /// Tells the peer that this service ends, and writes what is still to be written. The connection
    /// lasts until the peer ends it.
    pub(crate) fn say_goodbye(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.wire.close_with(Kind::Goodbye);
    }

    /// Cuts the peer off, which hears nothing more, and of which nothing more is heeded.
    pub(crate) fn discard(&self) {
        self.session.lock().cut();
        self.wire.discard();
        self.sooner.notify_one();
    }

    /// Tells whether the peer was cut off, or has gone.
    pub(crate) fn is_cut(&self) -> bool {
        self.session.lock().is_cut()
    }

    pub(crate) fn report(&self) -> ConnectionDiagnostics {
        let calls = self.calls.lock().by_id.len();
        self.wire.report(calls)
    }

    /// The peer has gone: nobody waits for its calls any more.
    fn close(&self) {
        self.wire.ended();
        // A handler may hold a call, and so this, for long; the peer's stream is not held with it.
        self.wire.discard();
        self.session.lock().end(self.id);
        let calls = std::mem::take(&mut *self.calls.lock());
        let mut calls: Vec<_> = calls.by_id.into_values().collect();
        calls.sort_by_key(|call| call.id());
        for call in calls {
            call.abandon();
        }
    }

    /// Sends a result, or why it cannot be sent. `alone` says that no other call is under way: then
    /// there is nothing to wait for.
    fn respond<T: Message, E: Message>(
        &self,
        (id, alone): (u64, bool),
        method: &str,
        meter: Option<&ResponseMeter>,
        result: Result<&T, &RpcError<E>>,
    ) {
        let sent = match result {
            Ok(value) => self.send_response(id, alone, false, value),
            Err(error) => self.send_response(id, alone, true, error),
        };
        let error = match sent {
            Ok(size) => return meter.into_iter().for_each(|it| it.sent(size)),
            Err(SendError::Closed) => return,
            Err(SendError::Put(error)) => {
                meter.into_iter().for_each(|it| it.refused(&error));
                error.into_error(method, true)
            }
            Err(SendError::Full { .. }) => {
                // The peer does not read its answers.
                tracing::warn!(peer = %self.wire.peer, "disconnecting a peer that does not read");
                return self.wire.close();
            }
        };
        // An error is small, and of types that can be encoded.
        let _size = self.send_response(id, alone, true, &error);
    }

    fn send_response<T: serde::Serialize>(
        &self,
        id: u64,
        alone: bool,
        error: bool,
        body: &T,
    ) -> Result<usize, SendError> {
        let mut header = Header::new(Kind::Response, id);
        header.error = error;
        let put = |out: &mut FrameBuffer| out.put(&header, body, self.limits.frame_out);
        self.wire.send(alone, put, |_| {})
    }

    /// So many bytes of messages are handled, or will not be: the peer may send as many more.
    fn give_back(&self, bytes: usize) {
        if bytes > 0
            && let Some(total) = self.debt.handle(bytes)
            && !mutant::is(Mutant::CreditNotReturned)
        {
            let credit = Header::new(Kind::Credit, total);
            self.wire.main.send_empty(&credit);
        }
    }

    /// Tells the peer that the endpoint behind a gateway has ended.
    fn gone(&self, gateway: u32) {
        self.wire.main.send_empty(&Header {
            gateway,
            ..Header::new(Kind::Gone, 0)
        });
    }
}

/// How much too late a call's time may be over: rarely enough that a sweep costs nothing.
const TICK: Duration = Duration::from_millis(5);
