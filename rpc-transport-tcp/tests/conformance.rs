//! The semantics that every transport shows.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod plain {
    use rpc_core::{RpcService, RpcServiceBuilder};
    use rpc_transport_tcp::Tcp;

    rpc_core::conformance!(tcp);

    async fn tcp(builder: RpcServiceBuilder) -> RpcService {
        let tcp = Tcp::bind("127.0.0.1:0");
        builder.transport(tcp).build().await.unwrap()
    }
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::LazyLock;

    use rpc_core::{RpcService, RpcServiceBuilder};
    use rpc_transport_tcp::{Certificates, Tcp};

    rpc_core::conformance!(tls);

    async fn tls(builder: RpcServiceBuilder) -> RpcService {
        static CERTIFICATES: LazyLock<Certificates> =
            LazyLock::new(|| Certificates::generate(&[]).unwrap());
        let tcp = Tcp::bind("127.0.0.1:0").mtls(CERTIFICATES.clone());
        builder.transport(tcp).build().await.unwrap()
    }
}
