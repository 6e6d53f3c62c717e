use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rpc_core::transport::TransportError;
use tokio::sync::mpsc;

use crate::config::LocalConfig;
use crate::connection::LocalConnection;
use crate::listener::LocalListener;
use crate::transport::{Local, SCHEME};

/// A network within one process, on which services reach each other by name.
///
/// A clone is the same network. Two networks know nothing of each other, so that tests which run
/// side by side may use the same names.
#[derive(Clone, Debug, Default)]
pub struct LocalNetwork {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    config: LocalConfig,
    listeners: Mutex<HashMap<String, mpsc::Sender<LocalConnection>>>,
    names_given: AtomicU64,
}

impl LocalNetwork {
    /// Makes a network with the default limits and nobody on it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a network with the given limits and nobody on it.
    #[must_use]
    pub fn with_config(config: LocalConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                ..Inner::default()
            }),
        }
    }

    /// Returns a transport that listens as `local://name`, and dials everybody on this network.
    ///
    /// The name is taken when the transport listens, and free again once its listener is dropped.
    #[must_use]
    pub fn bind(&self, name: impl Into<String>) -> Local {
        Local::new(self.clone(), Some(name.into()))
    }

    /// Returns a transport like that of [`bind`](Self::bind), by a name that nobody else has.
    #[must_use]
    pub fn bind_any(&self) -> Local {
        let number = self.inner.names_given.fetch_add(1, Ordering::Relaxed);
        self.bind(format!("any-{number}"))
    }

    /// Returns a transport that dials everybody on this network, and cannot be dialled.
    #[must_use]
    pub fn dial_only(&self) -> Local {
        Local::new(self.clone(), None)
    }

    pub(crate) fn listen(&self, name: &str) -> Result<LocalListener, TransportError> {
        if name.is_empty() || name.contains(['/', '@']) {
            return Err(TransportError::Address {
                scheme: SCHEME,
                authority: name.to_owned(),
                reason: "a name is not empty and has neither `/` nor `@`".to_owned(),
            });
        }
        // As it stands in addresses.
        let name = &name.to_ascii_lowercase();
        match self.inner.listeners.lock().entry(name.clone()) {
            Entry::Occupied(_) => Err(TransportError::Bind {
                scheme: SCHEME,
                authority: name.to_owned(),
                source: io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another service of this process listens by this name",
                )
                .into(),
            }),
            Entry::Vacant(vacant) => {
                let (sender, accepted) = mpsc::channel(self.inner.config.accept_backlog.max(1));
                vacant.insert(sender);
                Ok(LocalListener::new(self.clone(), name.clone(), accepted))
            }
        }
    }

    /// Frees the name of a listener that is being dropped.
    pub(crate) fn unlisten(&self, name: &str) {
        self.inner.listeners.lock().remove(name);
    }

    pub(crate) async fn connect(
        &self,
        dialler: &str,
        name: &str,
    ) -> Result<LocalConnection, TransportError> {
        let refused = || TransportError::Connect {
            scheme: SCHEME,
            authority: name.to_owned(),
            source: io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "no service of this process listens by this name",
            )
            .into(),
        };
        let name = &name.to_ascii_lowercase();
        let listener = self.inner.listeners.lock().get(name).cloned();
        let listener = listener.ok_or_else(refused)?;
        // The wait for room comes first, so that a dropped future has not dialled.
        let room = listener.reserve().await.map_err(|_closed| refused())?;
        let (dialled, accepted) = LocalConnection::pair(dialler, name, &self.inner.config);
        room.send(accepted);
        Ok(dialled)
    }
}
