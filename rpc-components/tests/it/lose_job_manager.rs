//! A JobManager that is lost takes its jobs along, and is found again when it is back.

use std::time::Duration;

use rpc_components::gateway::JobStatus;
use tokio::time::Instant;

use crate::fixture::{endless, finish, in_time, transports, until, until_running, word_count};
use crate::processes::Processes;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_manager_that_was_killed_and_is_back_has_its_task_managers_at_once() {
    for transport in transports() {
        let cluster = Processes::start(transport).await;
        let (_task_manager, _rpc) = cluster.task_manager("a").await;
        let client = cluster.client().await;
        let job = client.submit(endless(1)).await.unwrap();
        until_running(&client, job).await;
        let started = Instant::now();
        let cluster = cluster.restart().await;
        let client = cluster.client().await;
        in_time(client.wait_for_task_managers(1)).await.unwrap();
        // Its jobs are not there any more, and neither are their tasks, so that the slot is free.
        until(async || client.overview().await.unwrap().slots_free == 1).await;
        // That of heartbeats is 50 s, and that of slots 10 s.
        assert!(started.elapsed() < Duration::from_secs(8));
        assert!(client.job(job).await.is_err());
        let graph = word_count(&["Cargo.toml".as_ref()], 1);
        assert!(finish(&client, graph).await.contains("workspace\t"));
        let jobs = client.list_jobs().await.unwrap();
        assert_eq!(jobs[0].status, JobStatus::Finished);
        in_time(cluster.job_manager.close()).await.unwrap();
    }
}
