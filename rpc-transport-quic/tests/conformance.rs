//! The semantics that every transport shows, with certificates and without.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod insecure {
    use rpc_core::{RpcService, RpcServiceBuilder};
    use rpc_transport_quic::Quic;

    rpc_core::conformance!(quic);

    async fn quic(builder: RpcServiceBuilder) -> RpcService {
        let transport = Quic::bind("127.0.0.1:0").insecure();
        builder.transport(transport).build().await.unwrap()
    }
}

mod mutual_tls {
    use std::sync::LazyLock;

    use rpc_core::{RpcService, RpcServiceBuilder};
    use rpc_transport_quic::{Certificates, Quic};

    rpc_core::conformance!(quic);

    async fn quic(builder: RpcServiceBuilder) -> RpcService {
        static CERTIFICATES: LazyLock<Certificates> =
            LazyLock::new(|| Certificates::generate(&[]).unwrap());
        let transport = Quic::bind("127.0.0.1:0").mtls(CERTIFICATES.clone());
        builder.transport(transport).build().await.unwrap()
    }
}
