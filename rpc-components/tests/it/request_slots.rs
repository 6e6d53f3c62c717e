//! A job waits for its slots as long as it may.

use std::time::Duration;

use rpc_components::gateway::JobStatus;

use crate::fixture::{cluster, endless, in_time, run, transports, until, until_running};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_does_not_get_its_slots_says_how_many_it_needs_and_how_many_there_are() {
    // Flink: MiniClusterITCase#testHandlingNotEnoughSlotsThroughTimeout,
    //   #testHandlingNotEnoughSlotsThroughEarlyAbortRequest
    for transport in transports() {
        let cluster = cluster(transport, 1, 2).await;
        let client = cluster.client().await.unwrap();
        for wait in [Duration::ZERO, Duration::from_millis(300)] {
            let mut graph = endless(3);
            graph.slot_wait = Some(wait);
            let (result, _) = run(&client, graph).await;
            let text = "not enough slots: the job needs 3 and has 2, \
                        the cluster has 2 and 0 of them are free";
            assert_eq!(
                (result.status, result.failure),
                (JobStatus::Failed, vec![text.into()])
            );
        }
        // What it had is free again.
        until(async || client.overview().await.unwrap().slots_free == 2).await;
        in_time(cluster.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_runs_when_a_task_manager_joins() {
    for transport in transports() {
        let mut cluster = cluster(transport, 1, 1).await;
        let client = cluster.client().await.unwrap();
        let job = client.submit(endless(3)).await.unwrap();
        until(async || client.overview().await.unwrap().slots_free == 0).await;
        for _ in 0..2 {
            assert_eq!(
                client.job(job).await.unwrap().details.status,
                JobStatus::Created
            );
            cluster.add_task_manager().await.unwrap();
        }
        until_running(&client, job).await;
        in_time(cluster.close()).await.unwrap();
    }
}
