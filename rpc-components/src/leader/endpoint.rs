//! The endpoint that tells who leads.

use std::collections::BTreeMap;

use rpc_core::{RpcEndpoint, RpcResult, gateways, rpc_endpoint};

use crate::gateway::{Component, LeaderGateway, LeaderInformation};

/// Knows the leaders of a process.
#[derive(Debug, Default)]
pub struct Leaders {
    leaders: BTreeMap<Component, LeaderInformation>,
}

impl Leaders {
    /// Makes a component the leader of its kind.
    pub fn confirm(&mut self, of: Component, leader: LeaderInformation) {
        self.leaders.insert(of, leader);
    }
}

impl RpcEndpoint for Leaders {
    type Gateways = gateways![LeaderGateway];
}

#[rpc_endpoint(LeaderGateway)]
impl Leaders {
    fn leader(&self, of: Component) -> RpcResult<Option<LeaderInformation>> {
        Ok(self.leaders.get(&of).cloned())
    }
}
