//! What the caller says, by either lane.

use std::sync::Arc;

use tokio::io::AsyncRead;

use super::IncomingConnection;
use crate::connection::lanes::Lane;
use crate::connection::{FrameReader, ReadError, heed_caught};
use crate::frame::{Header, Kind};
use crate::moment::Moment;
use crate::turn;

impl IncomingConnection {
    pub(super) async fn read(
        self: &Arc<Self>,
        frames: &mut FrameReader<'_, impl AsyncRead + Unpin>,
    ) -> Result<(), ReadError> {
        while frames.read().await? {
            // One look at the clock for all that came together.
            let now = Moment::now();
            turn::take_short(now, || self.heed_all(frames, now))?;
        }
        Ok(())
    }

    /// Does what the frames of one read say.
    fn heed_all(
        self: &Arc<Self>,
        frames: &mut FrameReader<'_, impl AsyncRead + Unpin>,
        now: Moment,
    ) -> Result<(), ReadError> {
        heed_caught(|| {
            let mut session = self.session.lock();
            while let Some(frame) = frames.next()? {
                session.heed(self, &self.wire.main, frame, now)?;
            }
            Ok(())
        })
    }

    pub(super) async fn read_bulk(
        self: &Arc<Self>,
        bulk: &Lane,
        frames: &mut FrameReader<'_, impl AsyncRead + Unpin>,
    ) -> Result<(), ReadError> {
        while frames.read().await? {
            while let Some(frame) = frames.next()? {
                self.reach(bulk, &frame.header).await?;
                let (now, mut frame) = (Moment::now(), Some(frame));
                turn::take_short(now, || {
                    heed_caught(|| match frame.take() {
                        Some(frame) => {
                            let mut session = self.session.lock();
                            session.heed(self, bulk, frame, now)
                        }
                        None => Ok(()),
                    })
                })?;
            }
            if frames.take_turn_over() {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Waits until the main lane has said that a gateway's frames come by the bulk lane.
    async fn reach(&self, bulk: &Lane, header: &Header) -> Result<(), ReadError> {
        match header.kind {
            Kind::Request | Kind::OneWay | Kind::Cancel | Kind::Extend | Kind::Release => {}
            Kind::Ping | Kind::Pong => return Ok(()),
            _ => return Err(ReadError::Protocol("what has no place in a bulk lane")),
        }
        loop {
            // It is kept for one who comes to wait for it: there is no other.
            let moved = self.session.lock().has_moved(header.gateway);
            match (moved, header.kind) {
                (Ok(true), _) => return Ok(()),
                // Its gateway was released; the call may still be under way.
                (Err(_), Kind::Cancel | Kind::Extend) => return Ok(()),
                (Err(error), _) => return Err(error),
                (Ok(false), _) => {}
            }
            let _held_up = bulk.heard.hold_up();
            self.said.notified().await;
        }
    }
}
