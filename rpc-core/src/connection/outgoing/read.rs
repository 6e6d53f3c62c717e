//! What the callee says, by either lane.

use tokio::io::AsyncRead;

use super::{End, HEEDED, OutgoingConnection};
use crate::connection::lanes::Lane;
use crate::connection::{FrameReader, ReadError, heed_caught};
use crate::frame::{Frame, Header, Kind};
use crate::mutant::{self, Mutant};
use crate::turn;

/// The peer's service ends.
struct Goodbye {
    /// So many frames of the bulk lane come before that.
    bulk_frames: u64,
}

impl OutgoingConnection {
    pub(super) async fn read_bulk(
        &self,
        bulk: &Lane,
        frames: &mut FrameReader<'_, impl AsyncRead + Unpin>,
    ) -> Result<(), ReadError> {
        while frames.read().await? {
            turn::take(|| heed_caught(|| self.heed_bulk(bulk, frames)))?;
            self.wire.bulk_heeded(bulk);
            if frames.take_turn_over() {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn heed_bulk(
        &self,
        bulk: &Lane,
        frames: &mut FrameReader<'_, impl AsyncRead + Unpin>,
    ) -> Result<(), ReadError> {
        while let Some(frame) = frames.next()? {
            match frame.header.kind {
                Kind::Response | Kind::Ping | Kind::Pong => self.heed(bulk, &frame)?,
                _ => return Err(ReadError::Protocol("what has no place in a bulk lane")),
            };
        }
        Ok(())
    }

    pub(super) async fn read(
        &self,
        frames: &mut FrameReader<'_, impl AsyncRead + Unpin>,
    ) -> Result<End, ReadError> {
        while frames.read().await? {
            if let Some(goodbye) = turn::take(|| self.heed_all(frames))? {
                // Nothing more is said here; the bulk lane is watched by itself.
                let _held_up = self.wire.main.heard.hold_up();
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
        let goodbye = heed_caught(|| {
            while let Some(frame) = frames.next()? {
                answers += usize::from(frame.header.kind == Kind::Response);
                if let Some(goodbye) = self.heed(&self.wire.main, &frame)? {
                    return Ok(Some(goodbye));
                }
            }
            Ok(None)
        })?;
        if answers > 1 {
            self.wire.main.outbox.expect(answers);
        }
        Ok(goodbye)
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
            Kind::Pong if header.call == HEEDED => self.heeded(),
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

    fn gone(&self, number: u32) {
        let gateway = self.gateways.lock().end(number);
        if let Some(gateway) = gateway {
            gateway.stopped();
        }
    }
}
