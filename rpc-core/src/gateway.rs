//! Gateways: what one component may ask of another, and how the request gets there.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address::Address;
use crate::call::{Call, ReplyTo, Time};
use crate::codec;
use crate::connection::{IncomingCall, RemoteGateway};
use crate::endpoint::Handling;
use crate::error::{RpcError, RpcResult};
use crate::fencing::FencingToken;
use crate::method::MethodInfo;
use crate::reply_slot::ReplySlot;
use crate::scope::CallScope;

/// What every gateway answers by itself, without a message. Flink's `RpcGateway`.
pub trait RpcGateway: fmt::Debug + Send + Sync + 'static {
    /// Returns the endpoint's address, by which others can connect to it too.
    fn address(&self) -> &str;

    /// Returns the host in the address; `localhost` for an endpoint of one's own service.
    fn hostname(&self) -> &str;
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

    /// Makes the request of a message; `call` is there unless the method is one-way.
    fn decode(
        method: usize,
        body: &[u8],
        call: Option<Arc<IncomingCall>>,
    ) -> Result<Self::Request, RpcError>;

    /// Answers a request with a failure.
    fn deny(request: Self::Request, error: RpcError);
}

/// What travels as an argument or a result.
pub trait Message: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Message for T {}

/// A client's way to its endpoint.
pub struct Port<R> {
    route: Route<R>,
    address: Arc<Address>,
    /// The address as text, as [`RpcGateway::address`] returns it.
    text: Arc<str>,
    token: Option<FencingToken>,
    call_timeout: Duration,
}

enum Route<R> {
    /// Into the mailbox of an endpoint of the same service, by value.
    Local(Arc<dyn LocalRoute<R>>),
    /// Over a connection.
    Remote(Arc<RemoteGateway>),
}

/// An endpoint of the same service, seen through one of its gateways.
pub(crate) trait LocalRoute<R>: Send + Sync {
    fn push(&self, head: Head, request: R);
}

/// An endpoint seen by a connection through one of its gateways.
pub(crate) trait WireRoute: Send + Sync {
    /// Hands on a message that came for method number `method`.
    fn deliver(
        &self,
        method: usize,
        body: &Bytes,
        token: Option<FencingToken>,
        call: Option<Arc<IncomingCall>>,
    );
}

/// One gateway of an endpoint, found by its name.
#[derive(Clone)]
pub(crate) struct Exposed {
    pub(crate) name: &'static str,
    pub(crate) methods: &'static [MethodInfo],
    /// An `Arc<dyn LocalRoute<G::Request>>`.
    pub(crate) local: Arc<dyn Any + Send + Sync>,
    pub(crate) wire: Arc<dyn WireRoute>,
}

/// What comes with a request.
pub(crate) struct Head {
    pub(crate) call: Option<Arc<dyn CallScope>>,
    pub(crate) token: Option<FencingToken>,
}

impl<R> Clone for Route<R> {
    fn clone(&self) -> Self {
        match self {
            Self::Local(route) => Self::Local(Arc::clone(route)),
            Self::Remote(gateway) => Self::Remote(Arc::clone(gateway)),
        }
    }
}

impl<R: Send + 'static> Port<R> {
    pub(crate) fn local(
        route: Arc<dyn LocalRoute<R>>,
        address: Arc<Address>,
        token: Option<FencingToken>,
        call_timeout: Duration,
    ) -> Self {
        Self::new(Route::Local(route), address, token, call_timeout)
    }

    pub(crate) fn remote(
        gateway: Arc<RemoteGateway>,
        address: Arc<Address>,
        token: Option<FencingToken>,
        call_timeout: Duration,
    ) -> Self {
        Self::new(Route::Remote(gateway), address, token, call_timeout)
    }

    fn new(
        route: Route<R>,
        address: Arc<Address>,
        token: Option<FencingToken>,
        call_timeout: Duration,
    ) -> Self {
        Self {
            route,
            text: address.to_string().into(),
            address,
            token,
            call_timeout,
        }
    }

    /// Returns the endpoint's address.
    pub fn address(&self) -> &str {
        &self.text
    }

    /// Returns the host in the address.
    pub fn hostname(&self) -> &str {
        match self.address.scheme() {
            Some(_) => self.address.hostname(),
            None => "localhost",
        }
    }

    /// Returns the token of a fenced gateway.
    pub fn fencing_token(&self) -> FencingToken {
        self.token
            .expect("a fenced gateway is connected with a token")
    }

    /// Makes a call that wants an answer.
    pub fn call<A, T, E>(
        &self,
        method: usize,
        info: &'static MethodInfo,
        arguments: A,
        request: impl FnOnce(A, ReplyTo<T, E>) -> R,
    ) -> Call<T, E>
    where
        A: Serialize,
        T: Message,
        E: Message,
    {
        let time = Time::new(info.timeout, self.call_timeout);
        let slot = Arc::new(ReplySlot::new(time.deadline));
        let remote = match &self.route {
            Route::Local(route) => {
                let head = Head {
                    call: Some(Arc::clone(&slot) as _),
                    token: self.token,
                };
                route.push(head, request(arguments, ReplyTo::caller(Arc::clone(&slot))));
                None
            }
            Route::Remote(gateway) => {
                gateway.call(method, info, self.token, time, &arguments, &slot)
            }
        };
        Call::waiting(slot, info, time, remote)
    }

    /// Makes a call that wants none.
    pub fn tell<A: Serialize>(
        &self,
        method: usize,
        info: &'static MethodInfo,
        arguments: A,
        request: impl FnOnce(A) -> R,
    ) {
        match &self.route {
            Route::Local(route) => {
                let head = Head {
                    call: None,
                    token: self.token,
                };
                route.push(head, request(arguments));
            }
            Route::Remote(gateway) => gateway.tell(method, info, self.token, &arguments),
        }
    }
}

impl<R> Clone for Port<R> {
    fn clone(&self) -> Self {
        Self {
            route: self.route.clone(),
            address: Arc::clone(&self.address),
            text: Arc::clone(&self.text),
            token: self.token,
            call_timeout: self.call_timeout,
        }
    }
}

impl<R> fmt::Debug for Port<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("address", &self.text)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// Makes the future of an interleaving handler, which ends early when its caller has gone;
/// generated code calls it.
pub fn interleave<'a, T: Send + 'a, E: Send + 'a>(
    info: &'static MethodInfo,
    reply: ReplyTo<T, E>,
    handler: impl Future<Output = RpcResult<T, E>> + Send + 'a,
) -> Handling<'a> {
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
pub fn decode_arguments<A: DeserializeOwned>(
    info: &MethodInfo,
    body: &[u8],
) -> Result<A, RpcError> {
    codec::decode(body).map_err(|error| RpcError::Codec {
        method: format!("the request of {}", info.name),
        detail: error.to_string(),
    })
}

/// Makes the right to answer a call that came over a connection; generated code calls it.
pub fn reply_to<T: Message, E: Message>(
    call: Option<Arc<IncomingCall>>,
) -> Result<ReplyTo<T, E>, RpcError> {
    let call = call.ok_or_else(|| RpcError::Codec {
        method: String::from("a one-way message"),
        detail: String::from("its method wants an answer"),
    })?;
    Ok(ReplyTo::peer(call, IncomingCall::respond))
}
