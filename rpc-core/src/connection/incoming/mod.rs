//! A connection that a peer opened.

mod call;
mod session;
mod watchers;

pub use self::call::IncomingCall;
pub(crate) use self::watchers::{Watcher, Watchers};

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use self::session::Session;
use super::credit::Debt;
use super::liveness::Liveness;
use super::outbox::SendError;
use super::wire::Wire;
use super::{Directory, FrameReader, ReadError};
use crate::config::RpcConfig;
use crate::diagnostics::ConnectionDiagnostics;
use crate::error::RpcResult;
use crate::frame::{Header, Kind};
use crate::gateway::Message;
use crate::metering::{Direction, ResponseMeter};
use crate::mutant::{self, Mutant};

/// The called side of a connection.
pub(crate) struct IncomingConnection {
    id: u64,
    wire: Wire,
    /// What the peer may do, by its certificate; `None` if everybody may do everything.
    roles: Option<Vec<String>>,
    calls: Mutex<Calls>,
    /// There is an earlier deadline than those that are waited for.
    sooner: Notify,
    /// Whether nothing more of the peer is heeded; it is locked while a message is handed on.
    cut: Mutex<bool>,
    debt: Debt,
    /// How many bytes of requests the calls hold that are under way.
    held: AtomicU64,
    /// Whether goodbye was said.
    leaving: AtomicBool,
    limits: Limits,
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
#[derive(Default)]
struct Calls {
    by_id: HashMap<u64, Arc<IncomingCall>>,
    /// No call has an earlier deadline than this.
    earliest: Option<Instant>,
}

/// A message's share of the connection's window, until the message is handled.
#[must_use = "dropping it gives the share back"]
pub(crate) struct Charge {
    connection: Arc<IncomingConnection>,
    bytes: u32,
}

impl IncomingConnection {
    /// Takes over a stream whose handshake is done, save its reading half.
    pub(crate) fn new(
        peer: String,
        roles: Option<Vec<String>>,
        writer: Box<dyn tokio::io::AsyncWrite + Send + Unpin>,
        peer_frame_bytes_max: u32,
        config: &RpcConfig,
    ) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            wire: Wire::new(Direction::Incoming, peer, writer, config),
            roles,
            calls: Mutex::default(),
            sooner: Notify::new(),
            cut: Mutex::new(false),
            debt: Debt::new(config.window_bytes, config.frame_bytes_max),
            held: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            limits: Limits {
                calls: config.calls_max,
                held: config.calls_bytes_max as u64,
                frame_in: config.frame_bytes_max,
                frame_out: (peer_frame_bytes_max as usize).min(config.frame_bytes_max),
                gateways: config.gateways_max,
                age: config.connection_age_max.map(|age| age * 2),
            },
        })
    }

    /// Serves the calls of the peer until it goes away.
    pub(crate) async fn serve(
        self: Arc<Self>,
        reader: impl AsyncRead + Unpin,
        directory: impl Directory,
        config: &RpcConfig,
    ) {
        let liveness = Liveness::new(config, Instant::now());
        let mut session = Session::new(&self, directory);
        let frames = FrameReader::new(reader, self.limits.frame_in, &self.wire.heard);
        let ended = tokio::select! {
            biased;
            read = session.read(frames) => read,
            write = self.write() => write.map_err(ReadError::Io),
            over = self.wire.watch(liveness, |age| self.is_too_old(age)) => Err(match over {
                Ok(()) => ReadError::Protocol("it keeps a connection that is too old"),
                Err(lost) => ReadError::Lost(lost),
            }),
            () = self.expire() => Ok(()),
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %self.wire.peer, %error, "connection lost");
        }
        drop(session);
        self.close();
    }

    /// Writes what there is to write, until there will be no more.
    async fn write(&self) -> io::Result<()> {
        self.wire.outbox.drive().await?;
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
        while !*self.cut.lock() {
            let earliest = self.calls.lock().earliest;
            let Some(earliest) = earliest else {
                self.sooner.notified().await;
                continue;
            };
            let due = earliest.max(Instant::now() + TICK);
            tokio::select! {
                biased;
                () = self.sooner.notified() => {}
                () = tokio::time::sleep_until(due) => self.sweep(Instant::now()),
            }
        }
    }

    fn sweep(&self, now: Instant) {
        if mutant::is(Mutant::DeadlineNotSwept) {
            return;
        }
        let mut expired = Vec::new();
        {
            let mut calls = self.calls.lock();
            let mut earliest: Option<Instant> = None;
            calls.by_id.retain(|_, call| match call.deadline_at() {
                Some(at) if at <= now => {
                    expired.push(Arc::clone(call));
                    false
                }
                Some(at) => {
                    earliest = Some(earliest.map_or(at, |it| it.min(at)));
                    true
                }
                None => true,
            });
            calls.earliest = earliest;
        }
        expired.sort_by_key(|call| call.id());
        for call in expired {
            call.expire();
        }
    }

    /// Sees to it that a call ends in time. The caller holds the table.
    fn note_deadline(&self, calls: &mut Calls, deadline: Option<Instant>) {
        if let Some(deadline) = deadline
            && calls.earliest.is_none_or(|it| deadline < it)
        {
            calls.earliest = Some(deadline);
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
        self.wire.send_empty(&Header::new(Kind::Goodbye, 0));
        self.wire.outbox.close();
    }

    /// Cuts the peer off, which hears nothing more, and of which nothing more is heeded.
    pub(crate) fn discard(&self) {
        *self.cut.lock() = true;
        self.wire.outbox.discard();
        self.sooner.notify_one();
    }

    pub(crate) fn report(&self) -> ConnectionDiagnostics {
        let calls = self.calls.lock().by_id.len();
        self.wire.report(calls)
    }

    /// The peer has gone: nobody waits for its calls any more.
    fn close(&self) {
        self.wire.ended();
        // A handler may hold a call, and so this, for long; the peer's stream is not held with it.
        self.wire.outbox.discard();
        let calls = std::mem::take(&mut self.calls.lock().by_id);
        let mut calls: Vec<_> = calls.into_values().collect();
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
        result: RpcResult<T, E>,
    ) {
        let sent = match &result {
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
                return self.wire.outbox.close();
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
        self.wire
            .send(alone, |out| out.put(&header, body, self.limits.frame_out))
    }

    /// Tells the peer that the endpoint behind a gateway has ended.
    fn gone(&self, gateway: u32) {
        self.wire.send_empty(&Header {
            gateway,
            ..Header::new(Kind::Gone, 0)
        });
    }
}

impl Charge {
    fn new(connection: &Arc<IncomingConnection>, bytes: usize) -> Self {
        Self {
            connection: Arc::clone(connection),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Returns who sent the message.
    pub(crate) fn peer(&self) -> &str {
        &self.connection.wire.peer
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(total) = self.connection.debt.handle(self.bytes())
            && !mutant::is(Mutant::CreditNotReturned)
        {
            self.connection
                .wire
                .send_empty(&Header::new(Kind::Credit, total));
        }
    }
}

/// How much too late a call's time may be over: rarely enough that a sweep costs nothing.
const TICK: Duration = Duration::from_millis(5);
