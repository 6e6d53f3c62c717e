//! `rpc-cluster jobmanager`.

use std::sync::Arc;

use rpc_components::entrypoint::JobManager;
use rpc_components::operator::OperatorRegistry;
use rpc_components::transport::Network;

use crate::args::JobManagerArgs;
use crate::config::config;
use crate::error::CliError;
use crate::signal::{HangUps, Signals};
use crate::{address, output};

pub(crate) async fn run(
    args: JobManagerArgs,
    operators: Arc<OperatorRegistry>,
) -> Result<(), CliError> {
    let config = config(args.config.as_deref())?;
    address::scheme(&args.listen)?;
    let has_files = args.security.has_files();
    let network = Network::new(args.security.security()).map_err(|it| CliError::wrong(&it))?;
    // Before anybody can know that it is there, and send one.
    let hang_ups = HangUps::new()?;
    let rpc = network
        .listen(&args.listen, args.advertise.as_deref(), config.rpc.clone())
        .await;
    let rpc = rpc.map_err(|error| CliError::wrong(&error))?;
    let started = JobManager::start(rpc.clone(), operators, config).await;
    let job_manager = started.map_err(|error| CliError::failed("job manager", &*error))?;
    // Before it says that it is there.
    let mut signals = Signals::new()?;
    hang_ups.reload(&rpc, network, has_files);
    output::say(&format!("job manager at {}", job_manager.address()));
    tokio::select! {
        biased;
        () = signals.terminated() => tracing::info!("closing"),
        ended = job_manager.terminated() => {
            if let Err(error) = ended {
                return Err(CliError::failed("job manager", &error));
            }
        }
    }
    signals.closed("job manager", job_manager.close()).await
}
