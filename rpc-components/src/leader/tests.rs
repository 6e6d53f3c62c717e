use rpc_core::{FencingToken, RpcService};

use super::{LeaderRetrieval, Leaders, RetrievalError, new_term};
use crate::gateway::{Component, LeaderInformation};
use crate::id::ResourceManagerId;
use crate::testing::retrieval_of;

#[tokio::test(start_paused = true)]
async fn a_leader_is_found_by_the_address_of_its_process() {
    let rpc = RpcService::local();
    let id = ResourceManagerId::new(FencingToken::new(7));
    let retrieval = retrieval_of(&rpc, "rm", id).await;
    let leader = retrieval.leader(Component::ResourceManager).await.unwrap();
    let expected = LeaderInformation {
        address: String::from("rm"),
        token: FencingToken::new(7),
    };
    assert_eq!(leader, expected);
    let none = retrieval.dispatcher().await;
    assert!(
        matches!(none, Err(RetrievalError::NoLeader { .. })),
        "{none:?}"
    );
    // It is said to lead, and is not there.
    let gone = retrieval.resource_manager().await;
    assert!(
        matches!(gone, Err(RetrievalError::Connect { .. })),
        "{gone:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_not_there_has_no_leader() {
    let retrieval = LeaderRetrieval::new(RpcService::local(), "leader");
    let none = retrieval.leader(Component::Dispatcher).await;
    let text = "no job manager at leader";
    assert_eq!(
        none.map_err(|error| error.to_string()),
        Err(text.to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_starting_does_not_answer() {
    let rpc = RpcService::local();
    let _not_started = rpc.start_server("leader", Leaders::default()).unwrap();
    let retrieval = LeaderRetrieval::new(rpc, "leader");
    let none = retrieval.leader(Component::Dispatcher).await;
    assert!(matches!(none, Err(RetrievalError::Ask { .. })), "{none:?}");
}

#[test]
fn a_later_term_is_greater() {
    let first = new_term();
    while new_term() == first {}
    assert!(new_term() > first);
}
