//! What the shuffle is tested with.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rpc_core::transport::Stream;
use tokio::io::{duplex, split};
use tokio::runtime::Handle;

use super::{Dialer, ShuffleConfig, ShuffleEnvironment};
use crate::gateway::{InputChannel, InputGateDescriptor, ResultPartition};
use crate::id::{PartitionId, ResourceId};
use crate::job_graph::Ship;
use crate::operator::testing::attempt;

/// Joins environments by pipes in memory; a TaskExecutor's address is its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    environments: Arc<Mutex<BTreeMap<String, ShuffleEnvironment>>>,
}

impl Network {
    /// Adds a TaskExecutor.
    pub(crate) fn add(&self, name: &str, config: ShuffleConfig) -> ShuffleEnvironment {
        let dialer = Arc::new(self.clone());
        let environment = ShuffleEnvironment::new(config, ResourceId::new(name), dialer);
        self.environments
            .lock()
            .insert(name.into(), environment.clone());
        environment
    }
}

impl Dialer for Network {
    fn open(
        &self,
        address: String,
    ) -> BoxFuture<'static, Result<Stream, Box<dyn Error + Send + Sync>>> {
        let environment = self.environments.lock().get(&address).cloned();
        async move {
            let environment = environment.ok_or("nobody is there")?;
            let (near, far) = pipe(4096);
            Handle::current().spawn(environment.serve(far));
            Ok(near)
        }
        .boxed()
    }
}

/// Makes the two ends of a pipe.
pub(crate) fn pipe(bytes_max: usize) -> (Stream, Stream) {
    let (near, far) = duplex(bytes_max);
    let stream = |end| {
        let (reader, writer) = split(end);
        Stream::new(reader, writer)
    };
    (stream(near), stream(far))
}

/// Names the partition of a producer.
pub(crate) fn partition_id(subtask: u32) -> PartitionId {
    PartitionId {
        producer: attempt(0, subtask),
        output: 0,
    }
}

/// Describes the partition of a producer.
pub(crate) fn partition(subtask: u32, ship: Ship, subpartitions: u32) -> ResultPartition {
    ResultPartition {
        id: partition_id(subtask),
        ship,
        subpartitions,
    }
}

/// Describes a gate that reads one share of the producers' partitions.
pub(crate) fn gate(
    producers: &[u32],
    subpartition: u32,
    task_manager: &str,
) -> InputGateDescriptor {
    let channel = |producer: &u32| InputChannel {
        partition: partition_id(*producer),
        subpartition,
        task_manager: ResourceId::new(task_manager),
        data_address: task_manager.into(),
    };
    InputGateDescriptor {
        channels: producers.iter().map(channel).collect(),
    }
}
