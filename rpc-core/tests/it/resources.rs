//! What an endpoint has registered ends with it.

use rpc_core::{
    BoxError, Call, Context, EndpointError, MainThread, ResourceId, RpcEndpoint, RpcResult,
    RpcService, gateways, rpc_endpoint, rpc_gateway,
};
use tokio::sync::mpsc;

#[rpc_gateway]
pub(crate) trait KeeperGateway {
    fn keep(&self, name: String) -> Call<()>;
    fn give_up(&self) -> Call<bool>;
}

/// Registers resources, and tells in which order things end.
struct Keeper {
    ends: mpsc::Sender<String>,
    last: Option<ResourceId>,
}

struct Resource {
    name: String,
    ends: mpsc::Sender<String>,
}

impl Drop for Resource {
    fn drop(&mut self) {
        assert_ne!(self.name, "bomb", "as it was asked to");
        self.ends.try_send(self.name.clone()).unwrap();
    }
}

impl Keeper {
    fn register(&mut self, cx: &mut Context<Self>, name: &str) {
        let (name, ends) = (name.to_owned(), self.ends.clone());
        self.last = Some(cx.register(Resource { name, ends }));
    }
}

impl RpcEndpoint for Keeper {
    type Gateways = gateways![KeeperGateway];

    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.register(cx, "first");
        Ok(())
    }

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        let ends = main.run(|keeper, cx| {
            keeper.register(cx, "late");
            keeper.ends.clone()
        });
        ends.try_send("on_stop".into())?;
        Ok(())
    }
}

#[rpc_endpoint(KeeperGateway)]
impl Keeper {
    fn keep(&mut self, cx: &mut Context<Self>, name: String) -> RpcResult<()> {
        self.register(cx, &name);
        Ok(())
    }

    fn give_up(&mut self, cx: &mut Context<Self>) -> RpcResult<bool> {
        Ok(self.last.is_some_and(|last| cx.unregister(last)))
    }
}

fn keeper() -> (Keeper, mpsc::Receiver<String>) {
    let (ends, ended) = mpsc::channel(16);
    (Keeper { ends, last: None }, ended)
}

/// In Flink to register late is an error, and what is registered is lost.
// Flink, untested: A6
#[tokio::test]
async fn what_was_registered_is_dropped_before_on_stop_and_what_comes_late_at_once() {
    let service = RpcService::local();
    let (keeper, mut ended) = keeper();
    let server = service.start_server("keeper", keeper).unwrap();
    server.start();
    let gateway = server.gateway::<dyn KeeperGateway>();
    gateway.keep("second".into()).await.unwrap();
    gateway.keep("third".into()).await.unwrap();
    assert!(ended.try_recv().is_err());
    assert_eq!(gateway.give_up().await, Ok(true));
    assert_eq!(gateway.give_up().await, Ok(false));
    server.close().await.unwrap();
    drop((gateway, server));
    let mut order = Vec::new();
    while let Some(end) = ended.recv().await {
        order.push(end);
    }
    assert_eq!(order, ["third", "first", "second", "late", "on_stop"]);
}

#[tokio::test]
async fn a_resource_that_panics_when_it_is_dropped_fails_its_endpoint() {
    let service = RpcService::local();
    let (keeper, _ended) = keeper();
    let server = service.start_server("keeper", keeper).unwrap();
    server.start();
    let gateway = server.gateway::<dyn KeeperGateway>();
    gateway.keep("bomb".into()).await.unwrap();
    let ended = server.close().await;
    assert!(
        matches!(ended, Err(EndpointError::Panicked { .. })),
        "{ended:?}"
    );
    service.close().await.unwrap();
}
