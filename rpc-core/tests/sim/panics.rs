//! Values whose own code panics while they are encoded or decoded for a connection: that costs their
//! call, and no other.

use std::sync::Arc;

use futures_util::FutureExt;
use rpc_core::testing::sim::{self, SimEventKind, SimNetwork};
use rpc_core::{
    Call, PanicPolicy, RpcConfig, RpcEndpoint, RpcError, RpcResult, RpcService, gateways,
    rpc_endpoint, rpc_gateway,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that panics where it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mine(u8);

const ENCODED: u8 = 1;
const DECODED: u8 = 2;

impl Serialize for Mine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, ENCODED, "encoded, as it was asked to");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Mine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        assert_ne!(number, DECODED, "decoded, as it was asked to");
        Ok(Self(number))
    }
}

#[rpc_gateway]
trait MineGateway {
    fn lay(&self, mine: Mine) -> Call<u8>;
    fn throw(&self, mine: Mine);
    #[rpc(timeout = "none")]
    fn give(&self, number: u8) -> Call<Mine>;
    #[rpc(timeout = "none")]
    fn wait(&self) -> Call<()>;
}

/// Goes on whatever its handlers do.
struct Field;

impl RpcEndpoint for Field {
    type Gateways = gateways![MineGateway];
    const ON_PANIC: PanicPolicy = PanicPolicy::Continue;
}

#[rpc_endpoint(MineGateway)]
impl Field {
    fn lay(&mut self, mine: Mine) -> RpcResult<u8> {
        Ok(mine.0)
    }

    fn throw(&mut self, _mine: Mine) {}

    fn give(&mut self, number: u8) -> RpcResult<Mine> {
        Ok(Mine(number))
    }

    async fn wait(_main: rpc_core::MainThread<'_, Self>) -> RpcResult<()> {
        std::future::pending().await
    }
}

async fn pair(net: &SimNetwork) -> (RpcService, RpcService, Arc<dyn MineGateway>) {
    let [callee, caller] = ["b", "a"].map(|name| {
        let node = net.node(name);
        RpcService::builder().transport(node.transport()).build()
    });
    let (callee, caller) = (callee.await.unwrap(), caller.await.unwrap());
    callee.start_server("field", Field).unwrap().start();
    let field = caller.connect("sim://b/field").await.unwrap();
    (callee, caller, field)
}

#[test]
fn a_value_that_panics_costs_its_own_call() {
    sim::run(1, async |net| {
        let (_callee, _caller, field) = pair(&net).await;
        // One that is under way all the time.
        let mut wait = field.wait();
        assert!((&mut wait).now_or_never().is_none());

        let decoded = field.give(DECODED).await.unwrap_err();
        assert!(
            matches!(&decoded, RpcError::Codec { response: true, .. }),
            "{decoded:?}"
        );
        let encoded = field.give(ENCODED).await.unwrap_err();
        assert!(
            matches!(&encoded, RpcError::Panicked { endpoint } if endpoint == "field"),
            "{encoded:?}"
        );
        let laid = field.lay(Mine(DECODED)).await.unwrap_err();
        let RpcError::Codec {
            response: false,
            method,
            ..
        } = &laid
        else {
            panic!("{laid:?}");
        };
        assert!(method.ends_with("lay"), "{method}");
        field.throw(Mine(DECODED));
        assert_eq!(field.lay(Mine(7)).await, Ok(7));

        assert!((&mut wait).now_or_never().is_none());
        assert_eq!(net.trace().of(SimEventKind::Dial).count(), 1);
    });
}

#[tokio::test]
async fn a_value_that_panics_costs_its_own_call_within_a_strict_service_too() {
    let mut config = RpcConfig::default();
    config.strict_local = true;
    let service = RpcService::builder().config(config).build().await.unwrap();
    service.start_server("field", Field).unwrap().start();
    let field: Arc<dyn MineGateway> = service.connect("field").await.unwrap();
    let decoded = field.give(DECODED).await.unwrap_err();
    assert!(
        matches!(&decoded, RpcError::Codec { response: true, .. }),
        "{decoded:?}"
    );
    let laid = field.lay(Mine(DECODED)).await.unwrap_err();
    assert!(
        matches!(
            &laid,
            RpcError::Codec {
                response: false,
                ..
            }
        ),
        "{laid:?}"
    );
    assert_eq!(field.lay(Mine(7)).await, Ok(7));
}
