//! A cluster within a program: counts the words of the files and folders that are named.
//!
//! ```text
//! cargo run -p rpc-components --example word_count -- README.md
//! ```

use std::io::{self, Write};
use std::sync::Arc;

use rpc_components::gateway::JobStatus;
use rpc_components::job_graph::JobGraph;
use rpc_components::mini_cluster::{MiniCluster, MiniClusterConfig};
use rpc_components::operator::OperatorRegistry;
use rpc_components::rpc_core::BoxError;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let inputs: Vec<String> = std::env::args().skip(1).collect();
    if inputs.is_empty() {
        return Err("which files?".into());
    }
    let mut config = MiniClusterConfig::default();
    config.task_managers = 2;
    let cluster = MiniCluster::start(Arc::new(OperatorRegistry::new()), config).await?;
    let counted = count(&cluster, inputs).await;
    cluster.close().await?;
    counted
}

async fn count(cluster: &MiniCluster, inputs: Vec<String>) -> Result<(), BoxError> {
    let client = cluster.client().await?;
    let job = JobGraph::word_count(inputs, None, 2);
    let job = client.submit(job).await?;
    let mut written = Ok(());
    let print = |piece: bytes::Bytes| {
        if written.is_ok() {
            written = io::stdout().lock().write_all(&piece);
        }
        std::future::ready(())
    };
    client.follow_results(job, print).await?;
    written?;
    let result = client.job_result(job).await?;
    match result.status {
        JobStatus::Finished => Ok(()),
        _ => Err(result.failure.join(": ").into()),
    }
}
