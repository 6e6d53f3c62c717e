use std::future::pending;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rpc_core::RpcService;
use rpc_core::transport::Transport;
use rpc_transport_local::LocalNetwork;
use rpc_transport_quic::Quic;
use rpc_transport_tcp::Tcp;

use crate::certificates::certificates;

/// How calls get from one service to another.
pub trait Carrier: Send + Sync + 'static {
    /// Makes the service that answers.
    fn callee() -> impl Future<Output = RpcService> + Send;

    /// Makes a service that asks, on another.
    fn caller() -> impl Future<Output = RpcService> + Send;
}

/// Not at all: caller and callee are of one service.
#[derive(Debug)]
pub struct SameService;

/// In memory, as bytes.
#[derive(Debug)]
pub struct Local;

/// Over TCP.
#[derive(Debug)]
pub struct OverTcp;

/// Over TCP with certificates on both sides.
#[derive(Debug)]
pub struct OverTls;

/// Over QUIC.
#[derive(Debug)]
pub struct OverQuic;

impl Carrier for SameService {
    async fn callee() -> RpcService {
        RpcService::local()
    }

    async fn caller() -> RpcService {
        RpcService::local()
    }
}

impl Carrier for Local {
    async fn callee() -> RpcService {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("callee{}", NEXT.fetch_add(1, Ordering::Relaxed));
        service(network().bind(name)).await
    }

    async fn caller() -> RpcService {
        service(network().dial_only()).await
    }
}

impl Carrier for OverTcp {
    async fn callee() -> RpcService {
        service(Tcp::bind(LOOPBACK)).await
    }

    async fn caller() -> RpcService {
        service(Tcp::dial_only()).await
    }
}

impl Carrier for OverTls {
    async fn callee() -> RpcService {
        service(Tcp::bind(LOOPBACK).mtls(certificates().clone())).await
    }

    async fn caller() -> RpcService {
        service(Tcp::dial_only().mtls(certificates().clone())).await
    }
}

impl Carrier for OverQuic {
    async fn callee() -> RpcService {
        service(Quic::bind(LOOPBACK).mtls(certificates().clone())).await
    }

    async fn caller() -> RpcService {
        service(Quic::dial_only().mtls(certificates().clone())).await
    }
}

/// Lets a service answer until the runtime is shut down.
pub(super) fn keep(service: RpcService) {
    tokio::spawn(async move {
        pending::<()>().await;
        drop(service);
    });
}

async fn service(transport: impl Transport) -> RpcService {
    let service = RpcService::builder().transport(transport).build().await;
    service.expect("there is a free port")
}

fn network() -> &'static LocalNetwork {
    static NETWORK: OnceLock<LocalNetwork> = OnceLock::new();
    NETWORK.get_or_init(LocalNetwork::new)
}

const LOOPBACK: &str = "127.0.0.1:0";
