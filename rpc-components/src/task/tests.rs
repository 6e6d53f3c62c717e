use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::gateway::{FailureKind, InputChannel, InputGateDescriptor, ResultPartition};
use crate::id::{AllocationId, JobId, PartitionId, ResourceId, VertexId};
use crate::job_graph::{Edge, JobGraph, JobPlan, OperatorSpec, Ship, Vertex};
use crate::operator::testing::{JobMasterStub, attempt};
use crate::operator::{Collector, Operator, OperatorError, OperatorRegistry, Record, file_splits};
use crate::shuffle::ShuffleConfig;
use crate::shuffle::testing::{Network, gate, partition};

/// What an operator does in these tests to go wrong.
enum Mishap {
    Fail,
    Panic,
}

impl Operator for Mishap {
    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        match self {
            Self::Fail => Err(OperatorError::other(std::io::Error::other("disk on fire"))),
            Self::Panic => {
                out.emit(record)?;
                panic!("out of cheese")
            }
        }
    }
}

fn registry() -> Arc<OperatorRegistry> {
    let mut registry = OperatorRegistry::new();
    registry
        .register_transform("fail", |_| Ok(Mishap::Fail))
        .unwrap();
    registry
        .register_transform("panic", |_| Ok(Mishap::Panic))
        .unwrap();
    Arc::new(registry)
}

/// Deploys a plan by hand over some TaskExecutors: the subtasks of a vertex go to each in turn.
struct Cluster {
    task_executors: Vec<TaskEnvironment>,
    job_master: Arc<JobMasterStub>,
}

impl Cluster {
    fn new(names: &[&str], job_master: Arc<JobMasterStub>) -> Self {
        let network = Network::default();
        let task_executor = |name: &&str| TaskEnvironment {
            registry: registry(),
            shuffle: network.add(name, ShuffleConfig::default()),
            splits: Arc::<JobMasterStub>::clone(&job_master),
            results: Arc::<JobMasterStub>::clone(&job_master),
        };
        Self {
            task_executors: names.iter().map(task_executor).collect(),
            job_master,
        }
    }

    fn name_of(&self, subtask: u32) -> &'static str {
        ["a", "b"][subtask as usize % self.task_executors.len()]
    }

    fn deploy(&self, plan: &JobPlan) -> Vec<Task> {
        let mut tasks = Vec::new();
        // Consumers first: they must wait for their producers.
        for index in (0..plan.vertices.len()).rev() {
            let id = VertexId(index as u32);
            for subtask in 0..plan.vertices[index].parallelism {
                let descriptor = self.descriptor(plan, id, subtask);
                let task_executor = subtask as usize % self.task_executors.len();
                tasks.push(Task::spawn(descriptor, &self.task_executors[task_executor]));
            }
        }
        tasks
    }

    fn descriptor(&self, plan: &JobPlan, id: VertexId, subtask: u32) -> TaskDeploymentDescriptor {
        let vertex = |id: VertexId| &plan.vertices[id.0 as usize];
        let attempt = |vertex, subtask| AttemptId {
            job: plan.job,
            vertex,
            subtask,
            attempt: 0,
        };
        let partition = |edge: &Edge, producer| {
            let output = plan
                .outputs(edge.from)
                .position(|other| other == edge)
                .unwrap();
            PartitionId {
                producer: attempt(edge.from, producer),
                output: output as u32,
            }
        };
        let channel = |edge: &Edge, producer| {
            Some(InputChannel {
                partition: partition(edge, producer),
                subpartition: edge.ship.subpartition(producer, subtask)?,
                task_manager: ResourceId::new(self.name_of(producer)),
                data_address: self.name_of(producer).into(),
            })
        };
        let gate = |edge: &Edge| InputGateDescriptor {
            channels: (0..vertex(edge.from).parallelism)
                .filter_map(|producer| channel(edge, producer))
                .collect(),
        };
        let output = |edge: &Edge| ResultPartition {
            id: partition(edge, subtask),
            ship: edge.ship,
            subpartitions: edge.ship.subpartitions(vertex(edge.to).parallelism),
        };
        TaskDeploymentDescriptor {
            attempt: attempt(id, subtask),
            allocation: AllocationId::random(),
            name: format!(
                "{} ({}/{})",
                vertex(id).name,
                subtask + 1,
                vertex(id).parallelism
            ),
            operators: vertex(id).operators.clone(),
            parallelism: vertex(id).parallelism,
            inputs: plan.inputs(id).map(gate).collect(),
            outputs: plan.outputs(id).map(output).collect(),
        }
    }
}

async fn outcomes(tasks: &[Task]) -> Vec<TaskOutcome> {
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.ended().await);
    }
    outcomes
}

fn is_failed_with(outcome: &TaskOutcome, causes: &[&str]) -> bool {
    matches!(
        outcome,
        TaskOutcome::Failed { kind: FailureKind::Recoverable, causes: failure } if failure == causes
    )
}

fn by_neighbour(outcome: &TaskOutcome) -> &[String] {
    match outcome {
        TaskOutcome::Failed {
            kind: FailureKind::Neighbour,
            causes,
        } => causes,
        outcome => panic!("{outcome:?}"),
    }
}

fn text(random: &mut fastrand::Rng, words: usize) -> String {
    let alphabet = ["a", "B", "c", "é", "Σ", "ß", "9", "'", "漢"];
    let separators = [" ", " ", "\n", "\r\n", ", ", "--"];
    let mut text = String::new();
    for _ in 0..words {
        (0..random.usize(1..4)).for_each(|_| text.push_str(alphabet[random.usize(..9)]));
        text.push_str(separators[random.usize(..6)]);
    }
    text
}

/// Counts words as the job is defined to.
fn counts_by_definition(texts: &[String]) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for text in texts {
        for word in text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            *counts.entry(word.to_lowercase()).or_default() += 1;
        }
    }
    counts
        .iter()
        .map(|(word, count)| format!("{word}\t{count}\n"))
        .collect()
}

fn write_texts(folder: &Path) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(11);
    let texts: Vec<String> = [0, 1, 10, 3000, 20_000]
        .iter()
        .map(|words| text(&mut random, *words))
        .collect();
    for (number, text) in texts.iter().enumerate() {
        fs::write(folder.join(format!("text-{number}")), text).unwrap();
    }
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_counted_here_and_across_task_executors() {
    let root = tempfile::tempdir().unwrap();
    let texts = write_texts(root.path());
    let expected = counts_by_definition(&texts);
    let input = root.path().to_str().unwrap();
    for names in [&["a"][..], &["a", "b"]] {
        for parallelism in [1, 2, 5] {
            let mut job = JobGraph::word_count(vec![input.into()], None, parallelism);
            job.vertices[0]
                .operator
                .options
                .insert("split_bytes".into(), 5_000.into());
            // A table so small that the combiners hand on again and again.
            job.vertices[3]
                .operator
                .options
                .insert("memory_bytes_max".into(), 3_000.into());
            let plan = job.plan(&OperatorRegistry::new()).unwrap();
            let splits = file_splits(&job.vertices[0].operator).unwrap().unwrap();
            let cluster = Cluster::new(names, JobMasterStub::new(splits));
            let tasks = cluster.deploy(&plan);
            for outcome in outcomes(&tasks).await {
                assert_eq!(outcome, TaskOutcome::Finished);
            }
            assert!(cluster.job_master.results() == expected);
            let io: Vec<TaskIo> = tasks.iter().map(Task::io).collect();
            let read = io
                .iter()
                .rev()
                .take(parallelism as usize)
                .map(|io| io.bytes_in);
            assert_eq!(
                read.sum::<u64>(),
                texts.iter().map(|text| text.len() as u64).sum()
            );
            assert_eq!(io[0].records_out, expected.lines().count() as u64);
            assert_eq!(io[0].bytes_out, expected.len() as u64);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_result_can_be_a_file() {
    let root = tempfile::tempdir().unwrap();
    let input = root.path().join("in");
    fs::create_dir(&input).unwrap();
    let texts = write_texts(&input);
    let output = root.path().join("out");
    let paths = [&input, &output].map(|path| path.to_str().unwrap().to_string());
    let [input, path] = paths;
    let job = JobGraph::word_count(vec![input], Some(path), 2);
    let splits = file_splits(&job.vertices[0].operator).unwrap().unwrap();
    let cluster = Cluster::new(&["a", "b"], JobMasterStub::new(splits));
    let tasks = cluster.deploy(&job.plan(&OperatorRegistry::new()).unwrap());
    for outcome in outcomes(&tasks).await {
        assert_eq!(outcome, TaskOutcome::Finished);
    }
    assert_eq!(
        fs::read_to_string(output).unwrap(),
        counts_by_definition(&texts)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_may_be_longer_than_a_stack_bears() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("in");
    fs::write(&path, "one two\nthree\n").unwrap();
    let source = OperatorSpec::new("file-source").with("path", path.to_str().unwrap());
    let sink = OperatorSpec::new("stdout-sink");
    let words = vec![OperatorSpec::new("words"); 3000];
    let operators = [vec![source], words, vec![sink]].concat();
    let job = line(operators);
    let splits = file_splits(&job.vertices[0].operator).unwrap().unwrap();
    let cluster = Cluster::new(&["a"], JobMasterStub::new(splits));
    let tasks = cluster.deploy(&job.plan(&OperatorRegistry::new()).unwrap());
    for outcome in outcomes(&tasks).await {
        assert_eq!(outcome, TaskOutcome::Finished);
    }
    assert_eq!(cluster.job_master.results(), "one\ntwo\nthree\n");
}

/// A job whose vertices forward one to the next, each with one subtask.
fn line(operators: Vec<OperatorSpec>) -> JobGraph {
    let count = operators.len() as u32;
    let vertex = |(name, operator): (u32, _)| Vertex {
        name: name.to_string(),
        operator,
        parallelism: 1,
    };
    let edge = |to| Edge {
        from: VertexId(to - 1),
        to: VertexId(to),
        ship: Ship::Forward,
    };
    JobGraph {
        id: JobId::random(),
        name: "line".into(),
        vertices: (0..).zip(operators).map(vertex).collect(),
        edges: (1..count).map(edge).collect(),
        slot_wait: None,
        restart: None,
    }
}

/// A source without end, something in the middle, and a sink in a task of its own.
fn endless(middle: OperatorSpec, sink: OperatorSpec) -> JobPlan {
    let source = OperatorSpec::new("generator-source");
    let vertices = [
        ("source", source, 2),
        ("middle", middle, 2),
        ("sink", sink, 1),
    ];
    let vertices = vertices.map(|(name, operator, parallelism)| Vertex {
        name: name.into(),
        operator,
        parallelism,
    });
    let edge = |from, to, ship| Edge {
        from: VertexId(from),
        to: VertexId(to),
        ship,
    };
    let job = JobGraph {
        id: JobId::random(),
        name: "endless".into(),
        vertices: vertices.into(),
        edges: vec![edge(0, 1, Ship::Hash), edge(1, 2, Ship::Rebalance)],
        slot_wait: None,
        restart: None,
    };
    job.plan(&*registry()).unwrap()
}

/// Whichever task is cancelled first is cancelled; the others are too, unless they hear of it from
/// that one before they hear it themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_without_end_is_cancelled() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out").to_str().unwrap().to_string();
    for (names, first) in [
        (&["a"][..], 0),
        (&["a", "b"], 0),
        (&["a"], 4),
        (&["a", "b"], 4),
    ] {
        let sink = OperatorSpec::new("file-sink").with("path", path.clone());
        let plan = endless(OperatorSpec::new("words"), sink);
        let cluster = Cluster::new(names, JobMasterStub::new(vec![]));
        let mut tasks = cluster.deploy(&plan);
        for task in &tasks {
            assert!(task.running().await);
            assert_eq!(task.state(), ExecutionState::Running);
        }
        while tasks[0].io().bytes_out == 0 {
            tokio::task::yield_now().await;
        }
        tasks.swap(0, first);
        tasks.iter().for_each(Task::cancel);
        let outcomes = outcomes(&tasks).await;
        assert_eq!(outcomes[0], TaskOutcome::Canceled);
        assert_eq!(tasks[0].state(), ExecutionState::Canceled);
        let known = |outcome: &TaskOutcome| match outcome {
            TaskOutcome::Canceled => true,
            TaskOutcome::Failed { kind, .. } => *kind == FailureKind::Neighbour,
            TaskOutcome::Finished => false,
        };
        assert!(outcomes.iter().all(known), "{outcomes:?}");
        assert!(fs::read_dir(root.path()).unwrap().next().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_reaches_the_neighbours() {
    for names in [&["a"][..], &["a", "b"]] {
        for (middle, causes) in [
            ("fail", vec!["disk on fire"]),
            ("panic", vec!["the task panicked: out of cheese"]),
        ] {
            let plan = endless(OperatorSpec::new(middle), OperatorSpec::new("discard-sink"));
            let cluster = Cluster::new(names, JobMasterStub::new(vec![]));
            let outcomes = outcomes(&cluster.deploy(&plan)).await;
            let [sink, first, second, sources @ ..] = outcomes.as_slice() else {
                panic!("{outcomes:?}");
            };
            let failed = [first, second]
                .into_iter()
                .any(|outcome| is_failed_with(outcome, &causes));
            assert!(failed, "{outcomes:?}");
            let failure = by_neighbour(sink);
            assert!(
                failure[0].starts_with("cannot read partition "),
                "{failure:?}"
            );
            assert_eq!(failure[1], format!("the producer failed: {}", causes[0]));
            for source in sources {
                let failure = by_neighbour(source);
                assert_eq!(failure[0], "cannot hand records to the next task");
                assert!(failure[1].ends_with(" is gone"), "{failure:?}");
            }
        }
    }
}

fn alone(operators: Vec<OperatorSpec>) -> TaskDeploymentDescriptor {
    TaskDeploymentDescriptor {
        attempt: attempt(0, 0),
        allocation: AllocationId::random(),
        name: "alone".into(),
        operators,
        parallelism: 1,
        inputs: vec![],
        outputs: vec![],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_waits_for_its_producer_is_cancelled() {
    let cluster = Cluster::new(&["a"], JobMasterStub::new(vec![]));
    let mut descriptor = alone(vec![OperatorSpec::new("discard-sink")]);
    descriptor.inputs = vec![gate(&[7], 0, "a")];
    let task = Task::spawn(descriptor, &cluster.task_executors[0]);
    assert_eq!(task.state(), ExecutionState::Initializing);
    task.cancel();
    assert_eq!(task.ended().await, TaskOutcome::Canceled);
    assert!(!task.running().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_source_is_cancelled_while_it_waits() {
    let cluster = Cluster::new(&["a"], JobMasterStub::new(vec![]));
    let source = OperatorSpec::new("generator-source").with("rate", 0.001);
    let descriptor = alone(vec![source, OperatorSpec::new("stdout-sink")]);
    let task = Task::spawn(descriptor, &cluster.task_executors[0]);
    // The first line is flushed when the wait for the second begins.
    while cluster.job_master.results().is_empty() {
        tokio::task::yield_now().await;
    }
    let ended = task.ended();
    drop(task);
    assert_eq!(ended.await, TaskOutcome::Canceled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_descriptor_fails_the_task() {
    let cluster = Cluster::new(&["a"], JobMasterStub::new(vec![]));
    let [environment] = cluster.task_executors.as_slice() else {
        panic!("there is one");
    };
    let failure = async |descriptor| match Task::spawn(descriptor, environment).ended().await {
        TaskOutcome::Failed { causes, .. } => causes.join(": "),
        outcome => panic!("{outcome:?}"),
    };
    assert_eq!(failure(alone(vec![])).await, "the task has no operator");
    let sink = || OperatorSpec::new("discard-sink");
    assert_eq!(
        failure(alone(vec![sink()])).await,
        "operator 0 of the task is not a source and cannot stand there"
    );
    let source = || OperatorSpec::new("generator-source").with("count", 1);
    assert_eq!(
        failure(alone(vec![source(), source()])).await,
        "operator 1 of the task is a source and cannot stand there"
    );
    assert_eq!(
        failure(alone(vec![source(), OperatorSpec::new("parse")])).await,
        "operator `parse` needs the option `as`"
    );
    let mut twice = alone(vec![source()]);
    twice.outputs = vec![
        partition(0, Ship::Forward, 1),
        partition(0, Ship::Forward, 1),
    ];
    assert!(failure(twice).await.ends_with(" is registered already"));
    let missing = OperatorSpec::new("file-sink").with("path", "/no/such/folder/out");
    assert!(
        failure(alone(vec![source(), missing]))
            .await
            .starts_with("cannot write /no/such/folder/out: No such file")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_fail_again_in_the_same_way_is_fatal() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("no/such/folder");
    let file_sink = OperatorSpec::new("file-sink").with("path", missing.to_str().unwrap());
    let memory = OperatorSpec::new("sort").with("memory_bytes_max", 1);
    let sink = || OperatorSpec::new("discard-sink");
    let number = OperatorSpec::new("parse").with("as", "int");
    for (operators, kind) in [
        (vec![file_sink], FailureKind::Fatal),
        (vec![memory, sink()], FailureKind::Fatal),
        (vec![number, sink()], FailureKind::Fatal),
        (
            vec![OperatorSpec::new("no-such"), sink()],
            FailureKind::Fatal,
        ),
        (
            vec![sink(), OperatorSpec::new("generator-source")],
            FailureKind::Fatal,
        ),
        (
            vec![OperatorSpec::new("fail"), sink()],
            FailureKind::Recoverable,
        ),
        (
            vec![OperatorSpec::new("panic"), sink()],
            FailureKind::Recoverable,
        ),
    ] {
        let cluster = Cluster::new(&["a"], JobMasterStub::new(vec![]));
        let source = OperatorSpec::new("generator-source").with("count", 3);
        let operators: Vec<_> = [source].into_iter().chain(operators).collect();
        let text = format!("{operators:?}");
        let task = Task::spawn(alone(operators), &cluster.task_executors[0]);
        match task.ended().await {
            TaskOutcome::Failed { kind: found, .. } => assert_eq!(found, kind, "{text}"),
            outcome => panic!("{text}: {outcome:?}"),
        }
    }
}
