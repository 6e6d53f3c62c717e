//! A job that fails begins anew, and ends as if nothing had happened.

use std::fs;
use std::future::pending;
use std::path::Path;
use std::time::Duration;

use rpc_components::client::ClusterClient;
use rpc_components::gateway::{JobInfo, JobStatus};
use rpc_components::id::{JobId, VertexId};
use rpc_components::job_graph::{Edge, JobGraph, OperatorSpec, RestartStrategy, Ship, Vertex};
use rpc_components::operator::{
    Collector, Operator, OperatorContext, OperatorError, OperatorRegistry, Record,
};
use tempfile::TempDir;

use crate::fixture::{
    chain, cluster_with, counted, follow, in_time, run, transports, until, until_running,
};
use crate::processes::Processes;

/// Lets a few records through and then none, but in the first attempt only: a job with it runs until
/// it is disturbed, and then to its end.
#[derive(Default)]
struct Hold {
    context: Option<OperatorContext>,
    records: u32,
}

impl Operator for Hold {
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        self.context = Some(context.clone());
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        self.records += 1;
        match &self.context {
            Some(context) if context.attempt.attempt == 0 && self.records > 2 => {
                context.cancellation.block_on(pending::<()>())?;
            }
            _ => {}
        }
        out.emit(record)
    }
}

/// Fails in the first attempts, in the way that it is named for, after a few records.
struct Flaky {
    fault: &'static str,
    /// In how many attempts.
    attempts: u32,
    attempt: u32,
    records: u32,
}

impl Operator for Flaky {
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        self.attempt = context.attempt.attempt;
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        self.records += 1;
        if self.attempt < self.attempts && self.records > 2 {
            match self.fault {
                "panics" => panic!("Test exception"),
                "is-fatal" => return Err(OperatorError::fatal("Test exception")),
                _ => return Err(OperatorError::other("Test exception")),
            }
        }
        out.emit(record)
    }
}

fn operators() -> OperatorRegistry {
    let mut operators = OperatorRegistry::new();
    operators
        .register_transform("hold", |_| Ok(Hold::default()))
        .unwrap();
    let faults = [
        ("fails", 2),
        ("panics", 2),
        ("always-fails", 9),
        ("is-fatal", 9),
    ];
    for (fault, attempts) in faults {
        let flaky = move || Flaky {
            fault,
            attempts,
            attempt: 0,
            records: 0,
        };
        operators
            .register_transform(fault, move |_| Ok(flaky()))
            .unwrap();
    }
    operators
}

/// Counts the words of files, whose lines go through an operator first; restarts at once.
fn word_count(paths: &[&Path], output: Option<&Path>, operator: &str) -> JobGraph {
    let text = |it: &Path| it.to_str().unwrap().to_owned();
    let inputs = paths.iter().map(|it| text(it)).collect();
    let mut graph = JobGraph::word_count(inputs, output.map(text), 2);
    let vertex = Vertex {
        name: operator.to_owned(),
        operator: OperatorSpec::new(operator),
        parallelism: 2,
    };
    graph.vertices.insert(1, vertex);
    let ships = graph.edges.iter().map(|edge| edge.ship);
    let ships = [Ship::Forward].into_iter().chain(ships);
    let edge = |(from, ship)| Edge {
        from: VertexId(from),
        to: VertexId(from + 1),
        ship,
    };
    graph.edges = (0..).zip(ships).map(edge).collect();
    graph.restart = Some(RestartStrategy::FixedDelay {
        attempts: 2,
        delay: Duration::from_millis(10),
    });
    graph
}

/// Two files, and what a count of their words is.
fn files(folder: &TempDir) -> ([std::path::PathBuf; 2], String) {
    let texts = ["to be or not to be\n", "that is\nthe question\n"].map(|it| it.repeat(500));
    let paths = ["a", "b"].map(|name| folder.path().join(name));
    for (path, text) in paths.iter().zip(&texts) {
        fs::write(path, text).unwrap();
    }
    (paths, counted(&[&texts[0], &texts[1]]))
}

async fn info(client: &ClusterClient, job: JobId) -> JobInfo {
    client.job(job).await.unwrap()
}

async fn until_status(client: &ClusterClient, job: JobId, status: JobStatus) {
    until(async || info(client, job).await.details.status == status).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_survives_the_death_of_a_task_manager() {
    // Flink: TaskExecutorITCase#testJobRecoveryWithFailingTaskExecutor
    let folder = TempDir::new().unwrap();
    let ([a, b], expected) = files(&folder);
    for (place, transport) in transports().into_iter().enumerate() {
        for prints in [true, false] {
            if place > 0 && !prints {
                // What is written to files goes by no transport.
                continue;
            }
            let cluster = Processes::start_with(transport, operators()).await;
            let (_a, _) = cluster.task_manager_with("a", operators()).await;
            let (_b, killed) = cluster.task_manager_with("b", operators()).await;
            let client = cluster.client().await;
            in_time(client.wait_for_task_managers(2)).await.unwrap();
            let outputs = TempDir::new().unwrap();
            let path = outputs.path().join("out");
            let output = (!prints).then_some(path.as_path());
            let graph = word_count(&[&a, &b], output, "hold");
            let job = client.submit(graph).await.unwrap();
            until_running(&client, job).await;
            // Others have a slot for it.
            let (_c, _) = cluster.task_manager_with("c", operators()).await;
            in_time(client.wait_for_task_managers(3)).await.unwrap();
            killed.abort();
            let (result, printed) = follow(&client, job).await;
            assert_eq!(
                (result.status, result.failure, result.restarts),
                (JobStatus::Finished, vec![], 1),
                "{transport}"
            );
            if prints {
                assert_eq!(printed, expected);
            } else {
                assert_eq!(fs::read_to_string(&path).unwrap(), expected);
                let names = fs::read_dir(outputs.path()).unwrap();
                assert_eq!(names.count(), 1);
            }
            let info = info(&client, job).await;
            let cause = &info.restart_causes[0].failure;
            assert!(cause[0].contains("failed on "), "{cause:?}");
            cluster.job_manager.close().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_task_manager_stops_waits_for_another_one() {
    let folder = TempDir::new().unwrap();
    let ([a, b], expected) = files(&folder);
    for transport in transports() {
        let mut cluster = cluster_with(transport, 2, 1, operators(), |_| {}).await;
        let client = cluster.client().await.unwrap();
        let graph = word_count(&[&a, &b], None, "hold");
        let job = client.submit(graph).await.unwrap();
        until_running(&client, job).await;
        in_time(cluster.remove_task_manager()).await.unwrap();
        // The delay is long over when all of the new attempts wait.
        until(async || {
            let info = info(&client, job).await;
            let mut subtasks = info.vertices.iter().flat_map(|it| &it.subtasks);
            subtasks.all(|it| it.attempt.attempt == 1)
        })
        .await;
        let shown = info(&client, job).await;
        assert_eq!(shown.details.status, JobStatus::Restarting);
        assert_eq!((shown.details.restarts, shown.restarts_max), (1, Some(2)));
        assert_eq!(shown.restart_causes[0].failure[1], "the task manager stops");
        cluster.add_task_manager().await.unwrap();
        let (result, printed) = follow(&client, job).await;
        assert_eq!(result.status, JobStatus::Finished);
        assert_eq!(printed, expected, "{transport}");
        in_time(cluster.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_operator_fails_begins_anew() {
    let folder = TempDir::new().unwrap();
    let ([a, b], expected) = files(&folder);
    let cluster = cluster_with("local", 1, 2, operators(), |_| {}).await;
    let client = cluster.client().await.unwrap();
    for fault in ["fails", "panics"] {
        let graph = word_count(&[&a, &b], None, fault);
        let (result, printed) = run(&client, graph).await;
        assert_eq!((result.status, result.restarts), (JobStatus::Finished, 2));
        assert_eq!(printed, expected);
    }
    in_time(cluster.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_cannot_be_helped_fails() {
    let folder = TempDir::new().unwrap();
    let ([a, b], _) = files(&folder);
    let cluster = cluster_with("local", 1, 2, operators(), |_| {}).await;
    let client = cluster.client().await.unwrap();
    for (fault, restarts) in [("always-fails", 2), ("is-fatal", 0)] {
        let graph = word_count(&[&a, &b], None, fault);
        let (result, printed) = run(&client, graph).await;
        assert_eq!((result.status, printed.as_str()), (JobStatus::Failed, ""));
        assert_eq!(result.restarts, restarts);
        let failure = result.failure.join(": ");
        let says_why = failure.starts_with(
            "the job was restarted 2 times, and its restart strategy fixed-delay:2:0.01 allows no \
             more: task ",
        );
        assert_eq!(says_why, restarts > 0, "{failure}");
        assert!(failure.ends_with("Test exception"), "{failure}");
    }
    in_time(cluster.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_to_be_restarted_is_cancelled() {
    // Flink: FLINK-3443
    let cluster = cluster_with("local", 1, 1, operators(), |_| {}).await;
    let client = cluster.client().await.unwrap();
    let source = OperatorSpec::new("generator-source");
    let fails = OperatorSpec::new("always-fails");
    let mut graph = chain([source, fails, OperatorSpec::new("discard-sink")], 1);
    graph.restart = Some(RestartStrategy::FixedDelay {
        attempts: 1,
        delay: Duration::from_secs(3600),
    });
    let job = client.submit(graph).await.unwrap();
    until_status(&client, job, JobStatus::Restarting).await;
    client.cancel(job).await.unwrap();
    let result = in_time(client.job_result(job)).await.unwrap();
    assert_eq!(
        (result.status, result.failure),
        (JobStatus::Canceled, vec![])
    );
    until(async || client.overview().await.unwrap().slots_free == 1).await;
    in_time(cluster.close()).await.unwrap();
}
