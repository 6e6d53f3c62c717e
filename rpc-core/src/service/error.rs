//! Why a service cannot be made, an endpoint not started, a gateway not connected.

use std::time::Duration;

use crate::address::AddressError;
use crate::transport::TransportError;

/// Why a service cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A limit or time of the configuration cannot work.
    #[error("{field} {reason}")]
    Config {
        /// The field of [`RpcConfig`](crate::RpcConfig).
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A transport listens, and there is no runtime in which to accept.
    #[error("{NO_RUNTIME}")]
    NoRuntime,
    /// A transport cannot be bound.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Two transports have the same scheme.
    #[error("two transports have the scheme {scheme}")]
    Twice {
        /// The scheme.
        scheme: &'static str,
    },
}

/// Why an endpoint was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The service is closed.
    #[error("the service is closed")]
    Closed,
    /// There is no runtime in which the endpoint could run, neither here nor of the service.
    #[error("{NO_RUNTIME}")]
    NoRuntime,
    /// An endpoint cannot have this name.
    #[error(transparent)]
    Name(AddressError),
    /// Another endpoint of the service has the name, or somebody accepts its channels.
    #[error("the name {name} is taken already")]
    Taken {
        /// The name.
        name: String,
    },
}

/// Why a gateway is not connected. Flink's `RpcConnectionException` and `HandshakeException`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The service is closed.
    #[error("the service is closed")]
    Closed,
    /// The peer was reached, and the two sides do not get on.
    #[error("cannot connect to {address}")]
    Handshake {
        /// The address.
        address: String,
        /// What came of the handshake.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The service there has no such endpoint.
    #[error("there is no endpoint {address}")]
    NoEndpoint {
        /// The endpoint's address.
        address: String,
    },
    /// The endpoint does not serve the gateway.
    #[error("endpoint {address} does not serve {gateway}")]
    NoGateway {
        /// The endpoint's address.
        address: String,
        /// The gateway's name.
        gateway: &'static str,
    },
    /// There is no runtime in which the connection could be made, neither here nor of the service.
    #[error("{NO_RUNTIME}")]
    NoRuntime,
    /// The service has no transport for the address.
    #[error("cannot connect to {address}: this service has no transport for {scheme}://")]
    NoTransport {
        /// The address.
        address: String,
        /// Its scheme.
        scheme: String,
    },
    /// It took too long.
    #[error("cannot connect to {address} within {after:?}")]
    Timeout {
        /// The address.
        address: String,
        /// How long was allowed.
        after: Duration,
    },
    /// The peer cannot be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// What is said of a service that was made outside of any runtime, and is used outside of any.
pub(super) const NO_RUNTIME: &str = "there is no tokio runtime, here or where the service was made";
