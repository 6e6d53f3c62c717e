//! core
extern crate self as rpc_core;

mod address;
mod authority;
mod call;
mod codec;
mod config;
mod connection;
mod context;
mod endpoint;
mod error;
mod fencing;
mod frame;
mod gateway;
mod lifecycle;
mod mailbox;
mod main_loop;
mod main_thread;
mod reply_slot;
mod scope;
mod server;
mod service;
mod shared;
#[cfg(all(feature = "testing", feature = "macros"))]
pub mod testing;
mod timers;
pub mod transport;

pub use self::address::{Address, AddressError};
pub use self::call::{Call, ReplyTo};
pub use self::config::RpcConfig;
pub use self::context::{Context, TimerHandle};
pub use self::endpoint::{GatewayList, Handles, PanicPolicy, RpcEndpoint};
pub use self::error::{
    AppError, BoxError, EndpointError, Failure, Never, Outcome, RpcError, RpcResult,
};
pub use self::fencing::FencingToken;
pub use self::gateway::{Fenced, FencedRpcGateway, Gateway, RpcGateway, Unfenced};
pub use self::main_thread::{MainThread, MainThreadExecutor};
pub use self::server::RpcServer;
pub use self::service::{
    BuildError, ChannelListener, ConnectError, RpcService, RpcServiceBuilder, StartError,
};
#[cfg(feature = "macros")]
pub use rpc_core_macros::{rpc_endpoint, rpc_gateway};

/// What the macros expand to; no part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::connection::IncomingCall;
    pub use crate::endpoint::{Handling, OneOf1, OneOf2, OneOf3, OneOf4, OneOf5, OneOf6, Routes};
    pub use crate::gateway::{
        CallTimeout, Message, MethodInfo, Port, decode_arguments, deny, interleave, no_method,
        reply_to,
    };
    pub use crate::shared::EndpointCore;
}
