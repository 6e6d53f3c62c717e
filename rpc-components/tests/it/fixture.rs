//! Clusters, jobs, and what is expected of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rpc_components::client::ClusterClient;
use rpc_components::gateway::{ExecutionState, JobResult, JobStatus};
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
    let compiled_in = all.into_iter().filter(|(_, is_there)| *is_there);
    compiled_in.map(|(transport, _)| transport).collect()
}

/// Starts a cluster whose components talk by `transport`.
pub(crate) async fn cluster(transport: &str, task_managers: u32, slots: u32) -> MiniCluster {
    cluster_with(
        transport,
        task_managers,
        slots,
        OperatorRegistry::new(),
        |_| {},
    )
    .await
}

pub(crate) async fn cluster_with(
    transport: &str,
    task_managers: u32,
    slots: u32,
    operators: OperatorRegistry,
    change: impl FnOnce(&mut MiniClusterConfig),
) -> MiniCluster {
    let mut config = MiniClusterConfig::default();
    config.transport = transport.to_owned();
    config.task_managers = task_managers;
    config.slots = slots;
    change(&mut config);
    MiniCluster::start(Arc::new(operators), config)
        .await
        .unwrap()
}

/// Runs a test's body, but not for ever.
pub(crate) async fn in_time<T>(body: impl Future<Output = T>) -> T {
    let body = tokio::time::timeout(PATIENCE, body).await;
    body.expect("the test ends in time")
}

/// Waits until something holds, looking every few milliseconds.
pub(crate) async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let look = async {
        while !holds().await {
            ticks.tick().await;
        }
    };
    in_time(look).await;
}

/// Submits a job and follows it: how it ends, and what it prints.
pub(crate) async fn run(client: &ClusterClient, graph: JobGraph) -> (JobResult, String) {
    let job = client.submit(graph).await.unwrap();
    follow(client, job).await
}

pub(crate) async fn follow(client: &ClusterClient, job: JobId) -> (JobResult, String) {
    let mut printed = Vec::new();
    let followed = client.follow_results(job, |piece| {
        printed.extend_from_slice(&piece);
        std::future::ready(())
    });
    in_time(followed).await.unwrap();
    let result = in_time(client.job_result(job)).await.unwrap();
    (result, String::from_utf8(printed).unwrap())
}

/// Runs a job that is expected to finish; what it prints.
pub(crate) async fn finish(client: &ClusterClient, graph: JobGraph) -> String {
    let (result, printed) = run(client, graph).await;
    assert_eq!(
        (result.status, result.failure),
        (JobStatus::Finished, vec![])
    );
    printed
}

/// Waits until all tasks of a job run, which they do some time after the job does.
pub(crate) async fn until_running(client: &ClusterClient, job: JobId) {
    until(async || {
        let info = client.job(job).await.unwrap();
        let mut subtasks = info.vertices.iter().flat_map(|it| &it.subtasks);
        subtasks.all(|it| it.state == ExecutionState::Running)
    })
    .await;
}

/// Makes a word count of files.
pub(crate) fn word_count(paths: &[&Path], parallelism: u32) -> JobGraph {
    let path = |it: &&Path| it.to_str().unwrap().to_owned();
    JobGraph::word_count(paths.iter().map(path).collect(), None, parallelism)
}

/// What a word count of these texts prints.
pub(crate) fn counted(texts: &[&str]) -> String {
    let mut counts = BTreeMap::<_, u64>::new();
    for text in texts {
        let words = text.split(|it: char| !it.is_alphanumeric());
        for word in words.filter(|it| !it.is_empty()) {
            *counts.entry(word.to_lowercase()).or_default() += 1;
        }
    }
    let mut printed = String::new();
    for (word, count) in counts {
        writeln!(printed, "{word}\t{count}").unwrap();
    }
    printed
}

/// Makes a job of operators, each of which hands its records to the next.
pub(crate) fn chain(
    operators: impl IntoIterator<Item = OperatorSpec>,
    parallelism: u32,
) -> JobGraph {
    let vertices: Vec<_> = operators
        .into_iter()
        .map(|operator| Vertex {
            name: operator.name.clone(),
            operator,
            parallelism,
        })
        .collect();
    let edge = |(from, _)| Edge {
        from: VertexId(from),
        to: VertexId(from + 1),
        ship: Ship::Forward,
    };
    JobGraph {
        id: JobId::random(),
        name: String::from("chain"),
        edges: (0..).zip(&vertices[1..]).map(edge).collect(),
        vertices,
        slot_wait: None,
        restart: None,
    }
}

/// Makes a job that runs until it is cancelled.
pub(crate) fn endless(parallelism: u32) -> JobGraph {
    let source = OperatorSpec::new("generator-source").with("rate", 100.0);
    chain([source, OperatorSpec::new("discard-sink")], parallelism)
}

/// Longer than any of the tests takes.
const PATIENCE: Duration = Duration::from_secs(60);
