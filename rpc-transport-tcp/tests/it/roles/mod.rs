mod table;

use rpc_core::{RpcService, RpcServiceBuilder};
use rpc_transport_tcp::{CertificateAuthority, CertificateRequest, Certificates};

use crate::loopback;

async fn make(builder: RpcServiceBuilder, certificates: Option<Certificates>) -> RpcService {
    let tcp = match certificates {
        Some(certificates) => loopback().mtls(certificates),
        None => loopback(),
    };
    builder.transport(tcp).build().await.unwrap()
}
