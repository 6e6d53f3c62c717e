//! A job that is cancelled ends, and gives back what it had.

use rpc_components::client::ClientError;
use rpc_components::gateway::{CancelError, ExecutionState, JobStatus};
use rpc_components::id::JobId;
use rpc_components::rpc_core::RpcError;

use crate::fixture::{cluster, endless, in_time, run, transports, until, until_running};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slots_of_a_cancelled_job_are_the_next_ones() {
    for transport in transports() {
        let cluster = cluster(transport, 2, 1).await;
        let client = cluster.client().await.unwrap();
        let mut next = client.submit(endless(2)).await.unwrap();
        for _ in 0..3 {
            let job = next;
            until_running(&client, job).await;
            assert_eq!(client.overview().await.unwrap().slots_free, 0);
            // It waits for the slots that the other job has.
            next = client.submit(endless(2)).await.unwrap();
            client.cancel(job).await.unwrap();
            let result = in_time(client.job_result(job)).await.unwrap();
            assert_eq!(
                (result.status, result.failure),
                (JobStatus::Canceled, vec![])
            );
            let info = client.job(job).await.unwrap();
            let mut subtasks = info.vertices.iter().flat_map(|it| &it.subtasks);
            assert!(
                subtasks.all(|it| it.state == ExecutionState::Canceled),
                "{info:?}"
            );
        }
        client.cancel(next).await.unwrap();
        until(async || client.overview().await.unwrap().slots_free == 2).await;
        in_time(cluster.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_for_slots_is_cancelled_at_once() {
    let cluster = cluster("local", 1, 1).await;
    let client = cluster.client().await.unwrap();
    let job = client.submit(endless(5)).await.unwrap();
    client.cancel(job).await.unwrap();
    let result = in_time(client.job_result(job)).await.unwrap();
    assert_eq!(result.status, JobStatus::Canceled);
    // Once more is once too many, but no error.
    client.cancel(job).await.unwrap();
    until(async || client.overview().await.unwrap().slots_free == 1).await;
    in_time(cluster.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_ended_otherwise_is_not_cancelled() {
    // Flink: DispatcherTest#testCancellationOfCanceledTerminalDoesNotThrowException,
    //   #testCancellationOfNonCanceledTerminalJobFailsWithAppropriateException
    let cluster = cluster("local", 1, 1).await;
    let client = cluster.client().await.unwrap();
    let mut graph = endless(2);
    graph.slot_wait = Some(std::time::Duration::ZERO);
    let (result, _) = run(&client, graph).await;
    let (job, status) = (result.job, result.status);
    let refused = client.cancel(job).await;
    let ended = CancelError::HasEnded { job, status };
    assert!(
        matches!(&refused, Err(ClientError::Cancel(RpcError::App(it))) if *it == ended),
        "{refused:?}"
    );
    let job = JobId::random();
    let refused = client.cancel(job).await;
    let unknown = CancelError::NotFound { job };
    assert!(
        matches!(&refused, Err(ClientError::Cancel(RpcError::App(it))) if *it == unknown),
        "{refused:?}"
    );
    in_time(cluster.close()).await.unwrap();
}
