//! Whom the calls of a gateway are for.

use std::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::metering::CallMeter;

/// An endpoint as its callers know it.
pub(crate) struct Callee {
    pub(crate) address: Arc<Address>,
    /// The address as text, as [`RpcGateway::address`](crate::RpcGateway::address) returns it.
    pub(crate) text: Arc<str>,
    /// The id of the service that the endpoint belongs to.
    pub(crate) service: u128,
    /// `None` if nobody records metrics.
    pub(crate) meter: Option<CallMeter>,
}

impl Callee {
    pub(crate) fn new(address: Arc<Address>, service: u128, meter: Option<CallMeter>) -> Self {
        Self {
            text: address.to_string().into(),
            address,
            service,
            meter,
        }
    }
}

impl fmt::Debug for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Callee").field(&self.text).finish()
    }
}
