//! Jobs that are cancelled.

use rpc_components::client::ClientError;
use rpc_components::gateway::{CancelError, JobStatus};
use rpc_components::id::JobId;
use rpc_components::job_graph::OperatorSpec;
use rpc_core::RpcError;

use crate::fixture::{chain, cluster, endless, finish, wait_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_job_frees_its_slots_for_the_next() {
    let cluster = cluster("local", 2, 1).await;
    let client = cluster.client().await.unwrap();
    let first = client.submit(endless(2)).await.unwrap();
    wait_for(&client, first, JobStatus::Running).await;
    assert_eq!(client.overview().await.unwrap().slots_free, 0);
    // It waits for the slots that the first job has.
    let second = client.submit(endless(2)).await.unwrap();
    client.cancel(first).await.unwrap();
    let (_, result) = finish(&client, first).await;
    assert_eq!(result.status, JobStatus::Canceled);
    wait_for(&client, second, JobStatus::Running).await;
    client.cancel(second).await.unwrap();
    assert_eq!(finish(&client, second).await.1.status, JobStatus::Canceled);
    cluster.close().await.unwrap();
}

// Flink: DispatcherTest#testCancellationOfCanceledTerminalDoesNotThrowException,
// #testCancellationOfNonCanceledTerminalJobFailsWithAppropriateException
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_job_that_runs_or_was_cancelled_can_be_cancelled() {
    let cluster = cluster("local", 1, 1).await;
    let client = cluster.client().await.unwrap();
    let job = client.submit(endless(1)).await.unwrap();
    client.cancel(job).await.unwrap();
    finish(&client, job).await;
    client.cancel(job).await.unwrap();

    let source = OperatorSpec::new("generator-source").with("count", 1_i64);
    let graph = chain("short", 1, [source, OperatorSpec::new("discard-sink")]);
    let ended = client.submit(graph).await.unwrap();
    finish(&client, ended).await;
    let error = client.cancel(ended).await.unwrap_err();
    let has_ended = matches!(
        error,
        ClientError::Cancel(RpcError::App(CancelError::HasEnded { job, .. })) if job == ended
    );
    assert!(has_ended, "{error}");

    let nobody = JobId::random();
    let error = client.cancel(nobody).await.unwrap_err();
    let not_found = matches!(
        error,
        ClientError::Cancel(RpcError::App(CancelError::NotFound { job })) if job == nobody
    );
    assert!(not_found, "{error}");
    cluster.close().await.unwrap();
}
