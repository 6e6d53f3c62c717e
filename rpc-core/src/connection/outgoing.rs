//! Calls to another service.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use slab::Slab;
use tokio::io::AsyncRead;

use super::outbox::{Outbox, SendError, Urgency};
use super::{FrameReader, ReadError, Resolve, Resolved, Welcome};
use crate::call::{Call, Time};
use crate::codec;
use crate::config::RpcConfig;
use crate::error::{AppError, RpcError};
use crate::fencing::FencingToken;
use crate::frame::{self, Frame, Header, Kind, PutError};
use crate::gateway::Message;
use crate::method::{CallTimeout, MethodInfo};
use crate::reply_slot::ReplySlot;
use crate::transport::Stream;

/// A connection that this service opened, with the calls that are under way on it.
pub(crate) struct OutgoingConnection {
    peer: String,
    /// The peer's own id, new with each start of the peer.
    service: u128,
    outbox: Outbox,
    calls: Mutex<CallTable>,
    /// What the peer takes at most.
    frame_bytes_max: usize,
}

/// The calls that wait for an answer. A slot that is used again gets another generation, so that a
/// late answer never meets the wrong call.
#[derive(Default)]
struct CallTable {
    calls: Slab<Pending>,
    generation: u32,
    closed: bool,
}

struct Pending {
    generation: u32,
    method: &'static MethodInfo,
    reply: Arc<dyn ReplySink>,
}

/// Where an answer goes, whatever its type.
trait ReplySink: Send + Sync {
    fn complete(&self, method: &MethodInfo, error: bool, body: &[u8]);
    fn fail(&self, error: RpcError);
}

impl<T: Message, E: Message> ReplySink for ReplySlot<T, E> {
    fn complete(&self, method: &MethodInfo, error: bool, body: &[u8]) {
        let result = match error {
            false => codec::decode(body).map(Ok),
            true => codec::decode(body).map(Err),
        };
        self.fill(result.unwrap_or_else(|error| {
            Err(RpcError::Codec {
                method: format!("the response of {}", method.name),
                detail: error.to_string(),
            })
        }));
    }

    fn fail(&self, error: RpcError) {
        self.fill(Err(error.widen()));
    }
}

impl OutgoingConnection {
    /// Takes over a stream whose handshake is done; the second value has to be run.
    pub(crate) fn new(
        peer: String,
        stream: Stream,
        welcome: &Welcome,
        config: &RpcConfig,
    ) -> (Arc<Self>, impl Future<Output = ()> + use<>) {
        let connection = Arc::new(Self {
            peer,
            service: welcome.service,
            outbox: Outbox::new(stream.writer, config.outbox_bytes_max),
            calls: Mutex::default(),
            frame_bytes_max: (welcome.frame_bytes_max as usize).min(config.frame_bytes_max),
        });
        let driver = Arc::clone(&connection).drive(stream.reader, config.frame_bytes_max);
        (connection, driver)
    }

    pub(crate) const fn service(&self) -> u128 {
        self.service
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.calls.lock().closed
    }

    /// Fails all calls, and closes the stream.
    pub(crate) fn close(&self) {
        let mut calls = self.calls.lock();
        calls.closed = true;
        let pending: Vec<Pending> = calls.calls.drain().collect();
        drop(calls);
        self.outbox.close();
        for call in pending {
            call.reply.fail(RpcError::Disconnected {
                peer: self.peer.clone(),
                possibly_executed: true,
            });
        }
    }

    async fn drive(self: Arc<Self>, reader: impl AsyncRead + Unpin, limit: usize) {
        let error = tokio::select! {
            biased;
            read = self.read(FrameReader::new(reader, limit)) => read.err(),
            write = self.outbox.drive() => write.err().map(ReadError::Io),
        };
        if let Some(error) = error {
            tracing::debug!(peer = %self.peer, %error, "connection lost");
        }
        self.close();
    }

    async fn read(&self, mut frames: FrameReader<impl AsyncRead + Unpin>) -> Result<(), ReadError> {
        while let Some(Frame { header, body }) = frames.next().await? {
            match header.kind {
                Kind::Response => {
                    if let Some(call) = self.take(header.call) {
                        call.reply.complete(call.method, header.error, &body);
                    }
                }
                Kind::Ping => self.send_empty(&Header::new(Kind::Pong, header.call)),
                Kind::Pong => {}
                Kind::Request | Kind::OneWay | Kind::Cancel | Kind::Extend | Kind::Resolve => {
                    return Err(ReadError::Protocol("a request from the accepting side"));
                }
            }
        }
        Ok(())
    }

    /// Asks for the number of an endpoint's gateway.
    pub(crate) fn resolve(&self, resolve: &Resolve) -> Call<Resolved, ResolveRefusal> {
        let time = Time::new(CallTimeout::Never, std::time::Duration::MAX);
        let slot = Arc::new(ReplySlot::new(None));
        let header = Header::new(Kind::Resolve, 0);
        self.request(header, &RESOLVE, resolve, &slot);
        Call::waiting(slot, &RESOLVE, time, None)
    }

    /// Sends a request; `reply` gets the answer or the reason why there is none. Returns the call's
    /// id if the request is on its way.
    fn request<A: Serialize, T: Message, E: Message>(
        &self,
        mut header: Header,
        method: &'static MethodInfo,
        body: &A,
        reply: &Arc<ReplySlot<T, E>>,
    ) -> Option<u64> {
        let Some((id, alone)) = self.put(method, Arc::clone(reply) as _) else {
            reply.fail(self.disconnected());
            return None;
        };
        header.call = id;
        // A caller that is alone writes for itself; several leave it to be done for all at once.
        let urgency = if alone { Urgency::Now } else { Urgency::Soon };
        let sent = self.outbox.send(urgency, |out| {
            frame::put(out, &header, body, self.frame_bytes_max)
        });
        match sent {
            Ok(()) => Some(id),
            Err(error) => {
                self.take(id);
                reply.fail(self.not_sent(error, method));
                None
            }
        }
    }

    fn put(&self, method: &'static MethodInfo, reply: Arc<dyn ReplySink>) -> Option<(u64, bool)> {
        let mut table = self.calls.lock();
        if table.closed {
            return None;
        }
        table.generation = table.generation.wrapping_add(1);
        let generation = table.generation;
        let index = table.calls.insert(Pending {
            generation,
            method,
            reply,
        });
        let index = u32::try_from(index).ok()?;
        let alone = table.calls.len() == 1;
        Some((u64::from(generation) << 32 | u64::from(index), alone))
    }

    /// Takes a call out of the table, if it is still that call.
    fn take(&self, id: u64) -> Option<Pending> {
        let index = usize::try_from(id & u64::from(u32::MAX)).ok()?;
        let mut table = self.calls.lock();
        let generation = table.calls.get(index)?.generation;
        (u64::from(generation) == id >> 32).then(|| table.calls.remove(index))
    }

    fn send_empty(&self, header: &Header) {
        // A lost cancel or pong is harmless: the connection is going down with it.
        let _ = self.outbox.send(Urgency::Now, |out| {
            frame::put_empty(out, header);
            Ok(())
        });
    }

    fn not_sent(&self, error: SendError, method: &MethodInfo) -> RpcError {
        let message = format!("the request of {}", method.name);
        match error {
            SendError::Closed => self.disconnected(),
            SendError::Full { limit } => RpcError::Overloaded {
                queue: format!("the outbox to {}", self.peer),
                limit: limit as u64,
            },
            SendError::Put(error) => not_put(error, message),
        }
    }

    fn disconnected(&self) -> RpcError {
        RpcError::Disconnected {
            peer: self.peer.clone(),
            possibly_executed: false,
        }
    }
}

/// Why a message was not put into a frame, as its sender is told.
pub(super) fn not_put(error: PutError, message: String) -> RpcError {
    match error {
        PutError::Codec(error) => RpcError::Codec {
            method: message,
            detail: error.to_string(),
        },
        PutError::TooLarge { size, limit } => RpcError::TooLarge {
            message,
            size: size as u64,
            limit: limit as u64,
        },
    }
}

/// An endpoint of another service, seen through one of its gateways.
pub(crate) struct RemoteGateway {
    connection: Arc<OutgoingConnection>,
    gateway: u32,
    compatible: Vec<bool>,
}

impl RemoteGateway {
    pub(crate) fn new(connection: Arc<OutgoingConnection>, resolved: Resolved) -> Self {
        Self {
            connection,
            gateway: resolved.gateway,
            compatible: resolved.compatible,
        }
    }

    pub(crate) fn call<A: Serialize, T: Message, E: Message>(
        &self,
        method: usize,
        info: &'static MethodInfo,
        token: Option<FencingToken>,
        time: Time,
        arguments: &A,
        slot: &Arc<ReplySlot<T, E>>,
    ) -> Option<RemoteCall> {
        if !self.compatible.get(method).is_some_and(|it| *it) {
            slot.fail(RpcError::Incompatible {
                method: info.name.to_owned(),
            });
            return None;
        }
        let mut header = self.header(Kind::Request, method, token);
        header.remaining_us = time.remaining_us();
        let id = self.connection.request(header, info, arguments, slot)?;
        Some(RemoteCall {
            connection: Arc::clone(&self.connection),
            id,
        })
    }

    pub(crate) fn tell<A: Serialize>(
        &self,
        method: usize,
        info: &'static MethodInfo,
        token: Option<FencingToken>,
        arguments: &A,
    ) {
        let connection = &self.connection;
        if !self.compatible.get(method).is_some_and(|it| *it) {
            tracing::warn!(method = info.name, "the callee has no such one-way method");
            return;
        }
        let header = self.header(Kind::OneWay, method, token);
        let sent = connection.outbox.send(Urgency::Soon, |out| {
            frame::put(out, &header, arguments, connection.frame_bytes_max)
        });
        if let Err(error) = sent {
            let error = connection.not_sent(error, info);
            tracing::warn!(method = info.name, %error, "one-way message dropped");
        }
    }

    fn header(&self, kind: Kind, method: usize, token: Option<FencingToken>) -> Header {
        let mut header = Header::new(kind, 0);
        header.gateway = self.gateway;
        header.method = u16::try_from(method).expect("a gateway has fewer than 65,536 methods");
        header.token = token.map(FencingToken::get);
        header
    }
}

/// A call under way to another service.
pub(crate) struct RemoteCall {
    connection: Arc<OutgoingConnection>,
    id: u64,
}

impl RemoteCall {
    /// Tells the callee that nobody waits any more.
    pub(crate) fn cancel(self) {
        if self.connection.take(self.id).is_some() {
            self.connection
                .send_empty(&Header::new(Kind::Cancel, self.id));
        }
    }

    /// Tells the callee that the caller waits as long as this from now on.
    pub(crate) fn extend(&self, remaining_us: Option<u64>) {
        let mut header = Header::new(Kind::Extend, self.id);
        header.remaining_us = remaining_us;
        self.connection.send_empty(&header);
    }
}

/// Why an endpoint's gateway has no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum ResolveRefusal {
    #[error("there is no such endpoint")]
    NoEndpoint,
    #[error("the endpoint does not serve this gateway")]
    NoGateway,
    #[error("the connection has resolved too many gateways")]
    TooMany,
}

impl AppError for ResolveRefusal {}

static RESOLVE: MethodInfo = MethodInfo {
    name: "resolve",
    fingerprint: 0,
    one_way: false,
    fenced: false,
    no_cancel: false,
    timeout: CallTimeout::Never,
};
