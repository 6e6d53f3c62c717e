//! `rpc-cluster run`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rpc_components::client::ClusterClient;
use rpc_components::gateway::JobStatus;
use rpc_components::job_graph::JobGraph;
use rpc_components::mini_cluster::{MiniCluster, MiniClusterConfig};
use rpc_components::operator::{OperatorRegistry, file_splits};

use crate::args::RunArgs;
use crate::ask::{Connected, failed};
use crate::error::{CliError, chain};
use crate::progress::Progress;
use crate::{output, signal};

pub(crate) async fn run(args: RunArgs, operators: Arc<OperatorRegistry>) -> Result<(), CliError> {
    let mut graph = graph(&args)?;
    graph.slot_wait = (!args.wait_for_slots).then_some(args.slot_timeout);
    let plan = graph
        .plan(&*operators)
        .map_err(|error| CliError::wrong(&error))?;
    match &args.target {
        Some(target) => {
            let connected = Connected::to(target, args.security.clone()).await?;
            let result = submit(&connected.client, graph, args.detached).await;
            connected.close().await;
            result
        }
        None => {
            // The cluster is in this process, so that a file that is missing here is missing.
            check_inputs(&graph)?;
            let mut config = MiniClusterConfig::default();
            config.transport = args.embedded.transport.clone();
            config.task_managers = args.embedded.task_managers;
            let needed = plan.slots().div_ceil(args.embedded.task_managers);
            config.slots = args.embedded.slots.unwrap_or(needed);
            let started = MiniCluster::start(operators, config).await;
            let cluster = started.map_err(|error| CliError::failed("embedded cluster", &*error))?;
            let client = cluster.client().await;
            let client = client.map_err(|error| CliError::failed("embedded cluster", &*error))?;
            let result = submit(&client, graph, false).await;
            let closed = cluster.close().await;
            result?;
            closed.map_err(|error| CliError::failed("embedded cluster", &*error))
        }
    }
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
    if args.detached && args.output.is_none() {
        return Err(CliError::usage(
            "--detached needs --output FILE: nobody is there to print to",
        ));
    }
    let inputs = args
        .input
        .iter()
        .map(|path| absolute(path))
        .collect::<Result<_, _>>()?;
    let output = args.output.as_deref().map(absolute).transpose()?;
    Ok(JobGraph::word_count(inputs, output, args.parallelism))
}

/// The cluster's processes may have other working folders than this one.
fn absolute(path: &Path) -> Result<String, CliError> {
    let absolute: PathBuf = std::path::absolute(path)
        .map_err(|error| CliError::usage(format!("{}: {error}", path.display())))?;
    let text = absolute.into_os_string().into_string();
    text.map_err(|path| CliError::usage(format!("{} is not UTF-8", path.display())))
}

fn check_inputs(graph: &JobGraph) -> Result<(), CliError> {
    for vertex in &graph.vertices {
        file_splits(&vertex.operator).map_err(|error| CliError::wrong(&error))?;
    }
    Ok(())
}

/// Submits a job and follows it to its end. An interrupt cancels it.
async fn submit(client: &ClusterClient, graph: JobGraph, detached: bool) -> Result<(), CliError> {
    let prints = graph
        .vertices
        .iter()
        .any(|it| it.operator.name == "stdout-sink");
    let job = client.submit(graph).await.map_err(failed)?;
    if detached {
        output::print(&format!("{job}\n"));
        return Ok(());
    }
    let progress = Progress::follow(client.clone(), job, prints);
    let mut reads = true;
    let followed = async {
        // Also when nobody reads any more, or the sinks would wait for ever.
        client
            .follow_results(job, |piece| {
                reads = reads && output::results(&piece);
                std::future::ready(())
            })
            .await?;
        client.job_result(job).await
    };
    let result = tokio::select! {
        biased;
        result = followed => result,
        () = signal::terminated() => {
            drop(progress);
            client.cancel(job).await.map_err(failed)?;
            let _ = client.job_result(job).await;
            return Err(CliError::job(&[format!("job {job} was interrupted, and cancelled")]));
        }
    };
    drop(progress);
    let result = result.map_err(|error| CliError::job(&[chain(&error)]))?;
    match result.status {
        JobStatus::Finished => Ok(()),
        JobStatus::Failed => Err(CliError::job(&result.failure)),
        status => Err(CliError::job(&[format!("job {job} is {status}")])),
    }
}
