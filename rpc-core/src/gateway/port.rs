//! How a client's calls get to its endpoint.

use std::fmt;
#[cfg(any(test, feature = "testing"))]
use std::future::Future;
use std::sync::Arc;

#[cfg(any(test, feature = "testing"))]
use tokio::runtime::Handle;

use super::{LocalRoute, Message};
use crate::call::{Call, Check, ReplyTo, Time, Waiting};
use crate::callee::Callee;
use crate::caller::Caller;
use crate::closed::{Closed, GatewayClosed};
use crate::connection::{Ask, RemoteGateway};
use crate::fencing::FencingToken;
use crate::handler;
use crate::method::MethodInfo;
use crate::scope;
use crate::strict;
use crate::trace::TraceContext;

/// A client's way to its endpoint.
pub struct Port<R> {
    route: Route<R>,
    callee: Arc<Callee>,
    token: Option<FencingToken>,
    caller: Arc<Caller>,
}

enum Route<R> {
    /// Into the mailbox of an endpoint of the same service, by value.
    Local(Arc<dyn LocalRoute<R>>),
    /// Over a connection.
    Remote(Arc<RemoteGateway>),
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
        callee: Callee,
        token: Option<FencingToken>,
        caller: Arc<Caller>,
    ) -> Self {
        Self::new(Route::Local(route), callee, token, caller)
    }

    pub(crate) fn remote(
        gateway: Arc<RemoteGateway>,
        callee: Callee,
        token: Option<FencingToken>,
        caller: Arc<Caller>,
    ) -> Self {
        Self::new(Route::Remote(gateway), callee, token, caller)
    }

    fn new(
        route: Route<R>,
        callee: Callee,
        token: Option<FencingToken>,
        caller: Arc<Caller>,
    ) -> Self {
        Self {
            route,
            callee: Arc::new(callee),
            token,
            caller,
        }
    }

    /// Returns the endpoint's address.
    pub fn address(&self) -> &str {
        self.callee.address.as_str()
    }

    /// Returns the host in the address.
    pub fn hostname(&self) -> &str {
        let address = &self.callee.address;
        match address.scheme() {
            Some(_) => address.hostname(),
            None => "localhost",
        }
    }

    /// Returns the token of a fenced gateway.
    pub fn fencing_token(&self) -> FencingToken {
        self.token
            .expect("a fenced gateway is connected with a token")
    }

    /// Waits until the endpoint has ended or can no longer be reached.
    pub fn closed(&self) -> Closed {
        match &self.route {
            Route::Local(route) => {
                let ended = route.ended();
                Closed::new(async move {
                    ended.await;
                    GatewayClosed::Stopped
                })
            }
            Route::Remote(gateway) => Closed::new(Arc::clone(gateway).closed()),
        }
    }

    /// Makes a call that wants an answer.
    pub fn call<A, T, E>(
        &self,
        method: usize,
        info: &'static MethodInfo,
        arguments: A,
        request: impl FnOnce(A, ReplyTo<T, E>) -> R + Send + 'static,
    ) -> Call<T, E>
    where
        A: Message,
        T: Message,
        E: Message,
    {
        let time = Time::new(info.timeout, self.caller.call_timeout);
        let ask = self.ask(method, info);
        #[cfg(feature = "testing")]
        if let Some(fault) = self.caller.faults.next(info.name) {
            return crate::testing::faults::call(self, fault, ask, time, arguments, request);
        }
        let mut waiting = self.waiting(&ask, &time);
        self.begin(&ask, &time, arguments, request, &mut waiting);
        Call::waiting(waiting)
    }

    /// Sends a request, or puts it into the mailbox.
    pub(crate) fn begin<A: Message, T: Message, E: Message>(
        &self,
        ask: &Ask,
        time: &Time,
        arguments: A,
        request: impl FnOnce(A, ReplyTo<T, E>) -> R,
        waiting: &mut Waiting<T, E>,
    ) {
        let (slot, remote) = waiting.parts();
        let route = match &self.route {
            Route::Local(route) => route,
            Route::Remote(gateway) => return gateway.call(ask, time, &arguments, slot, remote),
        };
        let (token, trace, slot) = (ask.token, ask.trace, Arc::clone(slot));
        match self.strict(ask.info) {
            None => {
                let request = request(arguments, ReplyTo::caller(slot));
                waiting.lends = route.push_awaited(token, trace, request, &mut waiting.borrower);
            }
            Some(limit) => match strict::arguments(&arguments, ask.info, limit) {
                Ok(arguments) => {
                    let check = Check {
                        method: ask.info,
                        limit,
                        check: strict::result,
                    };
                    let reply = ReplyTo::strict(slot, check);
                    route.push(token, trace, request(arguments, reply));
                }
                Err(error) => slot.fill(Err(error.widen())),
            },
        }
    }

    /// Makes what a caller waits for.
    pub(crate) fn waiting<T: Message, E: Message>(
        &self,
        ask: &Ask,
        time: &Time,
    ) -> Box<Waiting<T, E>> {
        Waiting::begin(&self.caller.deadlines, &self.callee, ask, time)
    }

    /// Runs something in the service's runtime, or in that of the caller if it was made outside of any.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let own = self.caller.deadlines.shard().runtime().cloned();
        own.unwrap_or_else(Handle::current).spawn(work);
    }

    /// Makes a call that wants none.
    pub fn tell<A: Message>(
        &self,
        method: usize,
        info: &'static MethodInfo,
        arguments: A,
        request: impl FnOnce(A) -> R + Send + 'static,
    ) {
        let ask = self.ask(method, info);
        #[cfg(feature = "testing")]
        if let Some(fault) = self.caller.faults.next(info.name) {
            return crate::testing::faults::tell(self, fault, ask, arguments, request);
        }
        self.begin_one_way(&ask, arguments, request);
    }

    pub(crate) fn begin_one_way<A: Message>(
        &self,
        ask: &Ask,
        arguments: A,
        request: impl FnOnce(A) -> R,
    ) {
        let sent = match &self.route {
            Route::Local(route) => {
                let arguments = match self.strict(ask.info) {
                    None => Ok(arguments),
                    Some(limit) => strict::arguments(&arguments, ask.info, limit),
                };
                let pushed = arguments.map(|it| route.push(ask.token, ask.trace, request(it)));
                if let Err(error) = &pushed {
                    tracing::warn!(method = ask.info.name, %error, "one-way message dropped");
                }
                pushed.is_ok()
            }
            Route::Remote(gateway) => gateway.tell(ask, &arguments),
        };
        if let Some(meter) = self.callee.meter.as_ref().filter(|_| !sent) {
            meter.dropped(ask.method, ask.info);
        }
    }

    /// Returns the place in a trace of a call that is made here, and tells of it.
    fn trace(&self, info: &MethodInfo) -> Option<TraceContext> {
        let trace = scope::outgoing_trace()?;
        handler::made(trace, info, self.callee.address.as_str());
        Some(trace)
    }

    fn ask(&self, method: usize, info: &'static MethodInfo) -> Ask {
        Ask {
            method,
            info,
            token: self.token,
            trace: self.trace(info),
        }
    }

    /// Returns how large a message of a call within the service may be that is encoded as if it
    /// travelled; `None` if its values are moved.
    fn strict(&self, info: &MethodInfo) -> Option<usize> {
        self.caller.strict.filter(|_| !info.local)
    }
}

impl<R> Clone for Port<R> {
    fn clone(&self) -> Self {
        Self {
            route: self.route.clone(),
            callee: Arc::clone(&self.callee),
            token: self.token,
            caller: Arc::clone(&self.caller),
        }
    }
}

impl<R> fmt::Debug for Port<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("address", &self.callee.address.as_str())
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
