//! `rpc-cluster run`.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rpc_components::client::{ClientError, ClusterClient};
use rpc_components::gateway::{JobResult, JobStatus};
use rpc_components::id::JobId;
use rpc_components::job_graph::{JobGraph, OptionValue};
use rpc_components::mini_cluster::{MiniCluster, MiniClusterConfig};
use rpc_components::operator::{OperatorRegistry, file_splits};
use rpc_components::rpc_core::{Outcome, RpcError};
use tokio::sync::mpsc;

use crate::args::{EmbeddedArgs, RunArgs};
use crate::ask::Connected;
use crate::error::{CliError, chain};
use crate::output;
use crate::progress::Progress;
use crate::signal::Signals;

pub(crate) async fn run(args: RunArgs, operators: Arc<OperatorRegistry>) -> Result<(), CliError> {
    let mut graph = graph(&args)?;
    graph.change_paths(&*operators, absolute)?;
    if args.detached && prints(&graph) {
        return Err(CliError::usage(
            "--detached needs a job that writes to files, as word-count does with --output FILE: \
             nobody is there to print to",
        ));
    }
    graph.slot_wait = match args.wait_for_slots {
        true => None,
        false => args.slot_timeout.or(graph.slot_wait).or(Some(SLOT_WAIT)),
    };
    graph.restart = args.restart.clone().or(graph.restart);
    let plan = graph.plan(&*operators).map_err(|error| match &args.job {
        Some(file) => CliError::usage(format!("{}: {}", file.display(), chain(&error))),
        None => CliError::wrong(&error),
    })?;
    match &args.target {
        Some(target) => {
            let connected = Connected::to(target, args.security.clone()).await?;
            let mut signals = Signals::new()?;
            let result = submit(&connected.client, graph, args.detached, &mut signals).await;
            connected.close().await;
            result
        }
        None => {
            // The cluster is in this process, so that a file that is missing here is missing.
            check_files(&graph)?;
            let config = embedded(&args.embedded, plan.slots())?;
            let started = MiniCluster::start(operators, config).await;
            let cluster = started.map_err(|error| CliError::failed("embedded cluster", &*error))?;
            let client = cluster.client().await;
            let client = client.map_err(|error| CliError::failed("embedded cluster", &*error))?;
            let mut signals = Signals::new()?;
            let result = submit(&client, graph, false, &mut signals).await;
            let closed = signals.closed("embedded cluster", cluster.close()).await;
            result.and(closed)
        }
    }
}

/// Makes the cluster of this process large enough for a job that needs so many slots, unless the
/// command line says how large it is.
fn embedded(args: &EmbeddedArgs, needed: u32) -> Result<MiniClusterConfig, CliError> {
    let mut config = MiniClusterConfig::default();
    let max = config
        .cluster
        .resource_manager
        .slot_manager
        .slots_per_task_executor_max;
    let each = needed.div_ceil(args.task_managers);
    config.transport = args.transport.clone();
    config.task_managers = args.task_managers;
    config.slots = match args.slots {
        Some(slots) => slots,
        None if each <= max => each,
        None => {
            return Err(CliError::usage(format!(
                "the job needs {needed} slots, and a task manager has {max} at most: it needs \
                 --task-managers {} or more",
                needed.div_ceil(max),
            )));
        }
    };
    Ok(config)
}

/// Makes the job that the command line asks for.
fn graph(args: &RunArgs) -> Result<JobGraph, CliError> {
    if let Some(file) = &args.job {
        let graph = JobGraph::read_toml(file, args.parallelism);
        return graph.map_err(|error| CliError::wrong(&error));
    }
    match args.name.as_deref() {
        Some("word-count") => word_count(args),
        name => Err(CliError::usage(format!(
            "there is no job `{}`; the one that is built in is word-count",
            name.unwrap_or_default(),
        ))),
    }
}

fn word_count(args: &RunArgs) -> Result<JobGraph, CliError> {
    if args.input.is_empty() {
        return Err(CliError::usage("word-count needs --input PATH..."));
    }
    let inputs = args.input.iter().map(|path| utf8(path));
    let inputs = inputs.collect::<Result<_, _>>()?;
    let output = args.output.as_deref().map(utf8).transpose()?;
    Ok(JobGraph::word_count(inputs, output, args.parallelism))
}

/// The cluster's processes may have other working folders than this one.
fn absolute(path: &str) -> Result<String, CliError> {
    // The operator says what is wrong with it.
    if path.is_empty() {
        return Ok(String::new());
    }
    let absolute = std::path::absolute(path);
    let absolute = absolute.map_err(|error| CliError::usage(format!("{path}: {error}")))?;
    utf8(&absolute)
}

fn utf8(path: &Path) -> Result<String, CliError> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| CliError::usage(format!("{} is not UTF-8", path.display())))
}

/// Whether the job prints to whoever follows it.
fn prints(graph: &JobGraph) -> bool {
    let mut vertices = graph.vertices.iter();
    vertices.any(|it| it.operator.name == "stdout-sink")
}

/// Finds what no task could read or write, before there are tasks.
fn check_files(graph: &JobGraph) -> Result<(), CliError> {
    for vertex in &graph.vertices {
        file_splits(&vertex.operator).map_err(|error| CliError::wrong(&error))?;
        if let ("file-sink", 1, Some(OptionValue::Text(path))) = (
            vertex.operator.name.as_str(),
            vertex.parallelism,
            vertex.operator.options.get("path"),
        ) {
            check_output(Path::new(path))
                .map_err(|error| CliError::usage(format!("cannot write {path}: {error}")))?;
        }
    }
    Ok(())
}

fn check_output(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    match path.parent() {
        Some(folder) if folder != Path::new("") && !folder.is_dir() => match folder.metadata() {
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error),
        },
        _ => Ok(()),
    }
}

/// Submits a job and follows it to its end. An interrupt cancels it.
async fn submit(
    client: &ClusterClient,
    graph: JobGraph,
    detached: bool,
    signals: &mut Signals,
) -> Result<(), CliError> {
    let (job, prints) = (graph.id, prints(&graph));
    let mut submission = pin!(client.submit(graph));
    let submitted = tokio::select! {
        biased;
        submitted = &mut submission => Some(submitted),
        () = signals.terminated() => None,
    };
    let Some(submitted) = submitted else {
        let cancelled = async {
            // Whether it was taken is told by the answer to the cancel.
            let _ = submission.await;
            cancelled(client, job).await
        };
        return give_up(job, INTERRUPTED, cancelled, signals).await;
    };
    submitted.map_err(|error| unanswered(job, &error))?;
    if detached {
        let printed = output::print(&format!("{job}\n"));
        return printed
            .map_err(|error| CliError::job(&[format!("job {job} runs"), error.to_string()]));
    }
    let progress = Progress::follow(client.clone(), job, prints);
    let result = tokio::select! {
        biased;
        result = follow(client, job) => result,
        () = signals.terminated() => Ok(Followed::Interrupted),
    };
    drop(progress);
    let why = match result.map_err(|error| unanswered(job, &error))? {
        Followed::Ended(result) => return ended(client, &result).await,
        Followed::Interrupted => String::from(INTERRUPTED),
        Followed::Unwritten(error) => match error.kind() {
            io::ErrorKind::BrokenPipe => String::from("nobody reads what it prints"),
            _ => format!("{}: {error}", output::UNWRITTEN),
        },
    };
    give_up(job, &why, cancelled(client, job), signals).await
}

/// Says why a job was not taken or is not followed any more, and that it may run although nobody has
/// said so.
fn unanswered(job: JobId, error: &ClientError) -> CliError {
    let may = match error {
        ClientError::Submit(error) => error.outcome() == Outcome::Unknown,
        ClientError::Fetch(error) => is_lost(error),
        ClientError::Job(error) => is_lost(error),
        ClientError::Rpc(error) => is_lost(error),
        _ => false,
    };
    match may {
        true => CliError::job(&[may_run(job), chain(error)]),
        false => CliError::job(&[chain(error)]),
    }
}

/// Tells whether a question failed on its way: a JobManager that answers, or is known to have ended,
/// says more of its jobs.
const fn is_lost<E>(error: &RpcError<E>) -> bool {
    !matches!(error.outcome(), Outcome::Executed) && !matches!(error, RpcError::Unreachable { .. })
}

fn may_run(job: JobId) -> String {
    format!("job {job} may still run")
}

/// Says how a job ended, and that it did not run undisturbed.
async fn ended(client: &ClusterClient, result: &JobResult) -> Result<(), CliError> {
    let job = result.job;
    match result.status {
        JobStatus::Finished => {}
        JobStatus::Failed => return Err(CliError::job(&result.failure)),
        status => return Err(CliError::job(&[format!("job {job} is {status}")])),
    }
    let times = match result.restarts {
        0 => return Ok(()),
        1 => String::from("once"),
        restarts => format!("{restarts} times, the last time"),
    };
    // Worth a question, and no failure if there is no answer.
    let info = client.job(job).await.ok();
    let cause = info.and_then(|mut info| info.restart_causes.pop());
    let cause = cause.map_or_else(Vec::new, |cause| cause.failure);
    let said = format!("job {job} was restarted {times}: {}", cause.join(": "));
    output::say(&output::shown(&said));
    Ok(())
}

/// How it ended to follow a job.
enum Followed {
    /// The job ended.
    Ended(JobResult),
    /// By a signal.
    Interrupted,
    /// The standard output takes nothing.
    Unwritten(io::Error),
}

async fn follow(client: &ClusterClient, job: JobId) -> Result<Followed, ClientError> {
    let (unwritten, mut failed) = mpsc::channel(1);
    let results = async {
        let taken = client.follow_results(job, |piece| async {
            // On a thread of its own: a pipe that nobody empties must not hold up a signal.
            let written = tokio::task::spawn_blocking(move || output::results(&piece));
            let written = written.await.map_err(io::Error::other);
            if let Err(error) = written.and_then(|written| written) {
                // Whoever follows the job hears of it, and goes.
                let _ = unwritten.send(error).await;
                std::future::pending().await
            }
        });
        // Asked for at once: a job that has ended is not known for ever.
        let (result, ()) = tokio::try_join!(client.job_result(job), taken)?;
        Ok(result)
    };
    tokio::select! {
        biased;
        result = results => result.map(Followed::Ended),
        Some(error) = failed.recv() => Ok(Followed::Unwritten(error)),
        error = silence(client) => Err(error),
    }
}

/// Returns when the JobManager does not answer. Results may be long in coming, so that their absence
/// tells nothing.
async fn silence(client: &ClusterClient) -> ClientError {
    loop {
        tokio::time::sleep(ASK_INTERVAL).await;
        if let Err(error) = client.overview().await {
            return error;
        }
    }
}

/// Cancels a job, and waits for its end.
async fn cancelled(client: &ClusterClient, job: JobId) -> Result<(), ClientError> {
    client.cancel(job).await?;
    // That it is being cancelled is known, whatever comes of this.
    tokio::select! {
        biased;
        _ = client.job_result(job) => {}
        _ = silence(client) => {}
    }
    Ok(())
}

/// Waits until a job that is not followed any more is cancelled. A second signal waits neither for its
/// end nor for a JobManager that does not answer.
async fn give_up(
    job: JobId,
    why: &str,
    cancelled: impl Future<Output = Result<(), ClientError>>,
    signals: &mut Signals,
) -> Result<(), CliError> {
    let end = format!("the end of job {job}, which is being cancelled");
    let but = match signals.unless_terminated(&end, cancelled).await {
        Some(Ok(())) => return Err(CliError::job(&[format!("job {job} is cancelled: {why}")])),
        // It is over.
        Some(Err(error @ ClientError::Cancel(RpcError::App(_)))) => {
            return Err(CliError::job(&[why.to_owned(), chain(&error)]));
        }
        Some(Err(error)) => chain(&error),
        None => String::from("a second signal came before its end"),
    };
    Err(CliError::job(&[format!("{}: {why}", may_run(job)), but]))
}

/// Why a job is given up by a signal.
const INTERRUPTED: &str = "it was interrupted";

/// How long a job waits for slots of which nobody says anything: somebody is there to be told. Longer
/// than the cluster takes to notice by itself that a call is not answered or that a slot is not used,
/// which is 10 s each: what it finds out by then may be a free slot.
const SLOT_WAIT: Duration = Duration::from_secs(15);

/// How often who follows a job asks whether the JobManager is there.
const ASK_INTERVAL: Duration = Duration::from_secs(10);
