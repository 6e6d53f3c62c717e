//! The commands that ask a cluster something: `list`, `info`, `cancel`, `metrics`, `task-managers`.

use std::time::Duration;

use rpc_components::RetrievalError;
use rpc_components::client::{ClientError, ClusterClient};
use rpc_components::gateway::{JobDetails, JobInfo, MetricValue};
use rpc_components::rpc_core::transport::TransportError;
use rpc_components::rpc_core::{ConnectError, RpcConfig, RpcService};
use rpc_components::transport::Network;

use crate::args::{JobArgs, SecurityArgs, TargetArgs};
use crate::error::{CliError, chain};
use crate::{address, output};

/// A client, and the service that it has to itself.
pub(crate) struct Connected {
    pub(crate) client: ClusterClient,
    rpc: RpcService,
}

impl Connected {
    pub(crate) async fn to(target: &str, security: SecurityArgs) -> Result<Self, CliError> {
        address::scheme(target)?;
        let network = Network::new(security.security()).map_err(|it| CliError::wrong(&it))?;
        let rpc = network.dial(target, RpcConfig::default()).await;
        let rpc = rpc.map_err(|error| CliError::wrong(&error))?;
        let client = ClusterClient::connect(rpc.clone(), target).await;
        let client = client.map_err(|error| match is_refused(&error) {
            true => CliError::wrong(&error),
            false => CliError::unreachable(&error),
        })?;
        Ok(Self { client, rpc })
    }

    pub(crate) async fn close(self) {
        // It has no endpoints that could end badly.
        let _ = self.rpc.close().await;
    }
}

/// Tells whether no JobManager was dialled, because the command line does not allow it.
const fn is_refused(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Retrieval(RetrievalError::Connect {
            source: ConnectError::Transport(TransportError::Config { .. }),
            ..
        })
    )
}

pub(crate) async fn list(args: TargetArgs) -> Result<(), CliError> {
    let connected = Connected::to(&args.target, args.security).await?;
    let jobs = connected.client.list_jobs().await.map_err(failed)?;
    let mut rows = vec![header(&[
        "JOB", "STATUS", "TASKS", "RESTARTS", "TIME", "NAME",
    ])];
    rows.extend(jobs.iter().map(row));
    output::print(&output::table(&rows))?;
    connected.close().await;
    Ok(())
}

fn row(job: &JobDetails) -> Vec<String> {
    vec![
        job.id.to_string(),
        job.status.to_string(),
        format!("{}/{}", job.tasks_finished, job.tasks),
        job.restarts.to_string(),
        seconds(job.duration_ms),
        job.name.clone(),
    ]
}

pub(crate) async fn info(args: JobArgs) -> Result<(), CliError> {
    let JobArgs { job, target } = args;
    let connected = Connected::to(&target.target, target.security).await?;
    let info = connected.client.job(job).await.map_err(failed)?;
    output::print(&in_full(&info))?;
    connected.close().await;
    Ok(())
}

fn in_full(info: &JobInfo) -> String {
    let details = &info.details;
    let mut text = format!(
        "job     {}\nname    {}\n",
        details.id,
        output::shown(&details.name)
    );
    text.push_str(&format!("status  {}\n", details.status));
    text.push_str(&format!("time    {}\n", seconds(details.duration_ms)));
    push_causes(&mut text, "failure", &info.failure);
    if details.restarts > 0 {
        text.push_str(&format!("restarts {}\n", output::restarts(info)));
    }
    for cause in &info.restart_causes {
        let after_ms = cause.at_ms.saturating_sub(details.submitted_ms);
        text.push_str(&format!("\nrestart after {}\n", seconds(after_ms)));
        push_causes(&mut text, "failure", &cause.failure);
    }
    let head = [
        "VERTEX",
        "TASK",
        "STATE",
        "TASK MANAGER",
        "RECORDS IN",
        "RECORDS OUT",
        "BYTES IN",
    ];
    let mut rows = vec![header(&head)];
    for vertex in &info.vertices {
        for subtask in &vertex.subtasks {
            let task_manager = subtask.task_manager.as_ref();
            rows.push(vec![
                vertex.name.clone(),
                subtask.attempt.subtask.to_string(),
                subtask.state.to_string(),
                task_manager.map_or_else(|| String::from("-"), ToString::to_string),
                subtask.records_in.to_string(),
                subtask.records_out.to_string(),
                subtask.bytes_in.to_string(),
            ]);
        }
    }
    text.push('\n');
    text.push_str(&output::table(&rows));
    text
}

fn push_causes(text: &mut String, first: &str, failure: &[String]) {
    for (place, cause) in failure.iter().enumerate() {
        let label = if place == 0 { first } else { "because" };
        text.push_str(&format!("{label} {}\n", output::shown(cause)));
    }
}

pub(crate) async fn cancel(args: JobArgs) -> Result<(), CliError> {
    let JobArgs { job, target } = args;
    let connected = Connected::to(&target.target, target.security).await?;
    connected.client.cancel(job).await.map_err(failed)?;
    let result = connected.client.job_result(job);
    // Tasks notice within moments; one that does not is not waited for.
    match tokio::time::timeout(CANCEL_WAIT, result).await {
        Ok(result) => {
            let status = result.map_err(failed)?.status;
            output::say(&format!("job {job} is {status}"));
        }
        Err(_) => output::say(&format!("job {job} is being cancelled")),
    }
    connected.close().await;
    Ok(())
}

pub(crate) async fn metrics(args: TargetArgs) -> Result<(), CliError> {
    let connected = Connected::to(&args.target, args.security).await?;
    let metrics = connected.client.metrics().await.map_err(failed)?;
    let mut rows = vec![header(&["PROCESS", "METRIC", "VALUE"])];
    for (process, metrics) in &metrics {
        for metric in metrics {
            let value = match metric.value {
                MetricValue::Counter(count) => count.to_string(),
                MetricValue::Gauge(value) => value.to_string(),
                _ => String::from("?"),
            };
            rows.push(vec![process.to_string(), metric.name.clone(), value]);
        }
    }
    output::print(&output::table(&rows))?;
    connected.close().await;
    Ok(())
}

pub(crate) async fn task_managers(args: TargetArgs) -> Result<(), CliError> {
    let connected = Connected::to(&args.target, args.security).await?;
    let task_managers = connected.client.task_managers().await.map_err(failed)?;
    let mut rows = vec![header(&[
        "TASK MANAGER",
        "SLOTS",
        "FREE",
        "LAST HEARTBEAT",
        "ADDRESS",
    ])];
    rows.extend(task_managers.iter().map(|it| {
        vec![
            it.resource.to_string(),
            it.slots.to_string(),
            it.slots_free.to_string(),
            format!("{} ago", seconds(it.last_heartbeat_ms)),
            it.address.clone(),
        ]
    }));
    output::print(&output::table(&rows))?;
    connected.close().await;
    Ok(())
}

fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a time of that length is shown to one digit"
)]
fn seconds(ms: u64) -> String {
    format!("{:.1}s", ms as f64 / 1000.0)
}

/// The cluster refuses, or does not answer.
pub(crate) fn failed(error: ClientError) -> CliError {
    CliError::job(&[chain(&error)])
}

/// How long `cancel` waits for the job's end.
const CANCEL_WAIT: Duration = Duration::from_secs(30);
