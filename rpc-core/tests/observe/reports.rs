//! What a service reports of itself.

use std::time::Duration;

use rpc_core::{Diagnostics, Direction, EndpointState, RpcService, find_cycles};

use crate::alone;
use crate::log::pass_time;
use crate::pipes;
use crate::relay::{RelayGateway, relay};

/// Lets all tasks get on until the reports are so.
async fn until(
    services: [&RpcService; 2],
    so: impl Fn(&[Diagnostics]) -> bool,
) -> [Diagnostics; 2] {
    loop {
        let reports = services.map(RpcService::diagnostics);
        if so(&reports) {
            return reports;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_are_reported_and_then_forgotten() {
    let _alone = alone();
    let (one, two) = (
        pipes::build(RpcService::builder()).await,
        pipes::build(RpcService::builder()).await,
    );
    let (a, _) = relay(&one, "a");
    let (b, signals) = relay(&two, "b");
    let gateway = a.gateway::<dyn RelayGateway>();
    let call = tokio::spawn(gateway.pass(vec![b.address()]).without_timeout());
    signals.arrived.notified().await;
    pass_time(Duration::from_secs(3)).await;
    let [of_one, of_two] = [&one, &two].map(RpcService::diagnostics);
    assert_eq!(of_one.addresses, [one.address_of("").trim_end_matches('/')]);
    let [outer, inner] = &of_one.waiting[..] else {
        panic!("{of_one}");
    };
    assert_eq!((&outer.from, &outer.handler), (&None, &None));
    assert_eq!(
        (&*outer.to, &outer.to_service),
        (&*a.address(), &of_one.service)
    );
    assert_eq!(outer.left, None);
    assert_eq!(outer.waited, Duration::from_secs(3));
    assert_eq!(inner.from.as_deref(), Some("a"));
    assert_eq!(inner.handler.as_deref(), Some("RelayGateway::pass"));
    assert_eq!(
        (&*inner.to, &inner.to_service),
        (&*b.address(), &of_two.service)
    );
    assert_eq!(inner.method, "RelayGateway::pass");
    assert_eq!(inner.left, Some(Duration::from_secs(7)));
    assert_eq!(of_two.waiting, []);
    for (report, direction) in [
        (&of_one, Direction::Outgoing),
        (&of_two, Direction::Incoming),
    ] {
        let endpoint = &report.endpoints[0];
        assert_eq!((endpoint.handlers, endpoint.mailbox), (1, 0), "{endpoint}");
        assert_eq!(endpoint.state, EndpointState::Started);
        let [connection] = &report.connections[..] else {
            panic!("{report}");
        };
        assert_eq!((connection.direction, connection.calls), (direction, 1));
        assert_eq!(connection.bytes_queued, 0);
        assert_eq!(connection.age, Duration::from_secs(3));
    }
    assert_eq!(find_cycles(&[of_one, of_two]), []);

    call.abort();
    signals.gone.notified().await;
    let ended = |reports: &[Diagnostics]| {
        reports.iter().all(|it| {
            let idle = it.endpoints.iter().all(|it| it.handlers == 0);
            idle && it.waiting.is_empty() && it.connections[0].calls == 0
        })
    };
    until([&one, &two], ended).await;
    one.close().await.unwrap();
    let closed = one.diagnostics();
    assert_eq!((closed.endpoints.len(), closed.connections.len()), (0, 0));
    two.close().await.unwrap();
}

#[tokio::test]
async fn an_endpoint_of_another_service_is_not_taken_for_one_of_the_own() {
    let _alone = alone();
    let (one, two) = (RpcService::local(), RpcService::local());
    let (own, signals) = relay(&one, "a");
    let (namesake, _) = relay(&two, "a");
    let gateway = own.gateway::<dyn RelayGateway>();
    let piped = namesake.main_thread().call_async(move |_, cx| {
        cx.pipe(gateway.pass(Vec::new()), |_, _, _| ());
    });
    piped.await.unwrap();
    signals.arrived.notified().await;
    let report = one.diagnostics();
    assert_eq!(report.waiting.len(), 1, "{report}");
    assert_eq!(report.waiting[0].from, None);
    assert_eq!(two.diagnostics().waiting, []);
}

#[tokio::test]
async fn endpoints_of_two_services_that_await_each_other_are_found() {
    let _alone = alone();
    let (one, two) = (
        pipes::build(RpcService::builder()).await,
        pipes::build(RpcService::builder()).await,
    );
    let (a, signals) = relay(&one, "a");
    let (b, _) = relay(&two, "b");
    let gateway = a.gateway::<dyn RelayGateway>();
    let call = gateway.pass(vec![b.address(), a.address()]);
    let call = tokio::spawn(call);
    signals.arrived.notified().await;
    let reports = [&one, &two].map(RpcService::diagnostics);
    let cycles = find_cycles(&reports);
    let [cycle] = &cycles[..] else {
        panic!("{} {}", reports[0], reports[1]);
    };
    let mut steps: Vec<_> = cycle
        .steps
        .iter()
        .map(|it| (&*it.endpoint, &*it.call.to))
        .collect();
    steps.sort_unstable();
    assert_eq!(steps, [("a", &*b.address()), ("b", &*a.address())]);
    assert_eq!(
        find_cycles(&reports[..1]),
        [],
        "one service knows half of it"
    );

    signals.go.notify_one();
    assert_eq!(call.await.unwrap(), Ok(2));
    let ended = |reports: &[Diagnostics]| reports.iter().all(|it| it.waiting.is_empty());
    let reports = until([&one, &two], ended).await;
    assert_eq!(find_cycles(&reports), []);
}
