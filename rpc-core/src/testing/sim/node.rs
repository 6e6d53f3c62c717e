use std::pin::pin;

use tokio::task::JoinHandle;

use super::faults::Standing;
use super::network::SimNetwork;
use super::transport::SimTransport;
use super::world::NodeId;

/// A host of a [`SimNetwork`], and the process on it.
///
/// It stands for one life of the process: after a crash, [`restart`](SimNetwork::restart) returns the
/// next one, and this one stays crashed.
#[derive(Clone, Debug)]
pub struct SimNode {
    network: SimNetwork,
    name: String,
    id: NodeId,
    incarnation: u64,
}

/// The node has crashed, and what ran on it was dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node {node} has crashed")]
#[non_exhaustive]
pub struct SimCrashed {
    /// The node's name.
    pub node: String,
}

impl SimNode {
    pub(super) const fn new(
        network: SimNetwork,
        name: String,
        id: NodeId,
        incarnation: u64,
    ) -> Self {
        Self {
            network,
            name,
            id,
            incarnation,
        }
    }

    /// Returns the node's name, which is the authority of its addresses: `sim://name/endpoint`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the transport by which this process listens and dials.
    #[must_use]
    pub fn transport(&self) -> SimTransport {
        SimTransport::new(self.clone())
    }

    /// Tells whether the process is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.standing() == Standing::Paused
    }

    /// Tells whether the process has crashed, also if the node was started anew.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        self.standing() == Standing::Crashed
    }

    /// Runs a future as part of the process: it is not polled while the process is paused, and
    /// dropped when it crashes.
    ///
    /// # Errors
    ///
    /// The process has crashed.
    ///
    /// # Cancel safety
    ///
    /// As that of the future.
    pub async fn run<F: Future>(&self, future: F) -> Result<F::Output, SimCrashed> {
        let mut future = pin!(future);
        loop {
            let mut changed = pin!(self.network.standing_changed().notified());
            changed.as_mut().enable();
            match self.standing() {
                Standing::Crashed => {
                    return Err(SimCrashed {
                        node: self.name.clone(),
                    });
                }
                Standing::Paused => changed.await,
                Standing::Running => tokio::select! {
                    biased;
                    () = changed => {}
                    output = &mut future => return Ok(output),
                },
            }
        }
    }

    /// Spawns a task that is part of the process, as [`run`](Self::run) has it.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<Result<F::Output, SimCrashed>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let node = self.clone();
        tokio::spawn(async move { node.run(future).await })
    }

    /// Runs `hook` when the process crashes, at once if it has; it is where a test stops a service
    /// whose tasks are not the node's.
    pub fn on_crash(&self, hook: impl FnOnce() + Send + 'static) {
        if self.is_crashed() {
            hook();
        } else {
            self.network.on_crash(self.id, Box::new(hook));
        }
    }

    fn standing(&self) -> Standing {
        self.network
            .with(|world, _| world.standing(self.id, self.incarnation))
    }

    pub(super) const fn network(&self) -> &SimNetwork {
        &self.network
    }

    pub(super) const fn process(&self) -> (NodeId, u64) {
        (self.id, self.incarnation)
    }
}
