//! `rpc-cluster taskmanager`.

use std::sync::Arc;

use rpc_components::entrypoint::TaskManager;
use rpc_components::id::ResourceId;
use rpc_components::operator::OperatorRegistry;
use rpc_components::rpc_core::EndpointError;
use rpc_components::transport::Network;

use crate::args::TaskManagerArgs;
use crate::config::config;
use crate::error::CliError;
use crate::signal::{HangUps, Signals};
use crate::{address, output};

pub(crate) async fn run(
    args: TaskManagerArgs,
    operators: Arc<OperatorRegistry>,
) -> Result<(), CliError> {
    let config = config(args.config.as_deref())?;
    let has_files = args.security.has_files();
    let network = Network::new(args.security.security()).map_err(|it| CliError::wrong(&it))?;
    let scheme = address::scheme(&args.jobmanager)?;
    let listen = match args.listen {
        Some(listen) => listen,
        None => format!("{scheme}://127.0.0.1:0"),
    };
    address::scheme(&listen)?;
    // Before anybody can know that it is there, and send one.
    let hang_ups = HangUps::new()?;
    let rpc = network
        .listen(&listen, args.advertise.as_deref(), config.rpc.clone())
        .await;
    let rpc = rpc.map_err(|error| CliError::wrong(&error))?;
    let resource = match args.name {
        Some(name) => ResourceId::new(name),
        None => ResourceId::random("tm"),
    };
    let started = TaskManager::start(
        rpc.clone(),
        &args.jobmanager,
        resource.clone(),
        args.slots,
        operators,
        config,
    );
    let task_manager = started
        .await
        .map_err(|error| CliError::failed("task manager", &*error))?;
    // Before it says that it is there.
    let mut signals = Signals::new()?;
    hang_ups.reload(&rpc, network, has_files);
    let slots = match args.slots {
        1 => String::from("1 slot"),
        slots => format!("{slots} slots"),
    };
    output::say(&format!(
        "task manager {resource} with {slots} for {}",
        args.jobmanager
    ));
    tokio::select! {
        biased;
        () = signals.terminated() => tracing::info!("closing"),
        ended = task_manager.terminated() => {
            return Err(match ended {
                Ok(()) => CliError::job(&[String::from("the job manager rejects this task manager")]),
                // It stops by itself, and says why when it does.
                Err(EndpointError::Stop { source, .. }) => {
                    CliError::failed("task manager", &source)
                }
                Err(error) => CliError::failed("task manager", &error),
            });
        }
    }
    signals.closed("task manager", task_manager.close()).await
}
