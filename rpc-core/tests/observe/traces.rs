//! What is traced of calls.

use rpc_core::{RpcService, TraceContext};

use crate::log::{Log, Told};
use crate::pipes;
use crate::relay::{RelayGateway, relay};

#[tokio::test]
async fn a_chain_of_calls_over_two_services_is_one_trace() {
    let (log, _guard) = Log::keep();
    let (one, two) = (
        pipes::build(RpcService::builder()).await,
        pipes::build(RpcService::builder()).await,
    );
    let (a, _) = relay(&one, "a");
    let (b, _) = relay(&two, "b");
    let (c, signals) = relay(&one, "c");
    let chain = vec![b.address(), c.address()];
    let call = tokio::spawn(a.gateway::<dyn RelayGateway>().pass(chain));
    signals.arrived.notified().await;
    let reports = [&one, &two].map(RpcService::diagnostics);
    signals.go.notify_one();
    assert_eq!(call.await.unwrap(), Ok(2));

    let handled: Vec<Told> = log.of("edges");
    let edges: Vec<_> = handled.iter().map(|it| it.fields.get("edge")).collect();
    assert_eq!(edges, ["pass", "pass", "pass", "go"]);
    let spans: Vec<_> = handled.iter().filter_map(|it| it.spans.last()).collect();
    assert!(spans.iter().all(|(name, _)| *name == "rpc"));
    let field = |name| spans.iter().map(|(_, fields)| fields.get(name)).collect();
    let endpoints: Vec<&str> = field("endpoint");
    assert_eq!(endpoints, ["a", "b", "c", "c"]);
    let peers: Vec<&str> = field("peer");
    assert_eq!(peers, ["local", "a pipe", "a pipe", "a pipe"]);
    let methods: Vec<&str> = field("method");
    assert_eq!(methods, ["RelayGateway::pass"; 4]);
    let traces: Vec<&str> = field("trace_id");
    assert_eq!(traces, [traces[0]; 4]);
    assert_eq!(traces[0].len(), 32);
    let waiting = reports.iter().flat_map(|it| &it.waiting);
    let waiting: Vec<_> = waiting.filter_map(|it| it.trace.as_deref()).collect();
    assert_eq!(waiting, [traces[0]; 3]);
    let ids: Vec<&str> = field("span_id");
    assert_eq!(ids[2], ids[3], "each poll is in the same span");

    // Each caller tells whose child its call is, within the span of the parent.
    let calls = log.of("rpc_core::call");
    let of = |told: &Told, name: &str| told.fields.get(name).to_owned();
    let children: Vec<_> = calls.iter().map(|it| of(it, "span_id")).collect();
    assert_eq!(children, ids[..3]);
    let parents: Vec<_> = calls.iter().map(|it| of(it, "parent_id")).collect();
    assert_eq!(parents, ["0000000000000000", ids[0], ids[1]]);
    for (call, parent) in calls.iter().zip(&parents).skip(1) {
        assert_eq!(call.spans.last().unwrap().1.get("span_id"), parent);
    }
    one.close().await.unwrap();
    two.close().await.unwrap();
}

#[tokio::test]
async fn nothing_is_made_of_a_call_that_nobody_traces() {
    let (log, _guard) = Log::keep_without_calls();
    let service = RpcService::local();
    let (server, signals) = relay(&service, "a");
    let gateway = server.gateway::<dyn RelayGateway>();
    gateway.note(1);
    signals.go.notify_one();
    assert_eq!(gateway.pass(Vec::new()).await, Ok(0));
    let untraced = server
        .main_thread()
        .call_async(|_, _| TraceContext::current());
    assert_eq!(untraced.await, Ok(None));
    assert_eq!(log.spans_at("note"), [["endpoint"]]);
    assert_eq!(log.spans_at("pass"), [["endpoint"]]);
    assert!(log.of("rpc_core::call").is_empty());
}
