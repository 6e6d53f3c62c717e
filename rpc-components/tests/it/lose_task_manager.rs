//! A TaskManager that is lost takes along a job that is not restarted, and nothing else.

use std::fs;

use std::time::Duration;

use rpc_components::gateway::JobStatus;
use rpc_components::job_graph::{JobGraph, RestartStrategy};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::fixture::{
    cluster, endless, finish, in_time, transports, until, until_running, word_count,
};
use crate::processes::Processes;

/// Makes a job that runs until it is cancelled or fails.
fn doomed(parallelism: u32) -> JobGraph {
    JobGraph {
        restart: Some(RestartStrategy::None),
        ..endless(parallelism)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_manager_that_was_killed_is_given_no_job() {
    for transport in transports() {
        let cluster = Processes::start(transport).await;
        // Slots are given in the order of the names.
        let (_first, killed) = cluster.task_manager("a").await;
        let (_second, _rpc) = cluster.task_manager("b").await;
        let client = cluster.client().await;
        in_time(client.wait_for_task_managers(2)).await.unwrap();
        until(async || client.overview().await.unwrap().slots_free == 2).await;
        let started = Instant::now();
        killed.abort();
        let mut graph = word_count(&["Cargo.toml".as_ref()], 1);
        graph.slot_wait = Some(Duration::from_secs(5));
        assert!(finish(&client, graph).await.contains("workspace\t"));
        assert!(started.elapsed() < Duration::from_secs(5));
        let known = client.task_managers().await.unwrap();
        assert_eq!(known.len(), 1, "{known:?}");
        cluster.job_manager.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_task_manager_fails_its_job_and_the_next_job_runs_on_the_rest() {
    // Flink: JobMasterTest#testJobFailureWhenGracefulTaskExecutorTermination, of the whole cluster
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, "a b a").unwrap();
    for transport in transports() {
        let mut cluster = cluster(transport, 2, 1).await;
        let client = cluster.client().await.unwrap();
        let job = client.submit(doomed(2)).await.unwrap();
        until_running(&client, job).await;
        in_time(cluster.remove_task_manager()).await.unwrap();
        let result = in_time(client.job_result(job)).await.unwrap();
        assert_eq!(result.status, JobStatus::Failed);
        assert!(
            result.failure[0].ends_with("failed on tm-2"),
            "{:?}",
            result.failure
        );
        assert_eq!(result.failure[1], "the task manager stops");
        until(async || {
            let overview = client.overview().await.unwrap();
            (overview.task_managers, overview.slots_free) == (1, 1)
        })
        .await;
        assert_eq!(
            finish(&client, word_count(&[&path], 1)).await,
            "a\t2\nb\t1\n"
        );
        // One that joins later is used like any other, and is not taken for the one that was lost.
        cluster.add_task_manager().await.unwrap();
        assert_eq!(
            finish(&client, word_count(&[&path], 2)).await,
            "a\t2\nb\t1\n"
        );
        let known = client.task_managers().await.unwrap();
        let names: Vec<_> = known.iter().map(|it| it.resource.as_str()).collect();
        assert_eq!(names, ["tm-1", "tm-3"]);
        in_time(cluster.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_elsewhere_goes_on() {
    let mut cluster = cluster("local", 2, 1).await;
    let client = cluster.client().await.unwrap();
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let job = client.submit(doomed(1)).await.unwrap();
        until_running(&client, job).await;
        jobs.push(job);
    }
    in_time(cluster.remove_task_manager()).await.unwrap();
    let lost = in_time(client.job_result(jobs[1])).await.unwrap();
    assert_eq!(lost.status, JobStatus::Failed);
    assert_eq!(
        client.job(jobs[0]).await.unwrap().details.status,
        JobStatus::Running
    );
    in_time(cluster.close()).await.unwrap();
}
