use std::sync::Arc;
use std::time::Duration;

use super::links::Who;
use super::{Accepted, Full};
use crate::RpcService;
use crate::config::RpcConfig;
use crate::connection::{Hello, IncomingConnection, Link, Peer, Purpose, Refusal};
use crate::transport::PeerIdentity;

/// What a service says that dials for the so manieth time.
fn hello(purpose: Purpose, service: u128, number: u64) -> Hello {
    let link = Link { address: 1, number };
    Hello::new(purpose, &RpcConfig::default(), service, 0).by(link)
}

/// Makes the identity of a certificate for a name; none for a certificate without names.
fn identity(fingerprint: u8, name: Option<&str>) -> Option<PeerIdentity> {
    let names = name.map(str::to_owned).into_iter().collect();
    Some(PeerIdentity::new([fingerprint; 32], names, Vec::new()))
}

fn connection(service: &RpcService, config: &RpcConfig) -> Arc<IncomingConnection> {
    let peer = Peer {
        name: String::from("peer"),
        roles: None,
    };
    let writer = Box::new(tokio::io::sink());
    let directory = service.downgrade();
    IncomingConnection::new(peer, writer, 1000, directory, config)
}

#[tokio::test]
async fn a_bulk_lane_joins_the_connection_of_the_same_peer_and_dialling() {
    let service = RpcService::local();
    let accepted = Arc::new(Accepted::default());
    let one = identity(1, Some("one"));
    let linked = accepted.link(&hello(Purpose::Calls, 7, 2), one.as_ref());
    let linked = linked.unwrap();
    let connection = connection(&service, &RpcConfig::default());
    let joins = |service, number, identity: Option<PeerIdentity>| {
        let joined = accepted.joined(&hello(Purpose::Bulk, service, number), identity.as_ref());
        joined.map(|it| Arc::ptr_eq(&it, &connection))
    };
    let none = Err(Refusal::NoConnection);
    assert_eq!(joins(7, 2, one.clone()), none, "its handshake is under way");
    linked.take(&connection);
    assert_eq!(joins(7, 2, one.clone()), Ok(true));
    let renewed = identity(9, Some("one"));
    assert_eq!(joins(7, 2, renewed), Ok(true), "a renewed certificate");
    assert_eq!(joins(7, 1, one.clone()), none, "an older dialling");
    assert_eq!(joins(8, 2, one.clone()), none, "another service");
    assert_eq!(joins(7, 2, identity(2, Some("two"))), none, "another peer");
    assert_eq!(
        joins(7, 2, identity(1, None)),
        none,
        "a peer without a name"
    );
    assert_eq!(joins(7, 2, None), none, "nobody");
    drop(linked);
    assert_eq!(joins(7, 2, one), none, "it has ended");
}

#[tokio::test]
async fn a_connection_is_replaced_only_by_one_of_the_same_peer() {
    let service = RpcService::local();
    for (own, renewed, other) in [
        (
            identity(1, Some("one")),
            identity(9, Some("one")),
            identity(2, Some("two")),
        ),
        (identity(1, None), identity(1, None), identity(2, None)),
        (identity(1, None), identity(1, None), None),
        (None, None, identity(1, Some("one"))),
    ] {
        let accepted = Arc::new(Accepted::default());
        let link = |number, identity: &Option<PeerIdentity>| {
            accepted.link(&hello(Purpose::Calls, 7, number), identity.as_ref())
        };
        let first = link(2, &own).unwrap();
        let connection = connection(&service, &RpcConfig::default());
        first.take(&connection);
        let stranger = link(u64::MAX, &other).unwrap();
        assert!(!connection.is_cut(), "{other:?} cuts {own:?} off");
        let second = link(3, &renewed).unwrap();
        assert!(connection.is_cut(), "{renewed:?} was {own:?}");
        assert_eq!(link(3, &own).err(), Some(Refusal::Superseded));
        drop((first, second, stranger));
        assert!(accepted.state.lock().links.is_empty(), "it is forgotten");
    }
}

#[test]
fn who_has_no_name_of_its_own_or_other_roles_is_another_peer() {
    let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
    let who = |fingerprint, own: &[&str], roles: &[&str]| {
        Who::of(&PeerIdentity::new(
            [fingerprint; 32],
            names(own),
            names(roles),
        ))
    };
    let (local, both) = (["localhost"], ["localhost", "one"]);
    assert_eq!(who(1, &both, &["admin"]), who(2, &both, &["admin"]));
    assert_ne!(who(1, &both, &["admin"]), who(1, &both, &["client"]));
    assert_ne!(who(1, &both, &["admin"]), who(1, &both, &[]));
    assert_ne!(who(1, &local, &["admin"]), who(2, &local, &["admin"]));
    assert_eq!(who(1, &local, &["admin"]), who(1, &local, &["admin"]));
    assert_ne!(who(1, &["LocalHost"], &[]), who(2, &["LocalHost"], &[]));
}

#[tokio::test]
async fn a_connection_may_be_as_old_as_can_be() {
    let config = RpcConfig {
        connection_age_max: Some(Duration::MAX),
        ..RpcConfig::default()
    };
    assert!(!connection(&RpcService::local(), &config).is_cut());
}

#[test]
fn a_host_whose_peers_say_nothing_does_not_keep_others_out() {
    let mut config = RpcConfig::default();
    (config.handshakes_max, config.handshakes_per_host_max) = (3, 2);
    let accepted = Arc::new(Accepted::default());
    let greet = |peer| accepted.greet(peer, &config);
    let silent = [greet("mute:1").unwrap(), greet("mute:2").unwrap()];
    assert_eq!(greet("mute:3").err(), Some(Full::GreetingHost));
    let other = greet("other:1").unwrap();
    assert_eq!(greet("third:1").err(), Some(Full::Greeting));
    drop((silent, other));
    assert!(greet("mute:3").is_ok());
    assert!(!accepted.greeting.has_hosts(), "hosts are forgotten");
}

#[test]
fn a_host_has_its_share_of_the_connections() {
    let mut config = RpcConfig::default();
    (config.connections_max, config.connections_per_host_max) = (3, 2);
    let accepted = Arc::new(Accepted::default());
    let admit = |peer| accepted.admit(peer, &config);
    let greedy = [admit("greedy:1").unwrap(), admit("greedy:2").unwrap()];
    assert_eq!(admit("greedy:3").err(), Some(Full::Host));
    let other = admit("other:1").unwrap();
    assert_eq!(admit("third:1").err(), Some(Full::Service));
    drop((greedy, other));
    assert!(!accepted.connections.has_hosts(), "hosts are forgotten");
}
