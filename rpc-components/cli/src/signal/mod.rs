//! The signals that end a process, and the one that renews its certificates.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::future::Future;

use rpc_components::rpc_core::RpcService;
use rpc_components::transport::Network;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CliError, chain};

/// The signals by which somebody wants the process to end: SIGINT and SIGTERM.
///
/// None is lost from when it is made on, and none ends the process by itself any more.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, CliError> {
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits until somebody wants the process to end.
    ///
    /// # Cancel safety
    ///
    /// No signal is lost.
    pub(crate) async fn terminated(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits until a component of the process has closed, or somebody does not want to wait for it.
    pub(crate) async fn closed<E: Error + 'static>(
        &mut self,
        what: &str,
        close: impl Future<Output = Result<(), E>>,
    ) -> Result<(), CliError> {
        tokio::select! {
            biased;
            closed = close => closed.map_err(|error| CliError::failed(what, &error)),
            () = self.terminated() => {
                let message = format!("{what}: ended by a second signal while it closed");
                Err(CliError::job(&[message]))
            }
        }
    }
}

/// Reads the certificates of a service again whenever a SIGHUP comes.
pub(crate) fn reload_on_hang_up(rpc: &RpcService, network: Network) -> Result<(), CliError> {
    let mut hang_up = listen(SignalKind::hangup())?;
    rpc.spawn(async move {
        while hang_up.recv().await.is_some() {
            let network = network.clone();
            let reloaded = tokio::task::spawn_blocking(move || network.reload()).await;
            match reloaded {
                Ok(Ok(())) => tracing::info!("certificates reloaded"),
                Ok(Err(error)) => {
                    let error = chain(&error);
                    tracing::error!(error, "certificates not reloaded, the old ones stay");
                }
                // The runtime shuts down.
                Err(_) => return,
            }
        }
    });
    Ok(())
}

fn listen(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|error| CliError::failed("cannot listen for signals", &error))
}
