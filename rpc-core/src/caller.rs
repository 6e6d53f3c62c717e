//! What all gateways of a service share.

use std::time::Duration;

use crate::address::Address;
use crate::callee::Callee;
use crate::config::RpcConfig;
use crate::deadlines::Deadlines;
use crate::metering::CallMeter;

/// How the gateways of a service call.
#[derive(Default)]
pub(crate) struct Caller {
    /// The service's id.
    pub(crate) service: u128,
    /// Whether metrics are wanted.
    pub(crate) metrics: bool,
    pub(crate) call_timeout: Duration,
    /// How large a message of a strict call may be; `None` if values are moved.
    pub(crate) strict: Option<usize>,
    /// Whether who awaits a call runs its handler, if that is brief.
    pub(crate) lends: bool,
    pub(crate) deadlines: Deadlines,
    #[cfg(feature = "testing")]
    pub(crate) faults: crate::testing::faults::Faults,
}

impl Caller {
    pub(crate) fn new(service: u128, config: &RpcConfig) -> Self {
        Self {
            service,
            metrics: config.metrics,
            call_timeout: config.call_timeout,
            strict: config.strict_local.then_some(config.frame_bytes_max),
            lends: config.lend_threads,
            deadlines: Deadlines::default(),
            #[cfg(feature = "testing")]
            faults: Default::default(),
        }
    }

    /// Makes what is known of an endpoint of this or of another service, for a gateway with so many
    /// methods.
    pub(crate) fn callee(&self, address: Address, service: u128, methods: usize) -> Callee {
        let meter = self
            .metrics
            .then(|| CallMeter::new(address.endpoint(), methods));
        Callee::new(address, service, meter.flatten())
    }
}
