//! What transports over IP show to services alike; each tests it with its own sockets.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a case that meets an error has failed, and its name says what it shows"
)]

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::transport::{Listener, Transport, TransportError};
use crate::{BuildError, ConnectError, RpcConfig, RpcService};

/// `any_port` listens on any free port.
pub async fn services_that_listen_at_once_on_any_port_do_not_collide<T: Transport>(
    any_port: impl Fn() -> T,
) {
    let mut listening = JoinSet::new();
    for _ in 0..10 {
        listening.spawn(RpcService::builder().transport(any_port()).build());
    }
    let services = listening.join_all().await;
    assert!(services.iter().all(Result::is_ok), "{services:?}");
}

pub async fn a_service_is_not_made_when_its_only_port_is_in_use<T: Transport>(
    bind: impl Fn(&str) -> T,
) {
    let listener = listen(bind("127.0.0.1:0")).await;
    let transport = bind(&listener.authority());
    let refusal = RpcService::builder().transport(transport).build().await;
    let Err(BuildError::Transport(refusal)) = refusal else {
        panic!("the port is bound twice");
    };
    assert_eq!(kind(&refusal), io::ErrorKind::AddrInUse);
}

pub async fn the_ports_of_a_range_are_tried_in_order_until_one_is_free<T: Transport>(
    bind: impl Fn(&str) -> T,
) {
    let any_port = || listen(bind("127.0.0.1:0"));
    let (first, second) = (any_port().await, any_port().await);
    let port = |it: &dyn Listener| it.authority().rsplit(':').next().unwrap().to_owned();
    let (one, two) = (port(&*first), port(&*second));

    let taken = format!("127.0.0.1:{one}-{one},{two}");
    let refusal = bind(&taken).listen().await.unwrap_err();
    assert!(matches!(refusal, TransportError::Bind { .. }));
    assert!(refusal.to_string().contains(&taken), "{refusal}");
    assert_eq!(kind(&refusal), io::ErrorKind::AddrInUse);

    let last_is_free = listen(bind(&format!("{taken},0"))).await;
    assert!(![one, two].contains(&port(&*last_is_free)));
}

pub async fn what_is_no_range_of_ports_is_refused<T: Transport>(bind: impl Fn(&str) -> T) {
    for text in ["127.0.0.1:2-1", "127.0.0.1:1-x", "127.0.0.1:1,"] {
        let refusal = bind(text).listen().await.unwrap_err();
        assert!(matches!(refusal, TransportError::Address { .. }));
        assert!(refusal.to_string().contains(text), "{refusal}");
    }
}

pub async fn a_name_that_is_none_fails_to_connect_and_does_not_time_out(dialler: impl Transport) {
    let address = format!(
        "{}://foo.bar.com.test.invalid:6123/endpoint",
        dialler.scheme()
    );
    let service = patient(dialler).await;
    let refusal = service.open_channel(&address).await.unwrap_err();
    assert!(matches!(refusal, ConnectError::Transport(_)), "{refusal:?}");
    assert!(
        refusal
            .to_string()
            .contains("foo.bar.com.test.invalid:6123"),
        "{refusal}"
    );
}

/// The authority of `stranger`'s certificate is none that `server` trusts.
pub async fn an_untrusted_certificate_fails_to_connect_and_does_not_time_out(
    server: impl Transport,
    stranger: impl Transport,
) {
    let (server, stranger) = (patient(server).await, patient(stranger).await);
    let address = server.address_of("channel");
    let refusal = stranger.open_channel(&address).await.unwrap_err();
    assert!(
        matches!(refusal, ConnectError::Handshake { .. }),
        "{refusal:?}"
    );
    assert!(refusal.to_string().contains(&address), "{refusal}");
    let (mut causes, mut next) = (Vec::new(), refusal.source());
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    let told = "no authority that is trusted there";
    assert!(causes.iter().any(|it| it.contains(told)), "{causes:?}");
}

async fn listen(transport: impl Transport) -> Box<dyn Listener> {
    transport.listen().await.unwrap().unwrap()
}

/// Makes a service that waits for a connection longer than any test.
async fn patient(transport: impl Transport) -> RpcService {
    let config = RpcConfig {
        connect_timeout: Duration::from_secs(10_000_000),
        ..RpcConfig::default()
    };
    let service = RpcService::builder().transport(transport).config(config);
    service.build().await.unwrap()
}

/// Returns what the system says of a transport's failure.
pub fn kind(error: &TransportError) -> io::ErrorKind {
    let source = error.source().unwrap();
    source.downcast_ref::<io::Error>().unwrap().kind()
}
