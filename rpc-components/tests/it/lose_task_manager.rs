//! TaskManagers that go away.

use rpc_components::gateway::JobStatus;

use crate::fixture::{cluster, endless, finish, wait_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_task_manager_fails_its_job_and_the_next_runs_on_the_rest() {
    let mut cluster = cluster("local", 2, 1).await;
    let client = cluster.client().await.unwrap();
    let job = client.submit(endless(2)).await.unwrap();
    wait_for(&client, job, JobStatus::Running).await;
    cluster.remove_task_manager().await.unwrap();
    let (_, result) = finish(&client, job).await;
    assert_eq!(result.status, JobStatus::Failed);
    let told = result.failure.join(": ");
    assert!(told.contains("tm-2"), "{told}");
    let next = client.submit(endless(1)).await.unwrap();
    wait_for(&client, next, JobStatus::Running).await;
    client.cancel(next).await.unwrap();
    assert_eq!(finish(&client, next).await.1.status, JobStatus::Canceled);
    assert_eq!(client.overview().await.unwrap().task_managers, 1);
    cluster.close().await.unwrap();
}
