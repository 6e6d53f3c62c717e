//! A leader's first calls, which may come before its endpoint knows of the election.

use std::sync::{Arc, mpsc};

use rpc_core::testing::sim::SimNetwork;
use rpc_core::testing::{FencedProbeGateway, Probe};
use rpc_core::{FencingToken, RpcService};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_the_next_leader_is_judged_when_its_turn_comes() {
    let net = SimNetwork::seeded(1);
    let [callee, caller] = ["b", "a"].map(|name| {
        let transport = net.node(name).transport();
        RpcService::builder().transport(transport).build()
    });
    let (callee, caller) = (callee.await.unwrap(), caller.await.unwrap());
    // While it is busy it keeps no other task waiting.
    let own = Runtime::new().unwrap();
    let server = {
        let _entered = own.enter();
        callee.start_server("probe", Probe::default()).unwrap()
    };
    server.start();
    let (old, new) = (FencingToken::new(1), FencingToken::new(2));
    let address = server.address();
    let probe: Arc<dyn FencedProbeGateway> = caller.connect_fenced(&address, new).await.unwrap();
    let main = server.main_thread();
    let lead =
        |token| main.call_async_without_fencing(move |_, cx| cx.set_fencing_token(Some(token)));
    lead(old).await.unwrap().unwrap();

    // The endpoint is busy until both have come.
    let (go_on, gone_on) = mpsc::channel();
    let (begun, begins) = oneshot::channel();
    main.run_async(move |_, _| {
        begun.send(()).unwrap();
        gone_on.recv().unwrap();
    });
    begins.await.unwrap();
    let elected = lead(new);
    let call = tokio::spawn(async move { probe.fenced_add(7).await });
    while callee.diagnostics().endpoints[0].mailbox < 2 && !call.is_finished() {
        tokio::task::yield_now().await;
    }
    go_on.send(()).unwrap();
    elected.await.unwrap().unwrap();
    assert_eq!(call.await.unwrap(), Ok(7));
    own.shutdown_background();
}
