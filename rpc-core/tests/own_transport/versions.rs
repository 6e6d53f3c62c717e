//! Peers that know another version of a gateway.

use rpc_core::{FencingToken, Outcome, RpcError, RpcService};

use crate::pipes;

/// A gateway as an older program knows it.
mod old {
    use rpc_core::{Call, rpc_gateway};

    #[rpc_gateway]
    pub(crate) trait ClockGateway {
        fn now(&self) -> Call<u64>;
        fn zone(&self) -> Call<String>;
    }
}

/// The same gateway later: a method is new, one has changed, and their order is another.
mod new {
    use rpc_core::{Call, RpcEndpoint, RpcResult, gateways, rpc_endpoint, rpc_gateway};

    #[rpc_gateway]
    pub(crate) trait ClockGateway {
        fn leap(&self) -> Call<bool>;
        fn zone(&self) -> Call<u32>;
        fn now(&self) -> Call<u64>;
    }

    pub(crate) struct Clock;

    impl RpcEndpoint for Clock {
        type Gateways = gateways![ClockGateway];
    }

    #[rpc_endpoint(ClockGateway)]
    impl Clock {
        fn leap(&mut self) -> RpcResult<bool> {
            Ok(false)
        }

        fn zone(&mut self) -> RpcResult<u32> {
            Ok(1)
        }

        fn now(&mut self) -> RpcResult<u64> {
            Ok(42)
        }
    }
}

#[tokio::test]
async fn a_changed_method_is_refused_and_the_others_are_served() {
    let callee = pipes(RpcService::builder()).await;
    let caller = pipes(RpcService::builder()).await;
    let server = callee.start_server("clock", new::Clock).unwrap();
    server.start();
    let clock = caller
        .connect::<dyn old::ClockGateway>(&server.address())
        .await
        .unwrap();
    assert_eq!(clock.now().await, Ok(42));
    let error = clock.zone().await.unwrap_err();
    assert!(matches!(&error, RpcError::Incompatible { method } if method == "ClockGateway::zone"));
    assert_eq!(error.outcome(), Outcome::NotExecuted);
    let clock = caller
        .connect::<dyn new::ClockGateway>(&server.address())
        .await
        .unwrap();
    assert_eq!((clock.zone().await, clock.leap().await), (Ok(1), Ok(false)));
    assert_eq!(clock.now().await, Ok(42));
    caller.close().await.unwrap();
    callee.close().await.unwrap();
}

/// The gateway of a component that had no leader yet.
mod unfenced {
    use rpc_core::{Call, rpc_gateway};

    #[rpc_gateway]
    pub(crate) trait TermGateway {
        fn runs(&self) -> Call<u32>;
    }
}

/// The same gateway, of a component that follows one.
mod fenced {
    use rpc_core::{Call, RpcEndpoint, RpcResult, gateways, rpc_endpoint, rpc_gateway};

    #[rpc_gateway(fenced)]
    pub(crate) trait TermGateway {
        fn runs(&self) -> Call<u32>;
    }

    pub(crate) struct Term;

    impl RpcEndpoint for Term {
        type Gateways = gateways![TermGateway];
    }

    #[rpc_endpoint(TermGateway)]
    impl Term {
        fn runs(&mut self) -> RpcResult<u32> {
            Ok(42)
        }
    }
}

/// `connect` does not compile for a fenced gateway, so it takes an older peer to come without a token.
// Flink: FencedRpcEndpointTest#testUnfencedRemoteGateway
#[tokio::test]
async fn a_peer_without_a_token_is_fenced_out() {
    let callee = pipes(RpcService::builder()).await;
    let caller = pipes(RpcService::builder()).await;
    let server = callee.start_server("term", fenced::Term).unwrap();
    server.start();
    let token = FencingToken::new(1);
    let leads = server
        .main_thread()
        .call_async(move |_, cx| cx.set_fencing_token(Some(token)));
    leads.await.unwrap();
    let address = server.address();
    let without = caller.connect::<dyn unfenced::TermGateway>(&address).await;
    let error = without.unwrap().runs().await.unwrap_err();
    let fenced_out = RpcError::Fenced {
        expected: Some(token),
        got: None,
    };
    assert_eq!(error, fenced_out);
    let with = caller.connect_fenced::<dyn fenced::TermGateway>(&address, token);
    assert_eq!(with.await.unwrap().runs().await, Ok(42));
    caller.close().await.unwrap();
    callee.close().await.unwrap();
}
