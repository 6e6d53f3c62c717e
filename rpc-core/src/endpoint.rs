//! What a component implements, and the list of gateways it serves.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};

use crate::call::AnyReply;
use crate::connection::{Charge, IncomingCall};
use crate::context::Context;
use crate::endpoint_core::{EndpointCore, Mail};
use crate::error::{BoxError, RpcError};
use crate::fencing::FencingToken;
use crate::gateway::{Exposed, Gateway, Head, LocalRoute, WireRoute};
use crate::main_loop::Borrower;
use crate::main_thread::{Batch, MainThread};
use crate::method::{MethodInfo, is_same};
use crate::mutant::{self, Mutant};
use crate::pulse::Doing;
use crate::scope::CallScope;
use crate::trace::TraceContext;

/// A component: plain data, all of whose code runs on one logical main thread.
///
/// The gateways it serves are listed in [`Gateways`](Self::Gateways), each with the handlers of an
/// `#[rpc_endpoint]` block. A gateway that is listed without a block is a compile error.
///
/// Answers to Flink's `RpcEndpoint`; an endpoint with a token answers to its `FencedRpcEndpoint`.
pub trait RpcEndpoint: Send + Sized + 'static {
    /// The gateways that others may connect to, as [`gateways!`](crate::gateways) spells them.
    type Gateways: GatewayList<Self>;

    /// What becomes of the endpoint when one of its handlers panics.
    const ON_PANIC: PanicPolicy = PanicPolicy::Fail;

    /// Runs when the endpoint is started for the first time, before any call is served.
    ///
    /// # Errors
    ///
    /// An error ends the endpoint; its termination tells.
    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        let _ = cx;
        Ok(())
    }

    /// Runs once when the endpoint stops, if `on_start` ran well. Calls are still served meanwhile, and
    /// timers are not.
    ///
    /// # Errors
    ///
    /// An error becomes that of the endpoint's termination.
    fn on_stop(main: MainThread<'_, Self>) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = main;
        std::future::ready(Ok(()))
    }
}

/// What becomes of an endpoint when a handler panics. The call fails with
/// [`Panicked`](RpcError::Panicked) in any case, and other endpoints live on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// It goes on with the state as the handler left it. A panic of `on_start` or `on_stop` ends it
    /// all the same.
    Continue,
    /// It is stopped: `on_stop` runs, no more calls are served, and the termination tells. The
    /// state may be torn, so this is the default.
    Fail,
}

/// Serves gateway `G`. `#[rpc_endpoint(G)]` implements it.
pub trait Handles<G: Gateway + ?Sized>: RpcEndpoint {
    /// Runs a quick handler to its end, or [begins](Batch::leave) an interleaving one.
    #[doc(hidden)]
    fn handle(batch: &mut Batch<'_, Self>, request: G::Request);
}

/// An interleaving handler that is to be polled.
pub struct Handling<'a> {
    pub(crate) future: BoxFuture<'a, ()>,
    /// The call that it handles, unless that is one-way.
    pub(crate) call: Option<Arc<dyn CallScope>>,
}

impl<'a> Handling<'a> {
    /// Begins a handler; generated code calls it.
    pub fn new(call: Option<Arc<dyn CallScope>>, future: BoxFuture<'a, ()>) -> Self {
        Self { future, call }
    }
}

impl std::fmt::Debug for Handling<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handling").finish_non_exhaustive()
    }
}

/// A list of gateways, all of which `E` serves: a tuple of `Arc<dyn Gateway>`.
pub trait GatewayList<E: RpcEndpoint>: 'static {
    /// A request for any of them.
    type Request: Send + 'static;

    /// It does not compile if two of them have one name, by which callers find them.
    #[doc(hidden)]
    const NAMES_DIFFER: ();

    /// As [`Handles::handle`].
    #[doc(hidden)]
    fn handle(batch: &mut Batch<'_, E>, request: Self::Request);

    /// As [`Gateway::reply`].
    #[doc(hidden)]
    fn reply(request: &Self::Request) -> Option<&dyn AnyReply>;

    /// Returns the place among all [`methods`](Self::methods) of that which a request is for, and it.
    fn method_of(request: &Self::Request) -> (usize, &'static MethodInfo);

    /// Returns the methods of all gateways, in the list's order.
    fn methods() -> Vec<&'static MethodInfo>;

    /// Answers a request with a failure.
    fn deny(request: Self::Request, error: RpcError);

    /// Adds a way to each gateway.
    #[doc(hidden)]
    fn expose(core: &Arc<EndpointCore<E>>, routes: &mut Routes);
}

/// The ways to an endpoint's gateways.
#[derive(Default)]
pub struct Routes(pub(crate) Vec<Exposed>);

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|it| it.name))
            .finish()
    }
}

impl Routes {
    fn add<E, G, W>(&mut self, core: &Arc<EndpointCore<E>>, wrap: W)
    where
        E: Handles<G>,
        G: Gateway + ?Sized,
        W: Wrap<E, G>,
    {
        let route = Arc::new(RouteTo {
            core: Arc::clone(core),
            wrap,
            gateway: PhantomData,
        });
        let local: Arc<dyn LocalRoute<G::Request>> = Arc::clone(&route) as _;
        self.0.push(Exposed {
            name: G::NAME,
            methods: G::METHODS,
            first: self.0.iter().map(|it| it.methods.len()).sum(),
            meter: core.meter.clone(),
            local: Arc::new(local) as Arc<dyn Any + Send + Sync>,
            wire: route,
        });
    }
}

/// Makes of a gateway's request one for any gateway of an endpoint.
trait Wrap<E: RpcEndpoint, G: Gateway + ?Sized>:
    Fn(G::Request) -> <E::Gateways as GatewayList<E>>::Request + Send + Sync + 'static
{
}

impl<E, G, W> Wrap<E, G> for W
where
    E: RpcEndpoint,
    G: Gateway + ?Sized,
    W: Fn(G::Request) -> <E::Gateways as GatewayList<E>>::Request + Send + Sync + 'static,
{
}

/// The way to one gateway of one endpoint.
struct RouteTo<E: RpcEndpoint, G: ?Sized, W> {
    core: Arc<EndpointCore<E>>,
    wrap: W,
    gateway: PhantomData<fn() -> Box<G>>,
}

impl<E: RpcEndpoint, G: ?Sized, W> RouteTo<E, G, W> {
    /// Makes what makes a message, where that is to be.
    #[inline(always)]
    fn mail(
        &self,
        token: Option<FencingToken>,
        trace: Option<TraceContext>,
        charge: Option<Charge>,
        request: impl FnOnce() -> <E::Gateways as GatewayList<E>>::Request,
    ) -> impl FnOnce() -> Mail<E> {
        let queued = self.core.queued();
        move || {
            let head = Head {
                token,
                trace,
                charge,
                queued,
            };
            Mail::Call(head, request())
        }
    }
}

impl<E, G, W> LocalRoute<G::Request> for RouteTo<E, G, W>
where
    E: RpcEndpoint,
    G: Gateway + ?Sized,
    W: Wrap<E, G>,
{
    fn push(&self, token: Option<FencingToken>, trace: Option<TraceContext>, request: G::Request) {
        let request = || (self.wrap)(request);
        self.core.push(0, self.mail(token, trace, None, request));
    }

    fn push_awaited(
        &self,
        token: Option<FencingToken>,
        trace: Option<TraceContext>,
        request: G::Request,
        borrower: &mut Borrower,
    ) -> bool {
        let request = (self.wrap)(request);
        let (method, _) = E::Gateways::method_of(&request);
        let make = self.mail(token, trace, None, || request);
        self.core
            .push_awaited(Doing::method(method), make, borrower)
    }

    fn ended(&self) -> BoxFuture<'static, ()> {
        self.core.termination.wait().map(drop).boxed()
    }
}

impl<E, G, W> WireRoute for RouteTo<E, G, W>
where
    E: RpcEndpoint,
    G: Gateway + ?Sized,
    W: Wrap<E, G>,
{
    fn deliver(
        &self,
        method: usize,
        body: &[u8],
        token: Option<FencingToken>,
        trace: Option<TraceContext>,
        call: Option<Arc<IncomingCall>>,
        charge: Option<Charge>,
    ) {
        // An old token is refused before anything of the message is decoded. A newer one may be right
        // when its turn comes.
        let info = &G::METHODS[method];
        let unchecked = info.one_way && mutant::is(Mutant::TokenIgnoredOneWay);
        if info.fenced
            && !unchecked
            && let Some(error) = self.core.outdated(token)
        {
            IncomingCall::deny(call, self.core.fenced_out(error));
            return;
        }
        let bytes = match (&call, &charge) {
            (Some(call), _) => call.bytes(),
            (None, charge) => charge.as_ref().map_or(0, Charge::bytes),
        };
        let mut undecoded = Undecoded {
            call,
            method: info.name,
        };
        match G::decode(method, body, &mut undecoded.call) {
            Ok(request) => {
                let request = || (self.wrap)(request);
                self.core
                    .push(bytes, self.mail(token, trace, charge, request));
            }
            Err(error) => IncomingCall::deny(undecoded.call.take(), error),
        }
    }
}

/// A call whose arguments are decoded, which is answered also if that panics.
struct Undecoded {
    /// `None` once there is a right to answer it, and for one-way messages.
    call: Option<Arc<IncomingCall>>,
    method: &'static str,
}

impl Drop for Undecoded {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            IncomingCall::deny(Some(call), RpcError::panicked_value(self.method, false));
        }
    }
}

/// Writes the list of gateways that an endpoint serves, one to six: `gateways![JobMasterGateway]`.
///
/// Callers find a gateway by the bare name of its trait, so that no two of a list may have one name:
///
/// ```compile_fail
/// # use rpc_core::{Call, RpcEndpoint, RpcResult, gateways, rpc_endpoint, rpc_gateway};
/// mod v1 {
///     # use rpc_core::{Call, rpc_gateway};
///     #[rpc_gateway]
///     pub trait StoreGateway {
///         fn get(&self) -> Call<u32>;
///     }
/// }
/// mod v2 {
///     # use rpc_core::{Call, rpc_gateway};
///     #[rpc_gateway]
///     pub trait StoreGateway {
///         fn fetch(&self) -> Call<u64>;
///     }
/// }
/// struct Store;
/// impl RpcEndpoint for Store {
///     type Gateways = gateways![v1::StoreGateway, v2::StoreGateway];
/// }
/// #[rpc_endpoint(v1::StoreGateway)]
/// impl Store {
///     fn get(&mut self) -> RpcResult<u32> {
///         Ok(1)
///     }
/// }
/// #[rpc_endpoint(v2::StoreGateway)]
/// impl Store {
///     fn fetch(&mut self) -> RpcResult<u64> {
///         Ok(2)
///     }
/// }
/// ```
#[macro_export]
macro_rules! gateways {
    () => { ::std::compile_error!("an endpoint serves at least one gateway") };
    (
        $_a:path, $_b:path, $_c:path, $_d:path, $_e:path, $_f:path, $_g:path
        $(, $_more:path)* $(,)?
    ) => { ::std::compile_error!("an endpoint serves at most six gateways") };
    ($($gateway:path),+ $(,)?) => { ($(::std::sync::Arc<dyn $gateway>,)+) };
}

/// Refuses a list in which a name stands twice.
const fn names_differ(names: &[&str]) {
    let mut place = 0;
    while place < names.len() {
        let mut other = place + 1;
        while other < names.len() {
            assert!(
                !is_same(names[place].as_bytes(), names[other].as_bytes()),
                "two gateways of an endpoint have one name"
            );
            other += 1;
        }
        place += 1;
    }
}

macro_rules! gateway_list {
    ($any:ident: $($gateway:ident)+) => {
        #[doc(hidden)]
        #[derive(Debug)]
        #[expect(clippy::exhaustive_enums, reason = "the list's length is in the type")]
        pub enum $any<$($gateway),+> {
            $(#[allow(missing_docs, reason = "named by the place in the list")] $gateway($gateway)),+
        }

        impl<Z, $($gateway),+> GatewayList<Z> for ($(Arc<$gateway>,)+)
        where
            Z: RpcEndpoint<Gateways = Self> $(+ Handles<$gateway>)+,
            $($gateway: Gateway + ?Sized),+
        {
            type Request = $any<$($gateway::Request),+>;

            const NAMES_DIFFER: () = names_differ(&[$($gateway::NAME),+]);

            fn handle(batch: &mut Batch<'_, Z>, request: Self::Request) {
                match request {
                    $($any::$gateway(request) => <Z as Handles<$gateway>>::handle(batch, request)),+
                }
            }

            fn reply(request: &Self::Request) -> Option<&dyn AnyReply> {
                match request {
                    $($any::$gateway(request) => $gateway::reply(request)),+
                }
            }

            #[allow(irrefutable_let_patterns, reason = "a list may have one gateway")]
            fn method_of(request: &Self::Request) -> (usize, &'static MethodInfo) {
                let mut before = 0;
                $(
                    if let $any::$gateway(request) = request {
                        let place = $gateway::method(request);
                        return (before + place, &$gateway::METHODS[place]);
                    }
                    before += $gateway::METHODS.len();
                )+
                unreachable!("a request is for one of {before} methods");
            }

            fn methods() -> Vec<&'static MethodInfo> {
                let mut methods = Vec::new();
                $(methods.extend($gateway::METHODS);)+
                methods
            }

            fn deny(request: Self::Request, error: RpcError) {
                match request {
                    $($any::$gateway(request) => $gateway::deny(request, error)),+
                }
            }

            fn expose(core: &Arc<EndpointCore<Z>>, routes: &mut Routes) {
                // `#[rpc_endpoint]` cannot look at that of an endpoint with parameters.
                let () = <Self as GatewayList<Z>>::NAMES_DIFFER;
                $(routes.add::<Z, $gateway, _>(core, $any::$gateway);)+
            }
        }
    };
}

gateway_list!(OneOf1: A);
gateway_list!(OneOf2: A B);
gateway_list!(OneOf3: A B C);
gateway_list!(OneOf4: A B C D);
gateway_list!(OneOf5: A B C D F);
gateway_list!(OneOf6: A B C D F G);
