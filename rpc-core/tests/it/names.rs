//! Names of endpoints.

use rpc_core::{
    Call, RpcEndpoint, RpcResult, RpcService, StartError, gateways, rpc_endpoint, rpc_gateway,
    unique_name,
};

#[rpc_gateway]
pub(crate) trait WhoGateway {
    fn name(&self) -> Call<String>;
}

#[rpc_gateway]
#[expect(dead_code, reason = "nobody calls it")]
pub(crate) trait WhereGateway {
    fn place(&self) -> Call<String>;
}

struct Who(String);

impl RpcEndpoint for Who {
    type Gateways = gateways![WhoGateway];
}

#[rpc_endpoint(WhoGateway)]
impl Who {
    fn name(&mut self) -> RpcResult<String> {
        Ok(self.0.clone())
    }
}

// Flink: RpcServiceUtilsTest#createRandomName
#[tokio::test]
async fn unique_names_count_up() {
    let number = |name: String| -> u64 {
        let number = name.strip_prefix("Flink_").unwrap();
        number.parse().unwrap()
    };
    let (first, second) = (unique_name("Flink"), unique_name("Flink"));
    assert!(number(first) < number(second));
}

// Flink: PekkoRpcActorTest#resolvesRunningRpcActor
// Flink, untested: A25
#[tokio::test]
async fn an_endpoint_is_found_by_what_its_name_begins_with() {
    let service = RpcService::local();
    let names = ["a", "master_1", "master_2", "masters", "z"];
    let servers = names.map(|name| {
        let server = service.start_server(name, Who(name.into())).unwrap();
        server.start();
        server
    });
    let found = async |pattern| {
        let found = service.connect::<dyn WhoGateway>(pattern).await;
        match found {
            Ok(found) => found.name().await.unwrap(),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(found("master_*").await, "master_1");
    assert_eq!(found("master_2*").await, "master_2");
    assert_eq!(found("masters*").await, "masters");
    assert_eq!(found("*").await, "a");
    servers[1].close().await.unwrap();
    assert_eq!(found("master_*").await, "master_2");
    assert_eq!(found("m*").await, "master_2");
    assert_eq!(found("y*").await, "there is no endpoint y*");
    // Only at its end.
    assert_eq!(found("master*2").await, "there is no endpoint master*2");
    let named = service.start_server("b*", Who("b*".into()));
    assert!(matches!(named, Err(StartError::Name(_))), "{named:?}");
}

/// `RpcServer::gateway` does not compile for a gateway that is not in the endpoint's list.
// Flink: RpcEndpointTest#testWrongSelfGateway
#[tokio::test]
async fn a_gateway_that_an_endpoint_does_not_list_is_named() {
    let service = RpcService::local();
    service.start_server("who", Who("who".into())).unwrap();
    let error = service.connect::<dyn WhereGateway>("who").await;
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "endpoint who does not serve WhereGateway");
}

#[tokio::test]
async fn what_no_address_can_name_is_no_name() {
    let service = RpcService::local();
    let long = "x".repeat(600);
    for name in ["", "a b", "a/b", "tcp://host:1/x", &long] {
        let server = service.start_server(name, Who(name.into()));
        assert!(matches!(server, Err(StartError::Name(_))), "{server:?}");
        let channels = service.accept_channels(name);
        assert!(matches!(channels, Err(StartError::Name(_))), "{channels:?}");
    }
}
