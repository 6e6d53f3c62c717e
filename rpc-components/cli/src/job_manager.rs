//! `rpc-cluster jobmanager`.

use std::path::Path;
use std::sync::Arc;

use rpc_components::entrypoint::{ClusterConfig, JobManager};
use rpc_components::operator::OperatorRegistry;
use rpc_components::transport::Network;

use crate::args::JobManagerArgs;
use crate::error::CliError;
use crate::{address, output, signal};

pub(crate) async fn run(
    args: JobManagerArgs,
    operators: Arc<OperatorRegistry>,
) -> Result<(), CliError> {
    let config = config(args.config.as_deref())?;
    address::scheme(&args.listen)?;
    let network = Network::new(args.security.security()).map_err(|it| CliError::wrong(&it))?;
    let rpc = network
        .listen(&args.listen, args.advertise.as_deref(), config.rpc.clone())
        .await;
    let rpc = rpc.map_err(|error| CliError::wrong(&error))?;
    let started = JobManager::start(rpc, operators, config).await;
    let job_manager = started.map_err(|error| CliError::failed("job manager", &*error))?;
    output::say(&format!("job manager at {}", job_manager.address()));
    tokio::select! {
        biased;
        () = signal::terminated() => {}
        ended = job_manager.terminated() => {
            if let Err(error) = ended {
                return Err(CliError::failed("job manager", &error));
            }
        }
    }
    let closed = job_manager.close().await;
    closed.map_err(|error| CliError::failed("job manager", &error))
}

/// Reads the file of limits and times, if there is one.
pub(crate) fn config(path: Option<&Path>) -> Result<ClusterConfig, CliError> {
    let config = path.map_or_else(|| Ok(ClusterConfig::default()), ClusterConfig::read);
    config.map_err(|error| CliError::wrong(&error))
}
