//! Calls from another service.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::time::Instant;

use super::outbox::{Outbox, SendError, Urgency};
use super::outgoing::not_put;
use super::{FrameReader, ReadError, Resolve, ResolveRefusal, Resolved};
use crate::codec;
use crate::config::RpcConfig;
use crate::error::{RpcError, RpcResult};
use crate::fencing::FencingToken;
use crate::frame::{self, Frame, Header, Kind};
use crate::gateway::{Exposed, Message};
use crate::scope::CallScope;
use crate::transport::Stream;

/// A connection that a peer opened.
struct IncomingConnection {
    peer: String,
    outbox: Outbox,
    /// The peer's calls that are not answered yet.
    calls: Mutex<HashMap<u64, Arc<IncomingCall>>>,
    /// What the peer takes at most.
    frame_bytes_max: usize,
}

/// A call that came over a connection and is not answered yet.
pub struct IncomingCall {
    connection: Arc<IncomingConnection>,
    id: u64,
    method: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    deadline: Option<Instant>,
    abandoned: bool,
    /// Wakes the handler, which wants to know when nobody waits any more.
    waker: Option<Waker>,
}

/// A gateway that the peer has resolved on this connection.
struct Opened {
    exposed: Exposed,
    /// For each method of the peer's gateway, its place in ours.
    methods: Vec<Option<usize>>,
}

/// Serves the calls of one peer until it goes away.
///
/// `lookup` finds an endpoint's gateways by the endpoint's name.
pub(crate) async fn serve(
    peer: String,
    stream: Stream,
    peer_frame_bytes_max: u32,
    config: &RpcConfig,
    lookup: impl Fn(&str) -> Option<Arc<[Exposed]>>,
) {
    let connection = Arc::new(IncomingConnection {
        peer,
        outbox: Outbox::new(stream.writer, config.outbox_bytes_max),
        calls: Mutex::default(),
        frame_bytes_max: (peer_frame_bytes_max as usize).min(config.frame_bytes_max),
    });
    let mut session = Session {
        connection: &connection,
        config,
        lookup,
        opened: Vec::new(),
    };
    let frames = FrameReader::new(stream.reader, config.frame_bytes_max);
    let error = tokio::select! {
        biased;
        read = session.read(frames) => read.err(),
        write = connection.outbox.drive() => write.err().map(ReadError::Io),
    };
    if let Some(error) = error {
        tracing::debug!(peer = %connection.peer, %error, "connection lost");
    }
    connection.close();
}

struct Session<'a, L> {
    connection: &'a Arc<IncomingConnection>,
    config: &'a RpcConfig,
    lookup: L,
    opened: Vec<Opened>,
}

impl<L: Fn(&str) -> Option<Arc<[Exposed]>>> Session<'_, L> {
    async fn read(
        &mut self,
        mut frames: FrameReader<impl AsyncRead + Unpin>,
    ) -> Result<(), ReadError> {
        while let Some(Frame { header, body }) = frames.next().await? {
            match header.kind {
                Kind::Request | Kind::OneWay => self.request(&header, &body)?,
                Kind::Cancel => self.connection.cancel(header.call),
                Kind::Extend => self.connection.extend(&header),
                Kind::Resolve => self.resolve(&header, &body)?,
                Kind::Ping => self.connection.respond_empty(Kind::Pong, header.call),
                Kind::Pong => {}
                Kind::Response => return Err(ReadError::Protocol("a response to no request")),
            }
        }
        Ok(())
    }

    fn request(&self, header: &Header, body: &Bytes) -> Result<(), ReadError> {
        let opened = self
            .opened
            .get(header.gateway as usize)
            .ok_or(ReadError::Protocol("a gateway that was not resolved"))?;
        let method = opened.methods.get(usize::from(header.method));
        let method = *method.ok_or(ReadError::Protocol("a method that was not resolved"))?;
        let name = method.map_or("a method", |it| opened.exposed.methods[it].name);
        let call = match header.kind {
            Kind::OneWay => None,
            _ => Some(self.open_call(header, name)?),
        };
        let Some(method) = method else {
            IncomingCall::deny(
                call,
                RpcError::Incompatible {
                    method: format!("{}, number {}", opened.exposed.name, header.method),
                },
            );
            return Ok(());
        };
        if call.is_some() == opened.exposed.methods[method].one_way {
            return Err(ReadError::Protocol(
                "a one-way call of a method that answers, or the reverse",
            ));
        }
        if self.connection.calls.lock().len() > self.config.calls_max {
            IncomingCall::deny(
                call,
                RpcError::Overloaded {
                    queue: String::from("the connection's table of calls"),
                    limit: self.config.calls_max as u64,
                },
            );
            return Ok(());
        }
        let token = header.token.map(FencingToken::new);
        opened.exposed.wire.deliver(method, body, token, call);
        Ok(())
    }

    fn open_call(
        &self,
        header: &Header,
        method: &'static str,
    ) -> Result<Arc<IncomingCall>, ReadError> {
        let call = Arc::new(IncomingCall {
            connection: Arc::clone(self.connection),
            id: header.call,
            method,
            state: Mutex::new(State {
                deadline: deadline(header.remaining_us),
                ..State::default()
            }),
        });
        match self
            .connection
            .calls
            .lock()
            .insert(header.call, Arc::clone(&call))
        {
            None => Ok(call),
            Some(_) => Err(ReadError::Protocol("a call id that is in use")),
        }
    }

    fn resolve(&mut self, header: &Header, body: &Bytes) -> Result<(), ReadError> {
        let resolve: Resolve = codec::decode(body)
            .map_err(|_| ReadError::Protocol("a malformed request to resolve"))?;
        let result = self.open_gateway(&resolve);
        let result = result.map_err(RpcError::App);
        self.connection.respond(header.call, "resolve", result);
        Ok(())
    }

    fn open_gateway(&mut self, resolve: &Resolve) -> Result<Resolved, ResolveRefusal> {
        let exposed = (self.lookup)(&resolve.endpoint).ok_or(ResolveRefusal::NoEndpoint)?;
        let exposed = exposed.iter().find(|it| it.name == resolve.gateway);
        let exposed = exposed.ok_or(ResolveRefusal::NoGateway)?;
        if self.opened.len() >= self.config.gateways_max || resolve.methods.len() > METHODS_MAX {
            return Err(ResolveRefusal::TooMany);
        }
        let place = |fingerprint: &u64| {
            let mut methods = exposed.methods.iter();
            methods.position(|it| it.fingerprint == *fingerprint)
        };
        let methods: Vec<Option<usize>> = resolve.methods.iter().map(place).collect();
        let compatible = methods.iter().map(Option::is_some).collect();
        let gateway = u32::try_from(self.opened.len()).map_err(|_| ResolveRefusal::TooMany)?;
        self.opened.push(Opened {
            exposed: exposed.clone(),
            methods,
        });
        Ok(Resolved {
            gateway,
            compatible,
        })
    }
}

impl IncomingConnection {
    fn cancel(&self, id: u64) {
        let call = self.calls.lock().get(&id).cloned();
        if let Some(call) = call {
            call.abandon();
        }
    }

    fn extend(&self, header: &Header) {
        let call = self.calls.lock().get(&header.call).cloned();
        if let Some(call) = call {
            call.state.lock().deadline = deadline(header.remaining_us);
        }
    }

    /// The peer has gone: nobody waits for its calls any more.
    fn close(&self) {
        self.outbox.close();
        let calls: Vec<_> = self.calls.lock().drain().map(|(_, call)| call).collect();
        for call in calls {
            call.abandon();
        }
    }

    /// Sends a result, or why it cannot be sent.
    fn respond<T: Message, E: Message>(&self, id: u64, method: &str, result: RpcResult<T, E>) {
        let sent = match &result {
            Ok(value) => self.send_response(id, false, value),
            Err(error) => self.send_response(id, true, error),
        };
        let error = match sent {
            Ok(()) | Err(SendError::Closed) => return,
            Err(SendError::Put(error)) => not_put(error, format!("the response of {method}")),
            Err(SendError::Full { .. }) => {
                // The peer does not read its answers.
                tracing::warn!(peer = %self.peer, "disconnecting a peer that does not read");
                return self.outbox.close();
            }
        };
        // An error is small, and of types that can be encoded.
        let _ = self.send_response(id, true, &error);
    }

    fn send_response<T: serde::Serialize>(
        &self,
        id: u64,
        error: bool,
        body: &T,
    ) -> Result<(), SendError> {
        let mut header = Header::new(Kind::Response, id);
        header.error = error;
        let alone = self.calls.lock().is_empty();
        let urgency = if alone { Urgency::Now } else { Urgency::Soon };
        self.outbox.send(urgency, |out| {
            frame::put(out, &header, body, self.frame_bytes_max)
        })
    }

    fn respond_empty(&self, kind: Kind, id: u64) {
        // A lost pong is harmless: the connection is going down with it.
        let _ = self.outbox.send(Urgency::Now, |out| {
            frame::put_empty(out, &Header::new(kind, id));
            Ok(())
        });
    }
}

impl IncomingCall {
    /// Answers the call; a caller that no longer waits gets nothing.
    pub(crate) fn respond<T: Message, E: Message>(&self, result: RpcResult<T, E>) {
        let open = self.connection.calls.lock().remove(&self.id).is_some();
        if open && !self.is_abandoned() {
            self.connection.respond(self.id, self.method, result);
        }
    }

    /// Answers a call with a failure; a one-way message's failure is told to nobody.
    pub(crate) fn deny(call: Option<Arc<Self>>, error: RpcError) {
        match call {
            Some(call) => call.respond::<(), _>(Err(error)),
            None => tracing::debug!(%error, "one-way message refused"),
        }
    }

    fn abandon(&self) {
        let mut state = self.state.lock();
        state.abandoned = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl CallScope for IncomingCall {
    fn deadline(&self) -> Option<Instant> {
        self.state.lock().deadline
    }

    fn is_abandoned(&self) -> bool {
        self.state.lock().abandoned
    }

    fn poll_abandoned(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.abandoned {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl fmt::Debug for IncomingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingCall")
            .field("id", &self.id)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// Starts the clock of a call with what its caller says is left; a peer's clock is not trusted.
fn deadline(remaining_us: Option<u64>) -> Option<Instant> {
    let remaining = Duration::from_micros(remaining_us?);
    Instant::now().checked_add(remaining)
}

/// A gateway of a peer has no more methods than this.
const METHODS_MAX: usize = 1 << 12;
