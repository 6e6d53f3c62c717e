//! Jobs that find too few slots.

use std::time::Duration;

use rpc_components::gateway::JobStatus;

use crate::fixture::{cluster, endless, finish, wait_for};

// Flink: MiniClusterITCase#testHandlingNotEnoughSlotsThroughTimeout
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_without_slots_fails_and_says_how_many_there_are() {
    let cluster = cluster("local", 1, 2).await;
    let client = cluster.client().await.unwrap();
    let mut graph = endless(5);
    graph.slot_wait = Some(Duration::from_millis(200));
    let job = client.submit(graph).await.unwrap();
    let (_, result) = finish(&client, job).await;
    assert_eq!(result.status, JobStatus::Failed);
    let told = result.failure.join(": ");
    assert!(told.contains("needs 5"), "{told}");
    assert!(told.contains("the cluster has 2"), "{told}");
    cluster.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_runs_when_a_task_manager_joins() {
    let mut cluster = cluster("tcp", 1, 1).await;
    let client = cluster.client().await.unwrap();
    let job = client.submit(endless(2)).await.unwrap();
    assert_eq!(
        client.job(job).await.unwrap().details.status,
        JobStatus::Created
    );
    cluster.add_task_manager().await.unwrap();
    wait_for(&client, job, JobStatus::Running).await;
    client.cancel(job).await.unwrap();
    finish(&client, job).await;
    cluster.close().await.unwrap();
}
