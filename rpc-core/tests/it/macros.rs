//! Gateways and endpoints that a macro of the user's writes, and the lints of whoever writes them.
#![warn(
    clippy::redundant_closure_for_method_calls,
    reason = "what the macros write fires no lint of the user's"
)]

use rpc_core::{
    Call, Context, Gateway, MainThread, ReplyTo, RpcEndpoint, RpcResult, RpcService, gateways,
    rpc_endpoint, rpc_gateway,
};

/// A gateway of four methods, one for each shape of a handler, and an endpoint that echoes.
macro_rules! echo {
    ($gateway:ident, $endpoint:ident: $of:ty, $call:ty;
     $quick:ident, $interleaving:ident, $deferred:ident, $one_way:ident($number:ident)) => {
        #[rpc_gateway]
        pub(crate) trait $gateway {
            fn $quick(&self, $number: $of) -> Call<$of>;
            fn $interleaving(&self, $number: $of) -> $call;
            fn $deferred(&self, $number: $of) -> Call<$of>;
            fn $one_way(&self, $number: $of);
        }

        pub(crate) struct $endpoint($of);

        impl RpcEndpoint for $endpoint {
            type Gateways = gateways![$gateway];
        }

        #[rpc_endpoint($gateway)]
        impl $endpoint {
            fn $quick(&mut self, $number: $of) -> RpcResult<$of> {
                Ok(self.0 + $number)
            }

            async fn $interleaving(main: MainThread<'_, Self>, $number: $of) -> RpcResult<$of> {
                Ok(main.run(|it, _| it.0 * $number))
            }

            fn $deferred(&mut self, _cx: &mut Context<Self>, $number: $of, reply: ReplyTo<$of>) {
                reply.answer(Ok($number));
            }

            fn $one_way(&mut self, $number: $of) {
                self.0 = $number;
            }
        }
    };
}

echo!(EchoGateway, Echo: u32, Call<u32>; add, multiply, echo, set(number));

#[tokio::test]
async fn a_macro_may_be_given_the_names_of_methods_and_arguments() {
    let service = RpcService::local();
    let server = service.start_server("echo", Echo(0)).unwrap();
    server.start();
    let echo = server.gateway::<dyn EchoGateway>();
    echo.set(6);
    assert_eq!(echo.add(1).await, Ok(7));
    assert_eq!(echo.multiply(7).await, Ok(42));
    assert_eq!(echo.echo(5).await, Ok(5));
    let mock = MockEchoGateway::default().add(|number| Ok(number + 1));
    assert_eq!(EchoGateway::add(&mock, 1).await, Ok(2));
    service.close().await.unwrap();
}

mod plain {
    #![allow(dead_code, reason = "only its table is looked at")]

    use rpc_core::{Call, rpc_gateway};

    #[rpc_gateway]
    pub(super) trait EchoGateway {
        fn add(&self, number: u32) -> Call<u32>;
        fn multiply(&self, number: u32) -> Call<u32>;
        fn echo(&self, number: u32) -> Call<u32>;
        fn set(&self, number: u32);
    }
}

#[test]
fn methods_that_a_macro_writes_are_those_that_are_written_out() {
    let written = fingerprints::<dyn EchoGateway>();
    assert_eq!(written, fingerprints::<dyn plain::EchoGateway>());
}

fn fingerprints<G: Gateway + ?Sized>() -> Vec<u64> {
    G::METHODS.iter().map(|it| it.fingerprint).collect()
}
