//! What a connection has on either side: who is there, what is written to it, and what it costs.
//!
//! A connection has one stream, its main lane, and from the first large message on another, the bulk
//! lane, so that nothing small waits behind something large. What goes by the one may overtake what
//! goes by the other. Answers may; a gateway's requests may not: from its first large one on all of
//! them go by the bulk lane, and none of those is heeded before the main lane has said so.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::io::AsyncWrite;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::beside::beside;
use super::liveness::{Liveness, Lost, Progress, Verdict};
use super::outbox::{Due, Outbox, SendError, Urgency};
use super::{Heard, ReadError};
use crate::config::RpcConfig;
use crate::diagnostics::ConnectionDiagnostics;
use crate::frame::{FrameBuffer, Header, Kind, PutError};
use crate::metering::{ConnectionMeter, Direction};
use crate::mutant::{self, Mutant};
use crate::turn;

/// One side's end of a connection.
pub(super) struct Wire {
    pub(super) peer: String,
    pub(super) main: Lane,
    /// There is none until something large was to be sent.
    bulk: OnceLock<Lane>,
    /// How large that is.
    bulk_bytes_min: usize,
    /// A bulk lane was asked for.
    wanted: AtomicBool,
    /// Something has become of the bulk lane, which is wanted, has read something or is over, or of the
    /// connection, which is closed.
    changed: Notify,
    opened: Instant,
    direction: Direction,
    /// `None` if nobody records metrics.
    meter: Option<ConnectionMeter>,
}

/// One of a connection's streams.
pub(super) struct Lane {
    pub(super) outbox: Arc<Outbox>,
    pub(super) heard: Heard,
    /// How many of the frames that were heard have been heeded.
    heeded: AtomicU64,
    /// Nothing is read from it or written to it any more.
    over: AtomicBool,
}

impl Lane {
    fn new(
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        limit: usize,
        small: Option<Arc<Outbox>>,
    ) -> Self {
        Self {
            outbox: Arc::new(Outbox::new(writer, limit, small)),
            heard: Heard::default(),
            heeded: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// Sends a frame without a body, which is lost only with the connection: then nobody needs it.
    pub(super) fn send_empty(&self, header: &Header) {
        self.outbox.send_empty(Urgency::Now, header);
    }

    fn progress(&self) -> Progress {
        self.heard.progress(&self.outbox)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

impl Wire {
    pub(super) fn new(
        direction: Direction,
        peer: String,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        config: &RpcConfig,
    ) -> Self {
        Self {
            peer,
            main: Lane::new(writer, config.outbox_bytes_max, None),
            bulk: OnceLock::new(),
            // What has no bytes went by the bulk lane already.
            bulk_bytes_min: config.bulk_bytes_min.max(1),
            wanted: AtomicBool::new(false),
            changed: Notify::new(),
            opened: Instant::now(),
            direction,
            meter: ConnectionMeter::new(direction, config),
        }
    }

    pub(super) const fn opened(&self) -> Instant {
        self.opened
    }

    /// Sends what `put` appends. Who is `alone` writes it now, since there is nothing to wait for; in a
    /// turn it is written when that ends.
    ///
    /// If it is large, it goes by the bulk lane, and `moved` may append to the main lane what has to be
    /// said of that.
    pub(super) fn send(
        &self,
        alone: bool,
        put: impl FnOnce(&mut FrameBuffer) -> Result<usize, PutError>,
        moved: impl FnOnce(&mut FrameBuffer),
    ) -> Result<usize, SendError> {
        let urgency = match alone {
            _ if turn::is_taken() => Urgency::Owed,
            true => Urgency::Now,
            false => Urgency::Soon,
        };
        let (size, due) = self.main.outbox.send(urgency, |out| {
            let mark = out.mark();
            let size = put(out)?;
            // Nothing was put if it went by the bulk lane.
            if (1..self.bulk_bytes_min).contains(&size) {
                self.main.outbox.count_message();
            }
            if size >= self.bulk_bytes_min {
                match self.bulk.get() {
                    Some(bulk) if bulk.outbox.take_over(out, mark) => moved(out),
                    Some(_) => {}
                    None => self.want_bulk(),
                }
            }
            Ok(size)
        })?;
        if due == Due::Flush {
            turn::owe(Arc::clone(&self.main.outbox) as _);
        }
        Ok(size)
    }

    /// Sends by the bulk lane what `put` appends, however small it is.
    pub(super) fn send_bulk(
        &self,
        put: impl FnOnce(&mut FrameBuffer) -> Result<usize, PutError>,
    ) -> Result<usize, SendError> {
        let bulk = self.bulk.get().ok_or(SendError::Closed)?;
        let (size, _) = bulk.outbox.send(Urgency::Left, put)?;
        Ok(size)
    }

    /// As [`send_bulk`](Self::send_bulk), of a frame without a body.
    pub(super) fn send_bulk_empty(&self, header: &Header) {
        if let Some(bulk) = self.bulk.get() {
            bulk.outbox.send_empty(Urgency::Left, header);
        }
    }

    pub(super) fn has_bulk(&self) -> bool {
        self.bulk.get().is_some()
    }

    /// Says that there is something large to send.
    pub(super) fn want_bulk(&self) {
        if !self.wanted.swap(true, Ordering::AcqRel) {
            self.changed.notify_waiters();
        }
    }

    /// Waits until a bulk lane is wanted, or will not be any more.
    pub(super) async fn bulk_wanted(&self) {
        self.until(|| self.wanted.load(Ordering::Acquire) || self.main.outbox.is_closed())
            .await;
    }

    /// Returns what says, when it is dropped, that the bulk lane is over.
    pub(super) const fn over_when_dropped<'a>(&'a self, bulk: &'a Lane) -> Over<'a> {
        Over { wire: self, bulk }
    }

    /// Adds a bulk lane, which has to be [run](Self::run_bulk); `None` if there is one.
    pub(super) fn add_bulk(
        &self,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        config: &RpcConfig,
    ) -> Option<&Lane> {
        let small = Arc::clone(&self.main.outbox);
        let lane = Lane::new(writer, config.outbox_bytes_max, Some(small));
        self.bulk.set(lane).ok()?;
        self.bulk.get()
    }

    /// Runs the bulk lane until it ends on either side.
    pub(super) async fn run_bulk(
        &self,
        bulk: &Lane,
        read: impl Future<Output = Result<(), ReadError>> + Unpin,
        write: impl Future<Output = std::io::Result<()>>,
        liveness: Liveness,
    ) {
        let rest = Box::pin(async {
            tokio::select! {
                biased;
                write = write => write.map_err(ReadError::Io),
                over = self.watch(bulk, liveness, |_| false) => over.map_err(ReadError::Lost),
            }
        });
        if let Err(error) = beside(read, rest).await {
            tracing::debug!(peer = %self.peer, %error, "bulk lane lost");
        }
    }

    /// All that the bulk lane has heard is heeded.
    pub(super) fn bulk_heeded(&self, bulk: &Lane) {
        let frames = bulk.heard.frames.load(Ordering::Relaxed);
        bulk.heeded.store(frames, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Waits until so many frames in all of the bulk lane are heeded.
    pub(super) async fn bulk_has_heeded(&self, frames: u64) {
        self.until(|| {
            let bulk = self.bulk.get();
            bulk.is_none_or(|it| it.is_over() || it.heeded.load(Ordering::Acquire) >= frames)
        })
        .await;
    }

    /// Waits until the bulk lane, if there is one, has ended.
    pub(super) async fn bulk_over(&self) {
        self.until(|| self.bulk.get().is_none_or(Lane::is_over))
            .await;
    }

    /// Waits until the bulk lane is lost, which neither side has closed.
    pub(super) async fn bulk_lost(&self) -> ReadError {
        self.until(|| {
            let bulk = self.bulk.get();
            bulk.is_some_and(|it| it.is_over() && !self.main.outbox.is_closed())
        })
        .await;
        ReadError::Protocol("its bulk lane has ended")
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_so() {
                return;
            }
            changed.await;
        }
    }

    /// Takes no more frames; those that are queued are still written.
    pub(super) fn close(&self) {
        self.main.outbox.close();
        self.bulk.get().iter().for_each(|it| it.outbox.close());
        self.changed.notify_waiters();
    }

    /// Sends a last frame, by which the peer learns also how many the bulk lane has carried, and takes
    /// no more.
    pub(super) fn close_with(&self, kind: Kind) {
        let bulk = self.bulk.get();
        let carried = bulk.map_or(0, |it| it.outbox.close_after());
        self.main.send_empty(&Header::new(kind, carried));
        self.close();
    }

    /// Lets go of the streams, whoever still holds the connection. What is queued is lost.
    pub(super) fn discard(&self) {
        self.main.outbox.discard();
        if let Some(bulk) = self.bulk.get() {
            bulk.outbox.close();
            bulk.outbox.discard();
        }
        self.changed.notify_waiters();
    }

    /// Takes no more frames, if none waits to be written. Returns whether that is so.
    pub(super) fn close_if_idle(&self) -> bool {
        let bulk = self.bulk.get();
        let is_idle = bulk.is_none_or(|it| !it.progress().unwritten);
        let closes = is_idle && self.main.outbox.close_if_idle();
        if closes {
            self.close();
        }
        closes
    }

    /// Looks after a lane until the peer is lost, or `too_old` says so of the connection's age.
    pub(super) async fn watch(
        &self,
        lane: &Lane,
        mut liveness: Liveness,
        too_old: impl Fn(Duration) -> bool,
    ) -> Result<(), Lost> {
        loop {
            tokio::time::sleep(liveness.tick()).await;
            lane.outbox.remind();
            let (now, progress) = (Instant::now(), lane.progress());
            self.count();
            match liveness.look(now, progress) {
                Verdict::Fine => {}
                _ if mutant::is(Mutant::PingNotSent) => {}
                Verdict::Ping => lane.send_empty(&Header::new(Kind::Ping, 0)),
                Verdict::Lost(lost) => return Err(lost),
            }
            if too_old(now.saturating_duration_since(self.opened)) {
                return Ok(());
            }
        }
    }

    /// Counts what was carried last, and the connection no more.
    pub(super) fn ended(&self) {
        self.count();
        self.meter.iter().for_each(ConnectionMeter::closed);
    }

    fn count(&self) {
        if let Some(meter) = &self.meter {
            let mut carried = self.main.progress();
            if let Some(bulk) = self.bulk.get().map(Lane::progress) {
                carried.read += bulk.read;
                carried.written += bulk.written;
            }
            meter.carried(carried);
        }
    }

    /// Reports what the connection does, with so many calls under way.
    pub(super) fn report(&self, calls: usize) -> ConnectionDiagnostics {
        let bulk = self.bulk.get().map_or(0, |it| it.outbox.queued());
        ConnectionDiagnostics {
            peer: self.peer.clone(),
            direction: self.direction,
            calls: calls as u64,
            bytes_queued: (self.main.outbox.queued() + bulk) as u64,
            age: self.opened.elapsed(),
            bulk: self.has_bulk(),
        }
    }
}

/// Says that the bulk lane is over, also when its task is dropped.
#[must_use = "dropping it says so at once"]
pub(super) struct Over<'a> {
    wire: &'a Wire,
    bulk: &'a Lane,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.bulk.outbox.discard();
        self.bulk.over.store(true, Ordering::Release);
        self.wire.changed.notify_waiters();
    }
}

/// How much a bulk lane reads before other tasks have their turn: small calls are read in between.
pub(super) const BULK_READ_BYTES: usize = 128 << 10;
