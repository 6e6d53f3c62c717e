//! Actor-style RPC after Apache Flink's: typed gateways to endpoints that each live on one logical
//! main thread.
//!
//! An [`RpcEndpoint`] is a component: plain data, and handlers that touch it one at a time, without
//! an `Arc` or a `Mutex`. While a handler awaits, other messages are served. A *gateway* is a trait
//! of what may be asked of it; [`RpcService`] starts endpoints and connects gateways to them, in the
//! same service by value, and in others over a [`transport`].
//!
//! ```
//! use rpc_core::{Call, MainThread, RpcEndpoint, RpcResult, RpcService};
//! use rpc_core::{gateways, rpc_endpoint, rpc_gateway};
//!
//! /// What may be asked of a counter.
//! #[rpc_gateway]
//! pub trait CounterGateway {
//!     /// Adds, and returns the sum.
//!     fn add(&self, number: u64) -> Call<u64>;
//!     /// Forgets the sum; nobody waits for it.
//!     fn reset(&self);
//! }
//!
//! #[derive(Default)]
//! struct Counter {
//!     sum: u64,
//! }
//!
//! impl RpcEndpoint for Counter {
//!     type Gateways = gateways![CounterGateway];
//! }
//!
//! #[rpc_endpoint(CounterGateway)]
//! impl Counter {
//!     fn add(&mut self, number: u64) -> RpcResult<u64> {
//!         self.sum += number;
//!         Ok(self.sum)
//!     }
//!
//!     fn reset(&mut self) {
//!         self.sum = 0;
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = RpcService::local();
//! let server = service.start_server("counter", Counter::default())?;
//! server.start();
//!
//! let counter = service.connect::<dyn CounterGateway>("counter").await?;
//! counter.reset();
//! assert_eq!(counter.add(20).await?, 20);
//! assert_eq!(counter.add(22).await?, 42);
//! service.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Read next: [`rpc_gateway`] and [`rpc_endpoint`] for what may be written, [`MainThread`] for what
//! an interleaving handler holds, [`RpcError`] for what can go wrong, and [`Payload`] for arguments that
//! may be large.
//!
#![doc = include_str!("docs/semantics.md")]
//!
//! # Traces
//!
//! A call is traced if somebody records spans of target `rpc_core::call` at level `INFO`, or if the
//! call in whose handler it is made is traced. Its [`TraceContext`] travels with it, and its handler
//! runs in a span `rpc` with the fields `method`, `endpoint`, `peer`, `trace_id` and `span_id`. At
//! level `DEBUG` its caller tells of it too, with its `parent_id`. All code of an endpoint runs in a
//! span `endpoint` with its `name`, and all that a service runs, that span too, is in the [`tracing`]
//! span in which the service was made.
//!
//! # Metrics
//!
//! They go to the recorder of the [`metrics`] facade, if there is one; see [`RpcConfig::metrics`].
//!
//! | metric | kind | labels | what it is |
//! |---|---|---|---|
//! | `rpc_calls_total` | counter | endpoint, method | calls and one-way messages that handlers took |
//! | `rpc_handler_seconds` | histogram | endpoint, method | from a handler's begin to its end; that of an interleaving one includes what it awaits |
//! | `rpc_mailbox_wait_seconds` | histogram | endpoint, method | from a message's arrival to its handler's begin |
//! | `rpc_mailbox_messages` | gauge | endpoint | messages and posted code in the mailbox |
//! | `rpc_messages_dropped_total` | counter | endpoint, method | one-way messages that a full mailbox turned away, or that were not sent |
//! | `rpc_call_errors_total` | counter | endpoint, method, kind | failed calls, counted at their caller by the kind of [`RpcError`] |
//! | `rpc_timeouts_total` | counter | endpoint, method | those of them that had no answer in time |
//! | `rpc_response_bytes` | histogram | endpoint, method | frames of responses; the latest is Flink's `Status.RPC.latestResponseFrameSizeBytes` |
//! | `rpc_oversized_total` | counter | endpoint, method | responses that were too large; Flink's `Status.RPC.oversizedResponseRejections` |
//! | `rpc_connections` | gauge | direction: incoming, outgoing | connections that carry calls |
//! | `rpc_bytes_total` | counter | direction: received, sent | what they carried; counted now and then, and at their end |
//!
//! A main thread counts by itself and tells the recorder at the end of each round of up to 64 messages,
//! equal values together (`Histogram::record_many`): a recorder that takes them together, as the facade
//! lets it, costs a busy endpoint little. No message is left out. Times below 16 microseconds are told to
//! an eighth of a power of two, longer ones as they were. Handlers of a method that does not await and
//! took less than a microsecond of late are timed up to four at once, and each is told to have taken as
//! long; if the four took longer than that, one of them is told to have taken all that the others usually
//! do not. So a wait may be told too short by three such handlers.
//!
//! What is going on at one moment, and who waits for whom, is in [`RpcService::diagnostics`]. A main
//! thread that is blocked for longer than [`RpcConfig::stall_warning`] is told by a warning.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `macros` | yes | [`rpc_gateway`] and [`rpc_endpoint`] |
//! | `testing` | no | [`testing`]: the conformance suite that every transport has to pass, a simulated network, faults by method |
//!
//! # Non-goals
//!
//! Exactly-once delivery, discovery of services, and untrusted peers without TLS: those belong above
//! or below this crate.
//!
#![doc = include_str!("docs/wire.md")]
#![cfg_attr(
    not(all(feature = "macros", feature = "testing")),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "what a feature adds is named also without it"
    )
)]

// The macros name this crate by its absolute path, here as anywhere else.
extern crate self as rpc_core;

// By the way of a call:
//
// * who calls: `gateway`, `method`, `caller`, `call`, `reply_slot`, `deadlines`, `closed`
// * to another service: `service` finds or makes a `connection`, which has frames of `frame` and bodies of
//   `codec` on a stream of a `transport`; `connection/remote` finds the endpoint again after a loss
// * who is called: `callee`, `mailbox`, `endpoint_core`, `main_loop`, `endpoint`, `handler`, `context`,
//   `main_thread`, `timers`, `fencing`
// * from start to end: `server`, `lifecycle`, `termination`, `watchdog`
// * what runs when: `turn` puts writes and wakes off, `scope` is what a handler's own calls inherit
// * who looks on: `metering`, `trace`, `diagnostics`, `pulse`
// * what is tested: `testing` for users, `chaos`, `loom_models` and the faults of `mutant` for this crate
mod address;
mod authority;
mod call;
mod callee;
mod caller;
#[cfg(all(test, feature = "testing"))]
mod chaos;
mod closed;
mod codec;
mod config;
mod connection;
mod context;
mod deadlines;
mod diagnostics;
mod endpoint;
mod endpoint_core;
mod error;
mod fencing;
mod fnv;
mod frame;
mod gateway;
mod handler;
mod lifecycle;
#[cfg(all(test, rpc_loom))]
mod loom_models;
mod mailbox;
mod main_loop;
mod main_thread;
mod metering;
mod method;
mod moment;
mod mutant;
mod pulse;
mod reply_slot;
mod scope;
mod server;
mod service;
mod strict;
mod sync;
mod termination;
#[cfg(feature = "testing")]
pub mod testing;
mod timers;
mod trace;
pub mod transport;
mod turn;
mod unfinished;
mod unordered;
mod watchdog;

pub use self::address::{Address, AddressError, unique_name};
pub use self::call::{Call, ReplyTo};
pub use self::closed::{Closed, GatewayClosed};
pub use self::codec::payload::Payload;
pub use self::config::RpcConfig;
pub use self::context::{Context, ResourceId, TimerHandle};
pub use self::diagnostics::{
    ConnectionDiagnostics, Cycle, CycleStep, Diagnostics, Direction, EndpointDiagnostics,
    EndpointState, WaitingCall, find_cycles,
};
pub use self::endpoint::{GatewayList, Handles, PanicPolicy, RpcEndpoint};
pub use self::error::{
    AppError, BoxError, EndpointError, Failure, Never, Outcome, RpcError, RpcResult,
};
pub use self::fencing::{FencingToken, StaleToken};
pub use self::gateway::{Fenced, FencedRpcGateway, Gateway, RpcGateway, Unfenced};
pub use self::main_thread::{MainThread, MainThreadExecutor};
pub use self::server::RpcServer;
pub use self::service::{
    BuildError, ChannelListener, ConnectError, RpcService, RpcServiceBuilder, ScheduledExecutor,
    ScheduledTask, StartError, TaskError,
};
pub use self::trace::{TraceContext, TraceContextError};
/// Makes an impl block the handlers of a gateway: `#[rpc_endpoint(CounterGateway)]`.
///
/// Each method of the gateway has a handler of its name, in one of four shapes:
///
/// | shape | what it does |
/// |---|---|
/// | `fn f(&mut self, [cx: &mut Context<Self>,] arguments..) -> RpcResult<T, E>` | quick: runs to its end |
/// | `fn f(&mut self, [cx,] arguments..)` | one-way |
/// | `async fn f(main: MainThread<'_, Self>, arguments..) -> RpcResult<T, E>` | interleaving: others are served while it awaits |
/// | `fn f(&mut self, [cx,] arguments.., reply: ReplyTo<T, E>)` | deferred: answers when it can |
///
/// A handler uses `?` on its method's own error, and on that of a call whose method has none of its own.
/// It makes a [`Failure`] of any other:
///
/// ```
/// # use rpc_core::{Call, Failure, RpcEndpoint, RpcResult, gateways, rpc_endpoint, rpc_gateway};
/// #[rpc_gateway]
/// pub trait FileGateway {
///     fn size(&self, path: String) -> Call<u64>;
/// }
/// struct Files;
/// impl RpcEndpoint for Files {
///     type Gateways = gateways![FileGateway];
/// }
/// #[rpc_endpoint(FileGateway)]
/// impl Files {
///     fn size(&mut self, path: String) -> RpcResult<u64> {
///         let file = std::fs::metadata(path).map_err(|error| Failure::new(&error))?;
///         Ok(file.len())
///     }
/// }
/// ```
///
/// An endpoint that serves several gateways has a block for each; since handlers are its methods, no
/// two gateways may have a method of the same name. A handler that is missing is a
/// compile error, and so is one of another type:
///
/// ```compile_fail
/// # use rpc_core::{Call, RpcEndpoint, RpcResult, gateways, rpc_endpoint, rpc_gateway};
/// #[rpc_gateway]
/// pub trait ClockGateway {
///     fn now(&self) -> Call<u64>;
///     fn zone(&self) -> Call<String>;
/// }
/// struct Clock;
/// impl RpcEndpoint for Clock {
///     type Gateways = gateways![ClockGateway];
/// }
/// #[rpc_endpoint(ClockGateway)]
/// impl Clock {
///     fn now(&mut self) -> RpcResult<u64> {
///         Ok(0)
///     }
/// }
/// ```
///
/// So is one that the gateway has no method for, by exactly its name:
///
/// ```compile_fail
/// # use rpc_core::{Call, RpcEndpoint, RpcResult, gateways, rpc_endpoint, rpc_gateway};
/// #[rpc_gateway]
/// pub trait ClockGateway {
///     fn time_zone(&self) -> Call<String>;
/// }
/// struct Clock;
/// impl RpcEndpoint for Clock {
///     type Gateways = gateways![ClockGateway];
/// }
/// #[rpc_endpoint(ClockGateway)]
/// impl Clock {
///     fn time_Zone(&mut self) -> RpcResult<String> {
///         Ok(String::from("UTC"))
///     }
/// }
/// ```
///
/// State cannot be kept over an await:
///
/// ```compile_fail
/// # use rpc_core::{Call, MainThread, RpcEndpoint, RpcResult, gateways, rpc_endpoint, rpc_gateway};
/// #[rpc_gateway]
/// pub trait ClockGateway {
///     fn now(&self) -> Call<u64>;
/// }
/// struct Clock {
///     time: u64,
/// }
/// impl RpcEndpoint for Clock {
///     type Gateways = gateways![ClockGateway];
/// }
/// #[rpc_endpoint(ClockGateway)]
/// impl Clock {
///     async fn now(main: MainThread<'_, Self>) -> RpcResult<u64> {
///         let time = main.run(|clock, _| &mut clock.time);
///         std::future::ready(()).await;
///         *time += 1;
///         Ok(*time)
///     }
/// }
/// ```
#[cfg(feature = "macros")]
pub use rpc_core_macros::rpc_endpoint;

/// Makes a trait a gateway: emits the trait as it is written, its client, its requests, and a mock.
///
/// A method takes `&self` and up to 16 values that are `Debug` and that serde can carry, and returns
/// [`Call<T>`](Call), or [`Call<T, E>`](Call) if it has an error of its own (an [`AppError`]), or nothing
/// if it is one-way. A result need not be `Debug`.
///
/// | option | meaning |
/// |---|---|
/// | `#[rpc_gateway(fenced)]` | it is connected with a token, which every call carries |
/// | `#[rpc_gateway(roles = "a, b")]` | who may call its methods that say nothing else |
/// | `#[rpc(timeout = "30s")]` | how long a call may take: `ms`, `s`, `min`, or `none` |
/// | `#[rpc(no_cancel)]` | a handler runs on when its caller has gone |
/// | `#[rpc(idempotent)]` | it may run several times: a call is sent again when its connection is lost |
/// | `#[rpc(local)]` | values that cannot travel may be passed within a service, also if [`RpcConfig::strict_local`] |
/// | `#[rpc(roles = "a, b")]` | who may call it, by [`RpcServiceBuilder::require_roles`]; nobody if it says nothing |
///
/// For a trait `JobMasterGateway` it emits `JobMasterGatewayClient`, `JobMasterGatewayRequest` and
/// `MockJobMasterGateway`:
///
/// ```
/// # use rpc_core::{Call, rpc_gateway};
/// #[rpc_gateway]
/// pub trait ClockGateway {
///     #[rpc(timeout = "500ms")]
///     fn now(&self, zone: String) -> Call<u64>;
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock: std::sync::Arc<dyn ClockGateway> =
///     std::sync::Arc::new(MockClockGateway::default().now(|_zone| Ok(42)));
/// assert_eq!(clock.now("UTC".into()).await, Ok(42));
/// # }
/// ```
///
/// # What travels
///
/// The encoding does not describe itself, and fields have no names in it. So serde's `flatten`, `untagged`
/// and `tag` (with `content` or without) do not travel: the call fails with [`RpcError::Codec`]. A field
/// that is left out by `skip_serializing_if` shifts those behind it, so that the call fails or gives wrong
/// values. Within a service values are moved, and nobody notices: tests do with
/// [`RpcConfig::strict_local`].
///
/// # Names and versions
///
/// On the wire a gateway has the bare name of its trait, from whatever module it is, and a method is known
/// by a hash of its name and of the types of its arguments and its result, as they are written. A caller
/// learns from the callee which methods it has just so: calls of the others fail with
/// [`RpcError::Incompatible`].
///
/// * A type that is written by another path, as `model::Job` and not `Job`, makes its method another one.
///   `Call` does not.
/// * A struct or an enum that changes and keeps its name goes unnoticed: its values cannot be decoded, or
///   are wrong. Whoever changes one that is in use gives it, or the method, another name.
///
/// # What may surround it
///
/// * Supertraits are auto traits, such as `Send`: the client and the mock have no others.
/// * The macros name this crate `::rpc_core`. Where it has another name in Cargo.toml, the user's crate
///   has `extern crate other_name as rpc_core;` at its root.
///
/// # Fencing
///
/// A fenced gateway cannot be connected without a token:
///
/// ```compile_fail
/// # use rpc_core::{Call, RpcService, rpc_gateway};
/// #[rpc_gateway(fenced)]
/// pub trait ClockGateway {
///     fn now(&self) -> Call<u64>;
/// }
/// # async fn connect(service: RpcService) {
/// let clock = service.connect::<dyn ClockGateway>("clock").await;
/// # }
/// ```
#[cfg(feature = "macros")]
pub use rpc_core_macros::rpc_gateway;

/// What the macros expand to; no part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::call::{AnyReply, Begun, Time};
    pub use crate::connection::IncomingCall;
    pub use crate::endpoint::{Handling, OneOf1, OneOf2, OneOf3, OneOf4, OneOf5, OneOf6, Routes};
    pub use crate::endpoint_core::EndpointCore;
    pub use crate::gateway::{
        Message, Port, decode_arguments, deny, interleave, no_method, reply_to,
    };
    pub use crate::main_thread::Batch;
    pub use crate::method::{CallTimeout, MethodInfo, has_method};
    pub use crate::moment::Moment;
    pub use crate::scope::CallScope;
}
