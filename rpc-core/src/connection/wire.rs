//! What a connection has on either side: who is there, what is written to it, and what it costs.

use std::sync::Arc;

use tokio::io::AsyncWrite;
use tokio::time::{Duration, Instant};

use super::Heard;
use super::liveness::{Liveness, Lost, Verdict};
use super::outbox::{Due, Outbox, SendError, Urgency};
use crate::config::RpcConfig;
use crate::diagnostics::ConnectionDiagnostics;
use crate::frame::{FrameBuffer, Header, Kind, PutError};
use crate::metering::{ConnectionMeter, Direction};
use crate::mutant::{self, Mutant};
use crate::turn;

/// One side's end of a connection.
pub(super) struct Wire {
    pub(super) peer: String,
    pub(super) outbox: Arc<Outbox>,
    pub(super) heard: Heard,
    opened: Instant,
    direction: Direction,
    /// `None` if nobody records metrics.
    meter: Option<ConnectionMeter>,
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
            outbox: Arc::new(Outbox::new(writer, config.outbox_bytes_max)),
            heard: Heard::default(),
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
    pub(super) fn send(
        &self,
        alone: bool,
        put: impl FnOnce(&mut FrameBuffer) -> Result<usize, PutError>,
    ) -> Result<usize, SendError> {
        let urgency = match alone {
            _ if turn::is_taken() => Urgency::Owed,
            true => Urgency::Now,
            false => Urgency::Soon,
        };
        let (size, due) = self.outbox.send(urgency, put)?;
        if due == Due::Flush {
            turn::owe(Arc::clone(&self.outbox) as _);
        }
        Ok(size)
    }

    /// Sends a frame without a body. It may be lost with the connection: then nobody needs it.
    pub(super) fn send_empty(&self, header: &Header) {
        let _written = self.outbox.send(Urgency::Now, |out| {
            out.put_empty(header);
            Ok(())
        });
    }

    /// Looks after the connection until the peer is lost, or `too_old` says so of its age.
    pub(super) async fn watch(
        &self,
        mut liveness: Liveness,
        too_old: impl Fn(Duration) -> bool,
    ) -> Result<(), Lost> {
        loop {
            tokio::time::sleep(liveness.tick()).await;
            self.outbox.remind();
            let (now, progress) = (Instant::now(), self.heard.progress(&self.outbox));
            self.meter.iter().for_each(|it| it.carried(progress));
            match liveness.look(now, progress) {
                Verdict::Fine => {}
                _ if mutant::is(Mutant::PingNotSent) => {}
                Verdict::Ping => self.send_empty(&Header::new(Kind::Ping, 0)),
                Verdict::Lost(lost) => return Err(lost),
            }
            if too_old(now.saturating_duration_since(self.opened)) {
                return Ok(());
            }
        }
    }

    /// Counts what was carried last, and the connection no more.
    pub(super) fn ended(&self) {
        if let Some(meter) = &self.meter {
            meter.carried(self.heard.progress(&self.outbox));
            meter.closed();
        }
    }

    /// Reports what the connection does, with so many calls under way.
    pub(super) fn report(&self, calls: usize) -> ConnectionDiagnostics {
        ConnectionDiagnostics {
            peer: self.peer.clone(),
            direction: self.direction,
            calls: calls as u64,
            bytes_queued: self.outbox.queued() as u64,
            age: self.opened.elapsed(),
        }
    }
}
