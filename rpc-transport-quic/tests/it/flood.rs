//! Peers that dial and then say nothing: how many, how long, and from where they say they come.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use rpc_core::RpcService;
use rpc_core::transport::{Connection, Listener, Transport};
use rpc_transport_quic::{Quic, QuicConfig};
use tokio::net::UdpSocket;

use crate::{accept, cause, connected, dial, echo, listen, loopback};

#[tokio::test]
async fn a_peer_that_says_nothing_more_is_given_up() {
    let mut config = QuicConfig::default();
    config.handshake_timeout = Duration::from_millis(10);
    let server = loopback().config(config);
    let mut listener = listen(&server).await;
    let silent = Silent::dial(&*listener).await;
    let accepted = listener.accept().await.unwrap();
    let refusal = accepted.accept_stream().await.unwrap_err();
    assert!(cause(&refusal).contains("too long"), "{refusal:?}");
    drop(silent);
}

#[tokio::test]
async fn peers_beyond_those_who_may_shake_hands_are_refused_at_once() {
    let mut config = QuicConfig::default();
    config.handshakes_max = 2;
    let (server, mut listener, client) = bounded(config).await;
    let mut held = hold(2, &mut *listener).await;

    let address = listener.authority();
    let refused = tokio::select! {
        biased;
        refused = client.connect(&address) => refused.unwrap_err(),
        _ = listener.accept() => panic!("a third handshake has begun"),
    };
    assert!(
        cause(&refused).contains("turns connections away"),
        "{refused:?}"
    );
    // One ends, and another may begin; one that has succeeded is not under way any more.
    held.pop();
    for _ in 0..3 {
        // Whoever is turned away ends the test, and not only their own half of it.
        let met = tokio::try_join!(dial(&client, &address), accept(listener.as_mut()));
        let (mut ours, mut theirs) = met.unwrap();
        echo(&mut ours.1, &mut theirs.1).await;
    }
    drop(server);
}

#[tokio::test]
async fn many_handshakes_have_a_peer_prove_its_address_first() {
    let mut config = QuicConfig::default();
    config.handshakes_unproven_max = 1;
    let (server, mut listener, client) = bounded(config).await;
    let _held = hold(1, &mut *listener).await;

    let silent = Silent::dial(&*listener).await;
    let answer = tokio::select! {
        biased;
        answer = silent.hear() => answer,
        _ = listener.accept() => panic!("it has proved nothing"),
    };
    // By RFC 9000, section 17.2.5: a long header, and the type Retry.
    assert_eq!(answer[0] & 0xf0, 0xf0, "{:#x}", answer[0]);
    // Who is where it says can prove it, and is let in.
    let (mut ours, mut theirs) = connected(listener.as_mut(), &client).await;
    echo(&mut ours.1, &mut theirs.1).await;
    drop(server);
}

#[tokio::test]
async fn all_may_be_told_to_prove_their_addresses() {
    let mut config = QuicConfig::default();
    config.handshakes_unproven_max = 0;
    let (_server, mut listener, client) = bounded(config).await;
    let (mut ours, mut theirs) = connected(listener.as_mut(), &client).await;
    echo(&mut ours.1, &mut theirs.1).await;
}

/// As the tasks of a shuffle open them: more than the listener lets shake hands.
#[tokio::test]
async fn channels_that_are_opened_at_once_wait_for_each_other() {
    const MANY: usize = 100;
    let mut config = QuicConfig::default();
    config.handshakes_max = 40;
    let callee = RpcService::builder().transport(loopback().config(config));
    let callee = callee.build().await.unwrap();
    let caller = RpcService::builder().transport(Quic::dial_only().insecure());
    let caller = caller.build().await.unwrap();
    let mut channels = callee.accept_channels("shuffle").unwrap();
    let address = callee.address_of("shuffle");
    let opening = (0..MANY).map(|_| caller.open_channel(&address));
    let accepting = async {
        let mut accepted = Vec::new();
        while accepted.len() < MANY {
            accepted.extend(channels.accept().await);
        }
        Ok(accepted)
    };
    let (opened, _accepted) = tokio::try_join!(try_join_all(opening), accepting).unwrap();
    assert_eq!(opened.len(), MANY);
}

async fn bounded(config: QuicConfig) -> (Quic, Box<dyn Listener>, Quic) {
    let server = loopback().config(config);
    let listener = listen(&server).await;
    (server, listener, Quic::dial_only().insecure())
}

/// Begins handshakes that do not end.
async fn hold(count: usize, listener: &mut dyn Listener) -> Vec<(Silent, Arc<dyn Connection>)> {
    let mut held = Vec::new();
    for _ in 0..count {
        let silent = Silent::dial(listener).await;
        held.push((silent, listener.accept().await.unwrap()));
    }
    held
}

/// A peer that sends the first packet of a connection, and nothing more.
struct Silent(UdpSocket);

impl Silent {
    async fn dial(listener: &dyn Listener) -> Self {
        // The packet is a true one, which the dialler believes to have sent to its server.
        let between = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = between.local_addr().unwrap().to_string();
        let dialler = Quic::dial_only().insecure();
        let mut packet = vec![0; 2000];
        let length = tokio::select! {
            biased;
            _ = dialler.connect(&address) => panic!("nobody answers"),
            length = between.recv(&mut packet) => length.unwrap(),
        };
        let silent = Self(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let server = listener.authority();
        silent.0.send_to(&packet[..length], server).await.unwrap();
        silent
    }

    /// Returns what the server answers.
    async fn hear(&self) -> Vec<u8> {
        let mut packet = vec![0; 2000];
        let length = self.0.recv(&mut packet).await.unwrap();
        packet.truncate(length);
        packet
    }
}
