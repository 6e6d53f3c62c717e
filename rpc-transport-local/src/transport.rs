use std::sync::Arc;

use async_trait::async_trait;
use rpc_core::transport::{Connection, Listener, Transport, TransportError};

use crate::network::LocalNetwork;

/// The transport of `local` addresses, made by a [`LocalNetwork`].
#[derive(Clone, Debug)]
pub struct Local {
    network: LocalNetwork,
    name: Option<String>,
}

impl Local {
    pub(crate) fn new(network: LocalNetwork, name: Option<String>) -> Self {
        Self { network, name }
    }
}

#[async_trait]
impl Transport for Local {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError> {
        let Some(name) = &self.name else {
            return Ok(None);
        };
        Ok(Some(Box::new(self.network.listen(name)?)))
    }

    async fn connect(&self, authority: &str) -> Result<Arc<dyn Connection>, TransportError> {
        let dialler = self.name.as_deref().unwrap_or(NAMELESS);
        let dialled = self.network.connect(dialler, authority).await?;
        Ok(Arc::new(dialled))
    }
}

pub(crate) const SCHEME: &str = "local";

/// What an accepted connection calls a peer that does not listen itself.
const NAMELESS: &str = "a dialler without a name";
