//! The progress of a job, shown on a terminal and not when piped.

use std::io::{IsTerminal, stderr, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rpc_components::client::ClusterClient;
use rpc_components::gateway::{ExecutionState, JobInfo, JobStatus};
use rpc_components::id::JobId;

use crate::output;

/// Shows where a job stands until it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    task: tokio::task::JoinHandle<()>,
}

impl Progress {
    /// Begins to show a job, if there is a terminal to show it on.
    ///
    /// Results that are printed on the same terminal would be torn by it, so that there is none
    /// then unless they go elsewhere.
    #[expect(
        clippy::disallowed_methods,
        reason = "it is no component's, and it is aborted when this is dropped"
    )]
    pub(crate) fn follow(client: ClusterClient, job: JobId, prints_results: bool) -> Option<Self> {
        if !stderr().is_terminal() || (prints_results && stdout().is_terminal()) {
            return None;
        }
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(100));
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            while let Ok(info) = client.job(job).await {
                shown.set_message(line(&info));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        Some(Self { bar, task })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}

/// A job on one line.
fn line(info: &JobInfo) -> String {
    let subtasks = || info.vertices.iter().flat_map(|vertex| &vertex.subtasks);
    let running = subtasks()
        .filter(|it| it.state == ExecutionState::Running)
        .count();
    // What the sources have read: the first vertex is one.
    let read: u64 = info.vertices.first().map_or(0, |vertex| {
        vertex.subtasks.iter().map(|it| it.bytes_in).sum()
    });
    let details = &info.details;
    if details.status == JobStatus::Restarting {
        let cause = info.restart_causes.last();
        // The first says which task failed, the next why.
        let cause = cause.and_then(|it| it.failure.get(1).or_else(|| it.failure.first()));
        let cause = cause.map_or("", String::as_str);
        return output::shown(&format!(
            "{} {} ({}): {cause}",
            details.name,
            details.status,
            output::restarts(info),
        ));
    }
    format!(
        "{} {}: {} running, {} of {} tasks finished, {} MB read",
        details.name,
        details.status,
        running,
        details.tasks_finished,
        details.tasks,
        read / 1_000_000,
    )
}
