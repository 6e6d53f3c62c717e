//! Who leads: how a component that knows only a process's address finds the components in it.

use rpc_core::{Call, FencingToken, rpc_gateway};
use serde::{Deserialize, Serialize};

/// Tells who leads. Every JobManager process serves it, without fencing, under a known name.
///
/// It is the standalone form of Flink's `LeaderRetrievalService`.
#[rpc_gateway]
pub trait LeaderGateway {
    /// Returns the leader among the components of a kind; `None` while there is none.
    fn leader(&self, of: Component) -> Call<Option<LeaderInformation>>;
}

/// A kind of component of which one leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Component {
    /// The Dispatcher.
    Dispatcher,
    /// The ResourceManager.
    ResourceManager,
}

/// Who leads, and in which term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a wire type")]
pub struct LeaderInformation {
    /// The leader's address.
    pub address: String,
    /// Its term.
    pub token: FencingToken,
}

/// The name of the endpoint that serves [`LeaderGateway`].
pub const LEADER_ENDPOINT: &str = "leader";
