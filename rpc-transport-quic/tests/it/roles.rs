#[path = "../../../rpc-transport-tcp/tests/it/roles/table.rs"]
mod table;

use rpc_core::{RpcService, RpcServiceBuilder};
use rpc_transport_quic::{CertificateAuthority, CertificateRequest, Certificates, Quic};

use crate::loopback;

async fn make(builder: RpcServiceBuilder, certificates: Option<Certificates>) -> RpcService {
    let quic = match certificates {
        Some(certificates) => Quic::bind("127.0.0.1:0").mtls(certificates),
        None => loopback(),
    };
    builder.transport(quic).build().await.unwrap()
}
