//! Jobs that run to their end, and jobs that are refused.

use std::fs;

use rpc_components::client::ClientError;
use rpc_components::gateway::{JobStatus, SubmitError};
use rpc_components::job_graph::{JobGraph, OperatorSpec};
use rpc_components::operator::{
    Collector, Operator, OperatorError, OperatorRegistry, Options, Record,
};
use rpc_core::RpcError;

use crate::fixture::{chain, cluster, count_words, finish, run, transports, with_operators};

// Flink: MiniClusterITCase#runJobWithMultipleRpcServices
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_counted_over_every_transport() {
    let folder = tempfile::tempdir().unwrap();
    let texts = [
        (
            "unicode",
            "Ὀδυσσεύς ΟΔΟΣ naïve Straße STRASSE İstanbul 漢字 Привет, ПРИВЕТ! x²y ½\n".repeat(200),
        ),
        ("empty", String::new()),
        ("last", String::from("no final\r\nnewline here")),
    ];
    let mut all = String::new();
    for (name, text) in &texts {
        fs::write(folder.path().join(name), text).unwrap();
        all.push_str(text);
        all.push(' ');
    }
    for number in 0..200 {
        let text = format!("file number {number}\nword{}\n", number % 7);
        fs::write(folder.path().join(format!("small{number}")), &text).unwrap();
        all.push_str(&text);
    }
    let expected = count_words(&all);
    let input = folder.path().to_str().unwrap().to_owned();
    for transport in transports() {
        let cluster = cluster(transport, 2, 2).await;
        let client = cluster.client().await.unwrap();
        let graph = JobGraph::word_count(vec![input.clone()], None, 4);
        let (printed, result) = run(&client, graph).await;
        assert_eq!(
            result.status,
            JobStatus::Finished,
            "{transport}: {:?}",
            result.failure
        );
        assert_eq!(printed, expected, "{transport}");
        cluster.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_jobs_run_at_once_and_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    fs::write(&file, "to be or not to be\n".repeat(5000)).unwrap();
    let input = vec![file.to_str().unwrap().to_owned()];
    let cluster = cluster("local", 2, 2).await;
    let client = cluster.client().await.unwrap();
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let graph = JobGraph::word_count(input.clone(), None, 2);
        jobs.push(client.submit(graph).await.unwrap());
    }
    for job in &jobs {
        let (printed, result) = finish(&client, *job).await;
        assert_eq!(result.status, JobStatus::Finished, "{:?}", result.failure);
        assert_eq!(printed, "be\t10000\nnot\t5000\nor\t5000\nto\t10000\n");
    }
    let listed = client.list_jobs().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .all(|it| jobs.contains(&it.id) && it.tasks_finished == it.tasks)
    );
    let info = client.job(jobs[0]).await.unwrap();
    let read: u64 = info.vertices[0].subtasks.iter().map(|it| it.bytes_in).sum();
    assert_eq!(read, 19 * 5000);
    cluster.close().await.unwrap();
}

/// More than the JobMaster keeps: the sink waits for the client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_any_size_reach_the_client() {
    let cluster = cluster("local", 1, 1).await;
    let client = cluster.client().await.unwrap();
    let source = OperatorSpec::new("generator-source")
        .with("count", 200_000_i64)
        .with("words", 10_i64);
    let graph = chain("large", 1, [source, OperatorSpec::new("stdout-sink")]);
    let (printed, result) = run(&client, graph).await;
    assert_eq!(result.status, JobStatus::Finished, "{:?}", result.failure);
    assert_eq!(printed.lines().count(), 200_000);
    assert!(printed.len() > 8 << 20, "{} bytes", printed.len());
    cluster.close().await.unwrap();
}

// Flink: DispatcherTest#testDuplicateJobSubmissionWithGloballyTerminatedAndCleanedJob
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_makes_no_sense_is_refused_and_says_why() {
    let cluster = cluster("local", 1, 1).await;
    let client = cluster.client().await.unwrap();
    let missing = JobGraph::word_count(vec![String::from("/no/such/file")], None, 1);
    let unknown = chain(
        "unknown",
        1,
        [
            OperatorSpec::new("generator-source"),
            OperatorSpec::new("nonsense"),
        ],
    );
    let empty = chain("empty", 1, [OperatorSpec::new("generator-source")]);
    let empty = JobGraph {
        vertices: vec![],
        ..empty
    };
    for (graph, expected) in [
        (missing, "/no/such/file"),
        (unknown, "nonsense"),
        (empty, "empty"),
    ] {
        let error = client.submit(graph).await.unwrap_err();
        let ClientError::Submit(RpcError::App(error)) = error else {
            panic!("{error}");
        };
        let told = format!("{error:?}").to_lowercase();
        assert!(told.contains(expected), "{told}");
    }
    assert!(client.list_jobs().await.unwrap().is_empty());

    let graph = chain(
        "twice",
        1,
        [
            OperatorSpec::new("generator-source").with("count", 1_i64),
            OperatorSpec::new("discard-sink"),
        ],
    );
    run(&client, graph.clone()).await;
    let error = client.submit(graph).await.unwrap_err();
    let duplicate = matches!(
        error,
        ClientError::Submit(RpcError::App(SubmitError::Duplicate { .. }))
    );
    assert!(duplicate, "{error}");
    cluster.close().await.unwrap();
}

/// An operator whose user made a mistake.
struct Mistaken;

impl Operator for Mistaken {
    fn process(&mut self, _: Record<'_>, _: &mut dyn Collector) -> Result<(), OperatorError> {
        panic!("a mistake")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_panics_fails_its_job_and_nothing_else() {
    let mut operators = OperatorRegistry::new();
    operators
        .register_sink("mistaken", |_: &mut Options<'_>| Ok(Mistaken))
        .unwrap();
    let cluster = with_operators(operators, "local", 1, 1).await;
    let client = cluster.client().await.unwrap();
    let source = || OperatorSpec::new("generator-source").with("count", 10_i64);
    let graph = chain("mistaken", 1, [source(), OperatorSpec::new("mistaken")]);
    let (_, result) = run(&client, graph).await;
    assert_eq!(result.status, JobStatus::Failed);
    let told = result.failure.join(": ");
    assert!(
        told.contains("mistaken") && told.contains("a mistake"),
        "{told}"
    );
    let graph = chain("fine", 1, [source(), OperatorSpec::new("discard-sink")]);
    assert_eq!(run(&client, graph).await.1.status, JobStatus::Finished);
    cluster.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_process_tells_its_metrics() {
    let cluster = cluster("local", 2, 1).await;
    let client = cluster.client().await.unwrap();
    let metrics = client.metrics().await.unwrap();
    let processes: Vec<_> = metrics
        .iter()
        .map(|(process, _)| process.as_str())
        .collect();
    assert_eq!(processes, ["jobmanager", "tm-1", "tm-2"]);
    let uptimes = metrics.iter().flat_map(|(_, metrics)| metrics);
    assert_eq!(
        uptimes
            .filter(|it| it.name == "process.uptime_seconds")
            .count(),
        3
    );
    assert_eq!(client.task_managers().await.unwrap().len(), 2);
    cluster.close().await.unwrap();
}
