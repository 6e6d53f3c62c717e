//! How a service is made.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Once};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Span;

use super::accept::listen;
use super::channel::Channels;
use super::peers::Peers;
use super::registry::Registry;
use super::{BuildError, Inner, NoRuntime, Reach, RpcService};
use crate::caller::Caller;
use crate::config::RpcConfig;
use crate::metering;
use crate::transport::Transport;

impl RpcService {
    /// Starts to describe a service.
    #[must_use]
    pub fn builder() -> RpcServiceBuilder {
        RpcServiceBuilder::default()
    }

    /// Makes a service without transports: its endpoints are for its own gateways.
    #[must_use]
    pub fn local() -> Self {
        Self::from_parts(RpcServiceBuilder::default(), BTreeMap::new())
    }

    fn from_parts(builder: RpcServiceBuilder, transports: BTreeMap<&'static str, Reach>) -> Self {
        let id = fastrand::u128(..);
        let caller = Arc::new(builder.caller(id));
        let RpcServiceBuilder {
            config,
            cluster,
            roles_needed,
            ..
        } = builder;
        if config.metrics {
            metering::describe();
        }
        let inner = Arc::new(Inner {
            id,
            cluster: cluster.as_deref().map_or(0, cluster_id),
            channels: Channels::new(config.channel_backlog_max),
            caller,
            config,
            transports,
            registry: Registry::default(),
            peers: Peers::default(),
            dialled: AtomicU64::new(0),
            accepted: Arc::default(),
            roles_needed,
            runtime: Handle::try_current().ok(),
            tasks: Mutex::new(JoinSet::new()),
            homes: Mutex::default(),
            awake: Arc::default(),
            closed: watch::Sender::new(false),
            span: Span::current(),
            watching: Once::new(),
        });
        Self { inner }
    }
}

/// Describes a service: its transports, and its limits.
#[derive(Debug, Default)]
pub struct RpcServiceBuilder {
    config: RpcConfig,
    cluster: Option<String>,
    roles_needed: bool,
    transports: Vec<Arc<dyn Transport>>,
    #[cfg(feature = "testing")]
    faults: crate::testing::Faults,
}

impl RpcServiceBuilder {
    /// Lets the service listen and dial by a transport.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transports.push(Arc::new(transport));
        self
    }

    /// Replaces the limits and times.
    #[must_use]
    pub fn config(mut self, config: RpcConfig) -> Self {
        self.config = config;
        self
    }

    /// Names the cluster: services of differently named clusters refuse each other.
    #[must_use]
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(name.into());
        self
    }

    /// Lets peers call only what their certificates give them a role for.
    ///
    /// A method says who may call it by `#[rpc(roles = "..")]`; one that says nothing may then be
    /// called by nobody, and a peer without a certificate may call nothing. Calls within the service
    /// are not judged, and channels are open to whoever has a certificate. A connection keeps the
    /// roles that it was made with.
    #[must_use]
    pub const fn require_roles(mut self) -> Self {
        self.roles_needed = true;
        self
    }

    /// Lets calls go wrong as a test asks.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn faults(mut self, faults: &crate::testing::Faults) -> Self {
        self.faults = faults.clone();
        self
    }

    fn caller(&self, service: u128) -> Caller {
        Caller {
            #[cfg(feature = "testing")]
            faults: self.faults.clone(),
            ..Caller::new(service, &self.config)
        }
    }

    /// Binds the transports, and starts to accept.
    ///
    /// # Errors
    ///
    /// The configuration cannot work, a transport cannot be bound, or two have the same scheme; or one
    /// listens, and this is not polled in a runtime.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, if a transport listens that needs one, as those over sockets do.
    pub async fn build(mut self) -> Result<RpcService, BuildError> {
        check(&self.config)?;
        let mut transports = BTreeMap::new();
        let mut listeners = Vec::new();
        for transport in std::mem::take(&mut self.transports) {
            let scheme = transport.scheme();
            let listener = transport.listen().await?;
            let authority = listener
                .as_ref()
                .map(|it| it.authority().to_ascii_lowercase());
            listeners.extend(listener);
            let reach = Reach {
                transport,
                authority,
            };
            if transports.insert(scheme, reach).is_some() {
                return Err(BuildError::Twice { scheme });
            }
        }
        let service = RpcService::from_parts(self, transports);
        for listener in listeners {
            let listening = service.try_spawn(listen(service.downgrade(), listener));
            listening.map_err(|NoRuntime| BuildError::NoRuntime)?;
        }
        Ok(service)
    }
}

fn check(config: &RpcConfig) -> Result<(), BuildError> {
    let refusal = |field, reason| Err(BuildError::Config { field, reason });
    if config.redial_delay_max < config.redial_delay_min {
        return refusal("redial_delay_max", "is less than redial_delay_min");
    }
    if config.channel_backlog_max == 0 {
        return refusal("channel_backlog_max", "is 0: no channel could be accepted");
    }
    let needed = [
        ("calls_max", config.calls_max),
        ("frame_bytes_max", config.frame_bytes_max),
        ("mailbox_bytes_max", config.mailbox_bytes_max),
        ("mailbox_messages_max", config.mailbox_messages_max),
        ("outbox_bytes_max", config.outbox_bytes_max),
        ("window_bytes", config.window_bytes),
    ];
    match needed.into_iter().find(|(_, value)| *value == 0) {
        Some((field, _)) => refusal(field, "is 0: no call could be made"),
        None => Ok(()),
    }
}

/// Hashes a cluster's name (FNV-1a): it only has to tell clusters apart, not to keep anyone out.
fn cluster_id(name: &str) -> u128 {
    let step = |hash: u128, byte: u8| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    };
    name.bytes()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, step)
}
