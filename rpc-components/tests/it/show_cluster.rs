//! What is shown of jobs, slots and processes is true.

use std::collections::BTreeSet;
use std::fs;

use rpc_components::client::ClusterClient;
use rpc_components::gateway::{ExecutionState, JobStatus, MetricValue};
use rpc_components::id::JobId;
use tempfile::TempDir;

use crate::fixture::{
    cluster, endless, finish, in_time, transports, until, until_running, word_count,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slots_and_the_task_managers_are_those_that_there_are() {
    // Flink: ResourceManagerTest#testRequestTaskManagerInfo
    for transport in transports() {
        let mut cluster = cluster(transport, 2, 3).await;
        let client = cluster.client().await.unwrap();
        let job = client.submit(endless(4)).await.unwrap();
        until_running(&client, job).await;
        let overview = client.overview().await.unwrap();
        assert_eq!(
            (overview.task_managers, overview.slots, overview.slots_free),
            (2, 6, 2)
        );
        let known = client.task_managers().await.unwrap();
        let shown: Vec<_> = known
            .iter()
            .map(|it| (it.resource.as_str(), it.slots))
            .collect();
        assert_eq!(shown, [("tm-1", 3), ("tm-2", 3)]);
        assert_eq!(known.iter().map(|it| it.slots_free).sum::<u32>(), 2);
        let scheme = format!("{transport}://");
        assert!(
            known.iter().all(|it| it.address.starts_with(&scheme)),
            "{known:?}"
        );
        cluster.add_task_manager().await.unwrap();
        in_time(client.wait_for_task_managers(3)).await.unwrap();
        assert_eq!(client.overview().await.unwrap().slots_free, 5);
        in_time(cluster.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_is_shown_where_it_runs() {
    for transport in transports() {
        let cluster = cluster(transport, 2, 1).await;
        let client = cluster.client().await.unwrap();
        let job = client.submit(endless(2)).await.unwrap();
        until_running(&client, job).await;
        until(async || records_out(&client, job).await > 0).await;
        let info = client.job(job).await.unwrap();
        assert_eq!((info.details.tasks, info.details.tasks_finished), (2, 0));
        assert_eq!(info.vertices[0].name, "generator-source -> discard-sink");
        let subtasks = &info.vertices[0].subtasks;
        let places: BTreeSet<_> = subtasks.iter().flat_map(|it| &it.task_manager).collect();
        assert_eq!(places.len(), 2);
        assert!(
            subtasks
                .iter()
                .all(|it| it.state == ExecutionState::Running)
        );
        let listed = client.list_jobs().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].id, listed[0].status), (job, JobStatus::Running));

        // Each process tells what its own tasks do.
        let metrics = client.metrics().await.unwrap();
        let processes: Vec<_> = metrics
            .iter()
            .map(|(process, _)| process.as_str())
            .collect();
        assert_eq!(processes, ["jobmanager", "tm-1", "tm-2"]);
        for (process, metrics) in &metrics {
            let mut names = metrics.iter().map(|it| it.name.as_str());
            assert!(names.any(|it| it == "process.uptime_seconds"), "{process}");
        }
        for subtask in subtasks {
            let own = metrics
                .iter()
                .find(|(it, _)| Some(it) == subtask.task_manager.as_ref());
            let name = format!("task.{}.records_out", subtask.attempt);
            let metric = own.unwrap().1.iter().find(|it| it.name == name).unwrap();
            let MetricValue::Counter(count) = metric.value else {
                panic!("{metric:?}");
            };
            assert!(count >= subtask.records_out);
        }
        in_time(cluster.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_has_ended_is_shown_as_it_ended() {
    // Flink: DispatcherTest#testCacheJobExecutionResult
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    let text = "one two\nthree\n";
    fs::write(&path, text).unwrap();
    for transport in transports() {
        let cluster = cluster(transport, 1, 2).await;
        let client = cluster.client().await.unwrap();
        let graph = word_count(&[&path], 2);
        let job = graph.id;
        finish(&client, graph).await;
        let info = client.job(job).await.unwrap();
        let details = &info.details;
        assert_eq!(
            (details.name.as_str(), details.status),
            ("word-count", JobStatus::Finished)
        );
        let subtasks: Vec<_> = info.vertices.iter().flat_map(|it| &it.subtasks).collect();
        assert_eq!(details.tasks as usize, subtasks.len());
        assert_eq!(details.tasks_finished, details.tasks);
        assert!(
            subtasks
                .iter()
                .all(|it| it.state == ExecutionState::Finished)
        );
        // The source has read the file, and no more.
        let source = &info.vertices[0].subtasks;
        assert_eq!(
            source.iter().map(|it| it.bytes_in).sum::<u64>(),
            text.len() as u64
        );
        assert_eq!(client.list_jobs().await.unwrap(), [info.details]);
        // Its tasks are gone from the metrics.
        let has_tasks = async || {
            let metrics = client.metrics().await.unwrap();
            let mut names = metrics.iter().flat_map(|(_, it)| it).map(|it| &it.name);
            names.any(|it| it.starts_with("task."))
        };
        until(async || !has_tasks().await).await;
        in_time(cluster.close()).await.unwrap();
    }
}

async fn records_out(client: &ClusterClient, job: JobId) -> u64 {
    let info = client.job(job).await.unwrap();
    let subtasks = info.vertices.iter().flat_map(|it| &it.subtasks);
    subtasks.map(|it| it.records_out).min().unwrap_or(0)
}
