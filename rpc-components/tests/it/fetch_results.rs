//! What a job prints reaches the client that follows it, however slow that is.

use std::fs;

use rpc_components::client::ClientError;
use rpc_components::gateway::{FetchError, JobStatus};
use rpc_components::job_graph::OperatorSpec;
use rpc_components::operator::OperatorRegistry;
use rpc_components::rpc_core::RpcError;
use tempfile::TempDir;

use crate::fixture::{
    chain, cluster, cluster_with, finish, in_time, run, transports, until_running,
};

const LINES: u32 = 30_000;

fn generator() -> OperatorSpec {
    OperatorSpec::new("generator-source").with("count", LINES)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_larger_than_the_job_masters_buffer_reach_a_slow_client_completely() {
    let folder = TempDir::new().unwrap();
    for transport in transports() {
        let operators = OperatorRegistry::new();
        let cluster = cluster_with(transport, 1, 1, operators, |config| {
            config.cluster.dispatcher.job_master.results_bytes_max = 100_000;
        })
        .await;
        let client = cluster.client().await.unwrap();
        // What it makes depends on nothing but its number.
        let path = folder.path().join(transport);
        let sink = OperatorSpec::new("file-sink").with("path", path.to_str().unwrap());
        finish(&client, chain([generator(), sink], 1)).await;
        let expected = fs::read_to_string(&path).unwrap();
        assert!(expected.len() > 1_000_000);

        let graph = chain([generator(), OperatorSpec::new("stdout-sink")], 1);
        let job = client.submit(graph).await.unwrap();
        until_running(&client, job).await;
        let (mut printed, mut pieces) = (Vec::new(), 0);
        let followed = client.follow_results(job, |piece| {
            printed.extend_from_slice(&piece);
            pieces += 1;
            let client = client.clone();
            // The job waits for the client: it has not ended while more than the buffer is left.
            let is_early = printed.len() + 500_000 < expected.len();
            async move {
                let status = client.job(job).await.unwrap().details.status;
                assert!(!is_early || status == JobStatus::Running);
            }
        });
        in_time(followed).await.unwrap();
        assert!(pieces >= 10, "{pieces}");
        assert!(printed == expected.as_bytes(), "{transport}");
        let result = in_time(client.job_result(job)).await.unwrap();
        assert_eq!(result.status, JobStatus::Finished);
        in_time(cluster.close()).await.unwrap();
    }
}

/// More than the JobMaster keeps by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_any_size_reach_the_client() {
    let cluster = cluster("local", 1, 1).await;
    let client = cluster.client().await.unwrap();
    let source = OperatorSpec::new("generator-source").with("count", 200_000);
    let printed = finish(
        &client,
        chain([source, OperatorSpec::new("stdout-sink")], 1),
    )
    .await;
    assert_eq!(printed.lines().count(), 200_000);
    assert!(printed.len() > 8 << 20, "{} bytes", printed.len());
    in_time(cluster.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_fetched_is_not_there_for_another() {
    let cluster = cluster("local", 1, 1).await;
    let client = cluster.client().await.unwrap();
    let graph = chain([generator(), OperatorSpec::new("stdout-sink")], 1);
    let (result, printed) = run(&client, graph).await;
    assert_eq!(printed.lines().count(), LINES as usize);
    let again = client
        .follow_results(result.job, |_| std::future::ready(()))
        .await;
    let position = printed.len() as u64;
    let gone = FetchError::Gone {
        job: result.job,
        position,
    };
    assert!(
        matches!(&again, Err(ClientError::Fetch(RpcError::App(it))) if *it == gone),
        "{again:?}"
    );
    in_time(cluster.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_prints_nothing_is_followed_to_its_end() {
    let cluster = cluster("local", 1, 1).await;
    let client = cluster.client().await.unwrap();
    let graph = chain([generator(), OperatorSpec::new("discard-sink")], 1);
    let job = client.submit(graph).await.unwrap();
    in_time(client.job_result(job)).await.unwrap();
    // Also by a client that comes when it is over.
    let followed = client.follow_results(job, |_| std::future::ready(()));
    in_time(followed).await.unwrap();
    in_time(cluster.close()).await.unwrap();
}
