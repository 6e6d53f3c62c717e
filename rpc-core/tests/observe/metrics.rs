//! What is counted and timed.

use std::time::Duration;

use rpc_core::{Outcome, RpcConfig, RpcError, RpcServer, RpcService};

use crate::book::Book;
use crate::log::pass_time;
use crate::pipes;
use crate::relay::{Relay, RelayGateway, relay};

async fn settled(server: &RpcServer<Relay>) {
    server.main_thread().call_async(|_, _| ()).await.unwrap();
}

#[test]
fn handlers_and_mailboxes_are_metered_by_endpoint_and_method() {
    Book::keep(async |book| {
        let service = RpcService::local();
        let (server, signals) = relay(&service, "a");
        let gateway = server.gateway::<dyn RelayGateway>();
        gateway.note(1);
        gateway.note(2);
        let call = tokio::spawn(gateway.pass(Vec::new()));
        assert_eq!(book.gauge("rpc_mailbox_messages a"), 3.0);
        // Nobody has taken them: the endpoint's task has its turn when this one awaits.
        tokio::time::advance(Duration::from_millis(250)).await;
        signals.arrived.notified().await;
        let registered = book.registered();
        assert_eq!(book.gauge("rpc_mailbox_messages a"), 0.0);
        assert_eq!(book.counter("rpc_calls_total a RelayGateway::note"), 2);
        assert_eq!(book.counter("rpc_calls_total a RelayGateway::pass"), 1);
        assert_eq!(
            book.histogram("rpc_handler_seconds a RelayGateway::note"),
            [0.0; 2]
        );
        let waits = book.histogram("rpc_mailbox_wait_seconds a RelayGateway::note");
        assert_eq!(waits, [0.25; 2]);
        // An interleaving handler takes until its answer.
        let pass = "rpc_handler_seconds a RelayGateway::pass";
        assert!(book.histogram(pass).is_empty());
        tokio::time::advance(Duration::from_secs(2)).await;
        signals.go.notify_one();
        assert_eq!(call.await.unwrap(), Ok(0));
        settled(&server).await;
        assert_eq!(book.histogram(pass), [2.0]);
        assert_eq!(book.registered(), registered, "no call looks a metric up");
        service.close().await.unwrap();
        assert_eq!(book.gauge("rpc_mailbox_messages a"), 0.0);
    });
}

#[test]
fn failed_calls_are_counted_by_kind_where_they_were_made() {
    Book::keep(async |book| {
        let service = RpcService::local();
        let (server, _) = relay(&service, "a");
        let gateway = server.gateway::<dyn RelayGateway>();
        for _ in 0..2 {
            gateway.fail().await.unwrap_err();
        }
        let late = gateway
            .pass(Vec::new())
            .timeout(Duration::from_secs(1))
            .await;
        assert!(matches!(late, Err(RpcError::Timeout { .. })));
        assert_eq!(book.counter("rpc_timeouts_total a RelayGateway::pass"), 1);
        assert_eq!(
            book.counter("rpc_call_errors_total a RelayGateway::pass timeout"),
            1
        );
        assert_eq!(
            book.counter("rpc_call_errors_total a RelayGateway::fail failed"),
            2
        );
        server.close().await.unwrap();
        gateway.fail().await.unwrap_err();
        assert_eq!(
            book.counter("rpc_call_errors_total a RelayGateway::fail unreachable"),
            1
        );
        assert_eq!(book.counter("rpc_timeouts_total a RelayGateway::fail"), 0);
    });
}

#[test]
fn messages_that_a_full_mailbox_drops_are_counted() {
    Book::keep(async |book| {
        let mut config = RpcConfig::default();
        config.mailbox_messages_max = 2;
        let service = RpcService::builder().config(config).build().await.unwrap();
        let (server, _) = relay(&service, "a");
        let gateway = server.gateway::<dyn RelayGateway>();
        for number in 0..5 {
            gateway.note(number);
        }
        assert_eq!(book.gauge("rpc_mailbox_messages a"), 2.0);
        assert_eq!(
            book.counter("rpc_messages_dropped_total a RelayGateway::note"),
            3
        );
        assert_eq!(server.messages_dropped(), 3);
        assert_eq!(service.diagnostics().endpoints[0].dropped, 3);
        assert_eq!(service.diagnostics().endpoints[0].mailbox, 2);
    });
}

#[test]
fn connections_and_what_they_carry_are_counted() {
    Book::keep(async |book| {
        let caller = pipes::build(RpcService::builder()).await;
        let mut config = RpcConfig::default();
        config.frame_bytes_max = 10_000;
        let callee = pipes::build(RpcService::builder().config(config)).await;
        let (server, _) = relay(&callee, "a");
        let gateway = caller
            .connect::<dyn RelayGateway>(&server.address())
            .await
            .unwrap();
        for direction in ["incoming", "outgoing"] {
            assert_eq!(book.gauge(&format!("rpc_connections {direction}")), 1.0);
        }
        assert_eq!(gateway.make_bytes(5000).await.map(|it| it.len()), Ok(5000));
        let error = gateway.make_bytes(20_000).await.unwrap_err();
        assert!(matches!(error, RpcError::TooLarge { response: true, .. }));
        assert_eq!(error.outcome(), Outcome::Executed);
        let sizes = book.histogram("rpc_response_bytes a RelayGateway::make_bytes");
        assert!(matches!(sizes[..], [5000.0..5100.0]), "{sizes:?}");
        assert_eq!(
            book.counter("rpc_oversized_total a RelayGateway::make_bytes"),
            1
        );
        let errors = "rpc_call_errors_total a RelayGateway::make_bytes too_large";
        assert_eq!(book.counter(errors), 1);
        // What was carried is counted from time to time.
        assert_eq!(book.counter("rpc_bytes_total sent"), 0);
        pass_time(Duration::from_secs(2)).await;
        let sent = book.counter("rpc_bytes_total sent");
        assert!((5000..6000).contains(&sent), "{sent}");
        assert_eq!(
            book.counter("rpc_bytes_total received"),
            sent,
            "both are counted here"
        );
        caller.close().await.unwrap();
        callee.close().await.unwrap();
        for direction in ["incoming", "outgoing"] {
            assert_eq!(book.gauge(&format!("rpc_connections {direction}")), 0.0);
        }
    });
}

#[test]
fn nothing_is_recorded_that_is_not_wanted() {
    Book::keep(async |book| {
        let mut config = RpcConfig::default();
        config.metrics = false;
        let service = RpcService::builder().config(config).build().await.unwrap();
        let (server, _) = relay(&service, "a");
        server
            .gateway::<dyn RelayGateway>()
            .fail()
            .await
            .unwrap_err();
        assert_eq!(book.registered(), 0);
        assert!(book.0.lock().unwrap().described.is_empty());
    });
}

#[test]
fn each_metric_is_described() {
    Book::keep(async |book| {
        let caller = pipes::build(RpcService::builder()).await;
        let callee = pipes::build(RpcService::builder()).await;
        let (server, _) = relay(&callee, "a");
        let gateway = caller
            .connect::<dyn RelayGateway>(&server.address())
            .await
            .unwrap();
        gateway.fail().await.unwrap_err();
        let pages = book.0.lock().unwrap();
        let names = pages.counters.keys().chain(pages.gauges.keys());
        for name in names.chain(pages.histograms.keys()) {
            let name = name.split(' ').next().unwrap();
            assert!(pages.described.contains_key(name), "{name}");
        }
        assert_eq!(pages.described.len(), 11);
    });
}
