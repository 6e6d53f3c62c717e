//! The signals that end a process, and the one that renews its certificates.

#[cfg(test)]
mod tests;

use std::future::{Future, pending};
use std::time::Duration;

use rpc_components::rpc_core::{BoxError, RpcService};
use rpc_components::transport::Network;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CliError, chain};
use crate::output;

/// The signals by which somebody wants the process to end: SIGINT and SIGTERM.
///
/// None is lost from when it is made on, and none ends the process by itself any more.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// How many have come.
    seen: u32,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, CliError> {
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            seen: 0,
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
        self.seen += 1;
    }

    /// Waits for something, and says so if it is long in coming; `None` if a signal comes before.
    pub(crate) async fn unless_terminated<T>(
        &mut self,
        what: &str,
        waited_for: impl Future<Output = T>,
    ) -> Option<T> {
        let saying = async {
            tokio::time::sleep(SILENCE).await;
            output::complain(&format!("waiting for {what}; another signal ends that"));
            pending().await
        };
        tokio::select! {
            biased;
            it = waited_for => Some(it),
            () = self.terminated() => None,
            it = saying => Some(it),
        }
    }

    /// Waits until a component of the process has closed, or somebody does not want to wait for it:
    /// two signals say so before it begins.
    pub(crate) async fn closed<E: Into<BoxError>>(
        &mut self,
        what: &str,
        close: impl Future<Output = Result<(), E>>,
    ) -> Result<(), CliError> {
        let closed = match self.seen {
            0 | 1 => {
                let end = format!("the {what} to close");
                self.unless_terminated(&end, close).await
            }
            _ => None,
        };
        match closed {
            Some(closed) => closed.map_err(|error| CliError::failed(what, &*error.into())),
            None => {
                let message = format!("{what}: ended by a signal while it closed");
                Err(CliError::job(&[message]))
            }
        }
    }
}

/// The signal by which somebody wants a process to read its certificates again: SIGHUP.
///
/// It does not end the process any more from when this is made on.
pub(crate) struct HangUps(Signal);

impl HangUps {
    pub(crate) fn new() -> Result<Self, CliError> {
        listen(SignalKind::hangup()).map(Self)
    }

    /// Reads the certificates of a service again whenever the signal comes, if it has any.
    pub(crate) fn reload(mut self, rpc: &RpcService, network: Network, has_files: bool) {
        rpc.spawn(async move {
            while self.0.recv().await.is_some() {
                if !has_files {
                    tracing::info!("there are no certificates to read again");
                    continue;
                }
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
    }
}

/// Lets a write that is beyond the limit of a file's size fail, as one to a full disk does: the signal
/// that it brings, SIGXFSZ, would end the process.
pub(crate) fn survive_file_size_limit() -> Result<(), CliError> {
    // Whoever has listened once is not ended by it any more.
    listen(SignalKind::from_raw(FILE_SIZE_LIMIT)).map(drop)
}

fn listen(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|error| CliError::failed("cannot listen for signals", &error))
}

/// The number of SIGXFSZ on Linux, macOS and the BSDs.
const FILE_SIZE_LIMIT: i32 = 25;
/// How long nothing is said of what is waited for: what goes well takes moments.
const SILENCE: Duration = Duration::from_secs(5);
