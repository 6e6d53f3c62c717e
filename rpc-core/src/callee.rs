//! Whom the calls of a gateway are for.

use std::fmt;

use crate::address::Address;
use crate::metering::CallMeter;

/// An endpoint as its callers know it.
pub(crate) struct Callee {
    pub(crate) address: Address,
    /// The id of the service that the endpoint belongs to.
    pub(crate) service: u128,
    /// `None` if nobody records metrics.
    pub(crate) meter: Option<CallMeter>,
}

impl Callee {
    pub(crate) const fn new(address: Address, service: u128, meter: Option<CallMeter>) -> Self {
        Self {
            address,
            service,
            meter,
        }
    }
}

impl fmt::Debug for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Callee")
            .field(&self.address.as_str())
            .finish()
    }
}
