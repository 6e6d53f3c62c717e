//! Gateways: what one component may ask of another, and how the request gets there.

mod port;

pub use self::port::Port;

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{AnyReply, ReplyTo};
use crate::closed::Closed;
use crate::codec;
use crate::connection::{Charge, IncomingCall};
use crate::error::{RpcError, RpcResult};
use crate::fencing::FencingToken;
use crate::main_loop::Borrower;
use crate::metering::{EndpointMeter, Queued};
use crate::method::MethodInfo;
use crate::trace::TraceContext;

/// What every gateway answers by itself, without a message. Flink's `RpcGateway`.
pub trait RpcGateway: fmt::Debug + Send + Sync + 'static {
    /// Returns the address that was connected to, by which others can connect too. If that is a pattern,
    /// they may find another endpoint.
    fn address(&self) -> &str;

    /// Returns the host in the address; `localhost` for an endpoint of one's own service.
    fn hostname(&self) -> &str;

    /// Waits until the endpoint has ended or can no longer be reached.
    ///
    /// It is about the incarnation of the endpoint that the gateway was connected to. Once that has
    /// ended every call fails; when only the connection was lost, later calls look for it again.
    fn closed(&self) -> Closed;
}

/// What every fenced gateway also answers by itself. Flink's `FencedRpcGateway`.
pub trait FencedRpcGateway: RpcGateway {
    /// Returns the token that its calls carry.
    fn fencing_token(&self) -> FencingToken;
}

/// Says of a gateway that it is connected without a token.
pub trait Unfenced: Gateway {}

/// Says of a gateway that it is connected with a token.
pub trait Fenced: Gateway {}

/// What `#[rpc_gateway]` makes of a trait: the types and tables behind its `dyn`.
pub trait Gateway: RpcGateway {
    /// One variant for each method, with its arguments and the right to answer.
    type Request: Send + 'static;

    /// The trait's name: that of the gateway on the wire.
    const NAME: &'static str;

    /// The methods in the trait's order.
    const METHODS: &'static [MethodInfo];

    /// Makes the client of an endpoint.
    fn client(port: Port<Self::Request>) -> Arc<Self>;

    /// Returns which method a request is for, by its place in [`METHODS`](Self::METHODS).
    fn method(request: &Self::Request) -> usize;

    /// Returns the right to answer that a request holds, unless its method is one-way.
    fn reply(request: &Self::Request) -> Option<&dyn AnyReply>;

    /// Makes the request of a message; `call` is there unless the method is one-way, and taken if the
    /// arguments can be decoded.
    fn decode(
        method: usize,
        body: &[u8],
        call: &mut Option<Arc<IncomingCall>>,
    ) -> Result<Self::Request, RpcError>;

    /// Answers a request with a failure.
    fn deny(request: Self::Request, error: RpcError);
}

/// What travels as an argument or a result.
pub trait Message: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Message for T {}

/// An endpoint of the same service, seen through one of its gateways.
pub(crate) trait LocalRoute<R>: Send + Sync {
    /// Hands on a request, and what comes with it: piece by piece, since to put them together and take
    /// them apart again would be much of what it costs.
    fn push(&self, token: Option<FencingToken>, trace: Option<TraceContext>, request: R);

    /// The same with a request whose answer is about to be waited for. Returns whether who waits is to lend
    /// its thread, and then to whom.
    fn push_awaited(
        &self,
        token: Option<FencingToken>,
        trace: Option<TraceContext>,
        request: R,
        borrower: &mut Borrower,
    ) -> bool;

    /// Waits until the endpoint has ended.
    fn ended(&self) -> BoxFuture<'static, ()>;
}

/// An endpoint seen by a connection through one of its gateways.
pub(crate) trait WireRoute: Send + Sync {
    /// Hands on a message that came for the method in this place of the gateway. There is a `call`, or
    /// a `charge` if it is one-way.
    ///
    /// Piece by piece, as [`LocalRoute::push`].
    fn deliver(
        &self,
        method: usize,
        body: &[u8],
        token: Option<FencingToken>,
        trace: Option<TraceContext>,
        call: Option<Arc<IncomingCall>>,
        charge: Option<Charge>,
    );
}

/// One gateway of an endpoint, found by its name.
pub(crate) struct Exposed {
    pub(crate) name: &'static str,
    pub(crate) methods: &'static [MethodInfo],
    /// The place of its first method among those of the endpoint.
    pub(crate) first: usize,
    /// `None` if nobody records metrics.
    pub(crate) meter: Option<Arc<EndpointMeter>>,
    /// An `Arc<dyn LocalRoute<G::Request>>`.
    pub(crate) local: Arc<dyn Any + Send + Sync>,
    pub(crate) wire: Arc<dyn WireRoute>,
}

/// What comes with a request.
pub(crate) struct Head {
    pub(crate) token: Option<FencingToken>,
    pub(crate) trace: Option<TraceContext>,
    /// What a one-way message that came over a connection takes of its window until its handler ends.
    pub(crate) charge: Option<Charge>,
    /// When it was put into the mailbox, if that is recorded.
    pub(crate) queued: Option<Queued>,
}

/// Makes the future of an interleaving handler, which ends early when its caller has gone;
/// generated code calls it.
pub fn interleave<'a, T: Send + 'static, E: Send + 'static>(
    info: &'static MethodInfo,
    reply: ReplyTo<T, E>,
    handler: impl Future<Output = RpcResult<T, E>> + Send + 'a,
) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let mut handler = pin!(handler);
        let result = poll_fn(|cx| {
            if !info.no_cancel && reply.poll_cancelled(cx).is_ready() {
                return Poll::Ready(None);
            }
            handler.as_mut().poll(cx).map(Some)
        });
        match result.await {
            Some(result) => reply.answer(result),
            None => tracing::debug!(method = info.name, "the caller has gone"),
        }
    })
}

/// Answers a request with a failure; generated code calls it.
pub fn deny<T, E>(reply: ReplyTo<T, E>, error: RpcError) {
    reply.deny(error);
}

/// Says that a message's method is out of range; generated code calls it.
pub fn no_method(gateway: &str, method: usize) -> RpcError {
    RpcError::Incompatible {
        method: format!("{gateway}, number {method}"),
    }
}

/// Reads the arguments of a message for `info`; generated code calls it.
///
/// An error names the argument by its place, from 0, as Flink does.
pub fn decode_arguments<A: DeserializeOwned>(
    info: &MethodInfo,
    body: &[u8],
) -> Result<A, RpcError> {
    codec::decode(body).map_err(|error| RpcError::Codec {
        method: info.name.to_owned(),
        response: false,
        detail: match error.has_place() {
            true => format!("argument {error}"),
            false => error.to_string(),
        },
    })
}

/// Makes the right to answer a call that came over a connection; generated code calls it.
pub fn reply_to<T: Message, E: Message>(
    call: &mut Option<Arc<IncomingCall>>,
) -> Result<ReplyTo<T, E>, RpcError> {
    let call = call.take().ok_or_else(|| RpcError::Codec {
        method: String::from("a one-way message"),
        response: false,
        detail: String::from("its method wants an answer"),
    })?;
    Ok(ReplyTo::peer(call, IncomingCall::respond))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::decode_arguments;
    use crate::codec;
    use crate::method::{CallTimeout, MethodInfo};

    #[derive(Serialize, Deserialize)]
    struct Job<V> {
        name: String,
        vertices: Vec<V>,
    }

    #[derive(Serialize, Deserialize)]
    enum Vertex {
        Map,
        Sink { path: String },
    }

    /// A vertex as a newer peer knows it.
    #[derive(Serialize)]
    #[expect(dead_code, reason = "the variants' numbers matter")]
    enum NewVertex {
        Map,
        Sink { path: String },
        Join,
    }

    // Flink: ClassLoaderDeserializationTest#testMessageDecodingWithUnavailableClass
    #[test]
    fn an_argument_that_cannot_be_decoded_is_named_with_its_method() {
        let job = Job {
            name: String::from("count"),
            vertices: vec![NewVertex::Map, NewVertex::Join],
        };
        assert_eq!(
            failure(&(7u64, job)),
            "the request of Dispatcher::submit is bad: argument 1.vertices[1]: \
             invalid value: integer `2`, expected variant index 0 <= i < 2"
        );
    }

    #[test]
    fn what_is_wrong_with_all_arguments_is_not_blamed_on_one() {
        let job = Job {
            name: String::new(),
            vertices: vec![Vertex::Map],
        };
        assert_eq!(
            failure(&(7u64, job, 1u8)),
            "the request of Dispatcher::submit is bad: 1 bytes are left over"
        );
    }

    /// What a callee says of arguments that another peer encoded.
    fn failure(arguments: &impl Serialize) -> String {
        let mut bytes = Vec::new();
        codec::encode(arguments, &mut bytes).unwrap();
        let info = MethodInfo::internal("Dispatcher::submit", CallTimeout::Default);
        let decoded = decode_arguments::<(u64, Job<Vertex>)>(&info, &bytes);
        decoded.map(|_| ()).unwrap_err().to_string()
    }
}
