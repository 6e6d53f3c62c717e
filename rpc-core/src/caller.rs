//! What all gateways of a service share.

use std::time::Duration;

use crate::config::RpcConfig;
use crate::deadlines::Deadlines;

/// How the gateways of a service call.
#[derive(Default)]
pub(crate) struct Caller {
    pub(crate) call_timeout: Duration,
    /// How large a message of a strict call may be; `None` if values are moved.
    pub(crate) strict: Option<usize>,
    pub(crate) deadlines: Deadlines,
    #[cfg(feature = "testing")]
    pub(crate) faults: crate::testing::faults::Faults,
}

impl Caller {
    pub(crate) fn new(config: &RpcConfig) -> Self {
        Self {
            call_timeout: config.call_timeout,
            strict: config.strict_local.then_some(config.frame_bytes_max),
            deadlines: Deadlines::default(),
            #[cfg(feature = "testing")]
            faults: Default::default(),
        }
    }
}
