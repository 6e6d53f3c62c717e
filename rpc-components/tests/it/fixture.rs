//! Clusters, jobs, and what they should give.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rpc_components::client::ClusterClient;
use rpc_components::gateway::{JobResult, JobStatus};
use rpc_components::id::{JobId, VertexId};
use rpc_components::job_graph::{Edge, JobGraph, OperatorSpec, Ship, Vertex};
use rpc_components::mini_cluster::{MiniCluster, MiniClusterConfig};
use rpc_components::operator::OperatorRegistry;

/// The transports that were compiled in.
pub(crate) fn transports() -> Vec<&'static str> {
    let all = [
        ("local", cfg!(feature = "local")),
        ("quic", cfg!(feature = "quic")),
        ("tcp", cfg!(feature = "tcp")),
    ];
    all.into_iter()
        .filter(|(_, on)| *on)
        .map(|(name, _)| name)
        .collect()
}

pub(crate) async fn cluster(transport: &str, task_managers: u32, slots: u32) -> MiniCluster {
    with_operators(OperatorRegistry::new(), transport, task_managers, slots).await
}

pub(crate) async fn with_operators(
    operators: OperatorRegistry,
    transport: &str,
    task_managers: u32,
    slots: u32,
) -> MiniCluster {
    let mut config = MiniClusterConfig::default();
    config.transport = transport.to_owned();
    config.task_managers = task_managers;
    config.slots = slots;
    let heartbeat = &mut config.cluster.heartbeat;
    heartbeat.interval = Duration::from_millis(50);
    heartbeat.timeout = Duration::from_secs(5);
    MiniCluster::start(Arc::new(operators), config)
        .await
        .unwrap()
}

/// Counts the words of a text as slowly and plainly as can be.
pub(crate) fn count_words(text: &str) -> String {
    let mut counts = BTreeMap::<String, u64>::new();
    for word in text
        .split(|it: char| !it.is_alphanumeric())
        .filter(|it| !it.is_empty())
    {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
        .iter()
        .map(|(word, count)| format!("{word}\t{count}\n"))
        .collect()
}

/// Runs a job to its end.
pub(crate) async fn run(client: &ClusterClient, graph: JobGraph) -> (String, JobResult) {
    let job = client.submit(graph).await.unwrap();
    finish(client, job).await
}

/// Follows a job to its end.
pub(crate) async fn finish(client: &ClusterClient, job: JobId) -> (String, JobResult) {
    let mut printed = Vec::new();
    let followed = client.follow_results(job, |piece| {
        printed.extend_from_slice(&piece);
        std::future::ready(())
    });
    followed.await.unwrap();
    let result = client.job_result(job).await.unwrap();
    (String::from_utf8(printed).unwrap(), result)
}

/// A job that runs until it is cancelled.
pub(crate) fn endless(parallelism: u32) -> JobGraph {
    chain(
        "endless",
        parallelism,
        [
            OperatorSpec::new("generator-source")
                .with("count", i64::MAX)
                .with("rate", 10.0),
            OperatorSpec::new("discard-sink"),
        ],
    )
}

/// A job of operators that hand their records on one to the next.
pub(crate) fn chain(
    name: &str,
    parallelism: u32,
    operators: impl IntoIterator<Item = OperatorSpec>,
) -> JobGraph {
    let vertices: Vec<_> = operators
        .into_iter()
        .map(|operator| Vertex {
            name: operator.name.clone(),
            operator,
            parallelism,
        })
        .collect();
    let last = u32::try_from(vertices.len()).unwrap() - 1;
    let edges = (0..last).map(|from| Edge {
        from: VertexId(from),
        to: VertexId(from + 1),
        ship: Ship::Forward,
    });
    JobGraph {
        id: JobId::random(),
        name: name.to_owned(),
        edges: edges.collect(),
        vertices,
        slot_wait: None,
    }
}

/// Waits until a job stands so.
pub(crate) async fn wait_for(client: &ClusterClient, job: JobId, status: JobStatus) {
    let reached = async {
        while client.job(job).await.unwrap().details.status != status {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached)
        .await
        .unwrap();
}
