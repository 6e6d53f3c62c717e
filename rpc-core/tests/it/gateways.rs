//! Gateways: what is in front of an endpoint, or of a mock.

use std::sync::Arc;

use rpc_core::{
    AppError, Call, Failure, MainThread, Outcome, RpcConfig, RpcEndpoint, RpcError, RpcResult,
    RpcService, gateways, rpc_endpoint, rpc_gateway,
};
use serde::{Deserialize, Serialize};

#[rpc_gateway]
pub(crate) trait SlotGateway {
    fn request_slots(&self, count: u32) -> Call<Vec<u32>, SlotError>;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum SlotError {
    #[error("only {0} slots are left")]
    Few(u32),
}

impl AppError for SlotError {}

#[rpc_gateway]
pub(crate) trait JobGateway {
    fn submit(&self, parallelism: u32) -> Call<u32, JobError>;
    fn numbers(&self) -> Call<u32>;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum JobError {
    #[error("a job has at least one task")]
    Empty,
}

impl AppError for JobError {}

/// Serves two gateways, and asks a third.
struct Jobs {
    slots: Arc<dyn SlotGateway>,
}

impl RpcEndpoint for Jobs {
    type Gateways = gateways![JobGateway, SlotGateway];
}

#[rpc_endpoint(JobGateway)]
impl Jobs {
    async fn submit(main: MainThread<'_, Self>, parallelism: u32) -> RpcResult<u32, JobError> {
        if parallelism == 0 {
            Err(JobError::Empty)?;
        }
        let slots = main.run(|jobs, _| Arc::clone(&jobs.slots));
        let slots = slots
            .request_slots(parallelism)
            .await
            .map_err(RpcError::nested)?;
        Ok(slots.len() as u32)
    }

    fn numbers(&mut self) -> RpcResult<u32> {
        Err(Failure::message("the numbers are secret").into())
    }
}

#[rpc_endpoint(SlotGateway)]
impl Jobs {
    fn request_slots(&mut self, count: u32) -> RpcResult<Vec<u32>, SlotError> {
        Err(SlotError::Few(count))?
    }
}

fn jobs(slots: MockSlotGateway) -> Jobs {
    Jobs {
        slots: Arc::new(slots),
    }
}

#[tokio::test]
async fn a_mock_stands_in_for_an_endpoint() {
    let service = RpcService::local();
    let slots = MockSlotGateway::default().request_slots(|count| Ok(vec![7; count as usize]));
    let server = service.start_server("jobs", jobs(slots)).unwrap();
    server.start();
    let gateway = server.gateway::<dyn JobGateway>();
    assert_eq!(gateway.submit(3).await, Ok(3));
    assert_eq!(gateway.submit(0).await, Err(RpcError::App(JobError::Empty)));
}

/// The failure of a nested call is the handler's, not one of the call that it handles.
#[tokio::test]
async fn a_nested_failure_keeps_its_cause() {
    let service = RpcService::local();
    let slots = MockSlotGateway::default().request_slots(|_| Err(SlotError::Few(1).into()));
    let server = service.start_server("jobs", jobs(slots)).unwrap();
    server.start();
    let gateway = server.gateway::<dyn JobGateway>();
    let error = gateway.submit(3).await.unwrap_err();
    assert_eq!(
        error,
        RpcError::Failed(Failure::message("only 1 slots are left"))
    );
    assert_eq!(error.outcome(), Outcome::Executed);
    let error = gateway.numbers().await.unwrap_err();
    assert_eq!(error.to_string(), "the numbers are secret");
}

// Flink: RpcEndpointTest#testEndpointInheritance, #testSelfGateway
#[tokio::test]
async fn an_endpoint_serves_several_gateways() {
    let service = RpcService::local();
    let server = service
        .start_server("jobs", jobs(MockSlotGateway::default()))
        .unwrap();
    server.start();
    let slots = service.connect::<dyn SlotGateway>("jobs").await.unwrap();
    for slots in [&slots, &server.gateway::<dyn SlotGateway>()] {
        assert_eq!(
            slots.request_slots(2).await,
            Err(RpcError::App(SlotError::Few(2)))
        );
    }
    assert_eq!(
        server.gateway::<dyn JobGateway>().submit(0).await,
        Err(RpcError::App(JobError::Empty))
    );
    assert_eq!((slots.address(), slots.hostname()), ("jobs", "localhost"));
}

#[tokio::test]
async fn a_full_mailbox_refuses_at_once() {
    let mut config = RpcConfig::default();
    config.mailbox_messages_max = 3;
    let service = RpcService::builder().config(config).build().await.unwrap();
    let server = service
        .start_server("jobs", jobs(MockSlotGateway::default()))
        .unwrap();
    server.start();
    let slots = server.gateway::<dyn SlotGateway>();
    // None of them is handled before this task waits.
    let calls: Vec<_> = (0..5).map(|count| slots.request_slots(count)).collect();
    let mut refused = 0;
    for call in calls {
        match call.await.unwrap_err() {
            RpcError::Overloaded { limit: 3, .. } => refused += 1,
            error => assert!(matches!(error, RpcError::App(_)), "{error}"),
        }
    }
    assert_eq!(refused, 2);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inner {
    number: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flattened {
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Untagged {
    Number(u8),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub(crate) enum Tagged {
    Inner(Inner),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value")]
pub(crate) enum Beside {
    Number(u8),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shortened {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u8>,
}

#[rpc_gateway]
pub(crate) trait ShapeGateway {
    fn flattened(&self, value: Flattened) -> Call<Flattened>;
    fn untagged(&self, value: Untagged) -> Call<Untagged>;
    fn tagged(&self, value: Tagged) -> Call<Tagged>;
    fn beside(&self, value: Beside) -> Call<Beside>;
    fn shortened(&self, value: Shortened) -> Call<Shortened>;
}

struct Shapes;

impl RpcEndpoint for Shapes {
    type Gateways = gateways![ShapeGateway];
}

#[rpc_endpoint(ShapeGateway)]
impl Shapes {
    fn flattened(&mut self, value: Flattened) -> RpcResult<Flattened> {
        Ok(value)
    }

    fn untagged(&mut self, value: Untagged) -> RpcResult<Untagged> {
        Ok(value)
    }

    fn tagged(&mut self, value: Tagged) -> RpcResult<Tagged> {
        Ok(value)
    }

    fn beside(&mut self, value: Beside) -> RpcResult<Beside> {
        Ok(value)
    }

    fn shortened(&mut self, value: Shortened) -> RpcResult<Shortened> {
        Ok(value)
    }
}

#[tokio::test]
async fn shapes_that_do_not_travel_are_found_by_strict_local_calls() {
    for strict_local in [false, true] {
        let mut config = RpcConfig::default();
        config.strict_local = strict_local;
        let service = RpcService::builder().config(config).build().await.unwrap();
        let server = service.start_server("shapes", Shapes).unwrap();
        server.start();
        let shapes = server.gateway::<dyn ShapeGateway>();
        let inner = Inner { number: 1 };
        let errors = [
            shapes
                .flattened(Flattened {
                    inner: inner.clone(),
                })
                .await
                .err(),
            shapes.untagged(Untagged::Number(1)).await.err(),
            shapes.tagged(Tagged::Inner(inner)).await.err(),
            shapes.beside(Beside::Number(1)).await.err(),
            shapes.shortened(Shortened { number: None }).await.err(),
        ];
        for (place, error) in errors.iter().enumerate() {
            let refused = matches!(error, Some(RpcError::Codec { .. }));
            assert_eq!(refused, strict_local, "{place}: {error:?}");
        }
        service.close().await.unwrap();
    }
}
