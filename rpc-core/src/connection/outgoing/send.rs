//! What is sent to the callee, and by which lane.

use serde::Serialize;

use super::{NotSent, OutgoingConnection, Pending};
use crate::connection::calls::NotTaken;
use crate::connection::outbox::SendError;
use crate::error::RpcError;
use crate::frame::{FrameBuffer, Header, Kind, PutError};
use crate::method::MethodInfo;
use crate::mutant::{self, Mutant};
use crate::unfinished::Unfinished;

impl OutgoingConnection {
    /// Sends a request; its reply gets the answer. Returns the call's id.
    pub(in crate::connection) fn request<A: Serialize>(
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
    pub(in crate::connection) fn request_encoded(
        &self,
        header: Header,
        body: &[u8],
        pending: Pending,
    ) -> Result<u64, NotSent> {
        self.send_call(header, pending, true, |out, header| {
            out.put_encoded(header, body, self.frame_bytes_max)
        })
    }

    pub(super) fn send_call(
        &self,
        mut header: Header,
        pending: Pending,
        spends: bool,
        put: impl Fn(&mut FrameBuffer, &Header) -> Result<usize, PutError>,
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
        let take = || {
            let mut calls = self.calls.lock();
            calls.take(id)
        };
        let unfinished = Unfinished::new(|| drop(take()));
        let sent = self.send(alone, gateway, spends, |out| {
            self.spend(out, &header, spends, &put)
        });
        unfinished.done();
        let Err(error) = sent else { return Ok(id) };
        match (take(), error) {
            (Some(pending), SendError::Closed) => Err(NotSent::Closed(pending.again)),
            (Some(_), error) => Err(NotSent::Refused(self.not_sent(error, method))),
            // It was answered by whoever closed the connection meanwhile.
            (None, _) => Ok(id),
        }
    }

    pub(in crate::connection) fn tell<A: Serialize>(
        &self,
        header: &Header,
        method: &MethodInfo,
        arguments: &A,
    ) -> Result<(), NotSent> {
        let sent = self.send(false, header.gateway, true, |out| {
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
        spends: bool,
        put: impl Fn(&mut FrameBuffer) -> Result<usize, PutError>,
    ) -> Result<usize, SendError> {
        let (mut by_bulk, mut is_retired) = (None, false);
        // Which lane it goes by is decided while nobody else puts anything on the main lane.
        let by_main = |out: &mut FrameBuffer| {
            is_retired = spends && self.is_retired();
            if is_retired {
                return Ok(0);
            }
            if self.is_moved(gateway) {
                by_bulk = Some(self.wire.send_bulk(&put));
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
        match is_retired {
            true => Err(SendError::Closed),
            false => by_bulk.unwrap_or(sent),
        }
    }

    /// As [`send`](Self::send), of a frame without a body, which is lost only with the connection.
    pub(super) fn send_after(&self, by_bulk: bool, header: &Header) {
        match by_bulk {
            true => self.wire.send_bulk_empty(header),
            false => self.wire.main.send_empty(header),
        }
    }

    /// Tells whether the request of a call that is under way may have gone by the bulk lane. The caller
    /// has locked the calls, whose gateway may be released just now.
    fn went_by_bulk(&self, call: &Pending) -> bool {
        call.by_bulk || self.is_moved(call.gateway)
    }

    /// Tells whether a gateway's requests go by the bulk lane.
    pub(super) fn is_moved(&self, gateway: u32) -> bool {
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
    pub(in crate::connection) fn cancel(&self, id: u64) {
        let (call, by_bulk) = {
            let mut calls = self.calls.lock();
            let call = calls.take(id);
            let by_bulk = call.as_ref().is_some_and(|it| self.went_by_bulk(it));
            (call, by_bulk)
        };
        if let Some(call) = call.filter(|_| !mutant::is(Mutant::CancelNotSent)) {
            let cancel = Header {
                gateway: call.gateway,
                ..Header::new(Kind::Cancel, id)
            };
            self.send_after(by_bulk, &cancel);
        }
    }

    /// Tells the callee how long the caller waits from now on.
    pub(in crate::connection) fn extend(&self, id: u64, remaining_us: Option<u64>) {
        let call = {
            let calls = self.calls.lock();
            let call = calls.get(id);
            call.map(|it| (it.gateway, self.went_by_bulk(it)))
        };
        if let Some((gateway, by_bulk)) = call {
            let extend = Header {
                gateway,
                remaining_us,
                ..Header::new(Kind::Extend, id)
            };
            self.send_after(by_bulk, &extend);
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
}
