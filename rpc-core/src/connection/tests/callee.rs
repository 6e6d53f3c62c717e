//! The called side, whose caller is played.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{LARGE, LIMIT, PIPE_BYTES, Raw, TASK_BYTES_MAX, WINDOW, config};
use crate::codec;
use crate::config::RpcConfig;
use crate::connection::{IncomingConnection, Peer, Resolve, ResolveRefusal, Resolved};
use crate::error::RpcError;
use crate::frame::{Header, Kind, OwnedFrame};
use crate::gateway::Gateway;
use crate::method::MethodInfo;
use crate::testing::{Probe, ProbeGateway};
use crate::transport::Stream;
use crate::{RpcServer, RpcService};

/// A callee whose caller is played.
struct Callee {
    connection: Arc<IncomingConnection>,
    main: Raw,
    gateway: u32,
    _service: RpcService,
    _server: RpcServer<Probe>,
}

impl Callee {
    async fn new() -> Self {
        Self::with(&config()).await
    }

    async fn with(config: &RpcConfig) -> Self {
        let service = RpcService::local();
        let server = service.start_server("probe", Probe::default()).unwrap();
        server.start();
        let (main, stream) = Raw::new();
        let peer = Peer {
            name: String::from("peer"),
            roles: None,
        };
        let Stream { reader, writer } = stream;
        let directory = service.downgrade();
        let connection = IncomingConnection::new(peer, writer, LIMIT as u32, directory, config);
        let serving = Arc::clone(&connection).serve(reader, config);
        assert!(size_of_val(&serving) < TASK_BYTES_MAX);
        tokio::spawn(serving);
        let mut callee = Self {
            connection,
            main,
            gateway: 0,
            _service: service,
            _server: server,
        };
        let resolve = Resolve {
            endpoint: String::from("probe"),
            gateway: String::from(<dyn ProbeGateway>::NAME),
            methods: METHODS.iter().map(|it| it.fingerprint).collect(),
        };
        let header = Header::new(Kind::Resolve, 0);
        callee.main.send(header, &resolve).await;
        let resolved: Resolved = decoded(&callee.main.next().await.unwrap());
        callee.gateway = resolved.gateway;
        callee
    }

    fn widen(&self) -> Raw {
        let (bulk, stream) = Raw::new();
        let connection = Arc::clone(&self.connection);
        tokio::spawn(async move { connection.serve_bulk(stream, &config()).await });
        bulk
    }

    fn header(&self, kind: Kind, method: &str, call: u64) -> Header {
        let place = METHODS.iter().position(|it| it.name.ends_with(method));
        Header {
            gateway: self.gateway,
            method: u16::try_from(place.unwrap()).unwrap(),
            ..Header::new(kind, call)
        }
    }

    /// Returns the next answer.
    async fn answer(&mut self) -> OwnedFrame {
        loop {
            let frame = self.main.next().await.unwrap();
            if frame.header.kind == Kind::Response {
                return frame;
            }
        }
    }

    async fn numbers(&mut self) -> Vec<u64> {
        let header = self.header(Kind::Request, "::numbers", 1000);
        self.main.send(header, &()).await;
        decoded(&self.main.next().await.unwrap())
    }
}

const METHODS: &[MethodInfo] = <dyn ProbeGateway>::METHODS;

fn decoded<T: DeserializeOwned>(frame: &OwnedFrame) -> T {
    assert!(!frame.header.error);
    codec::decode(&frame.body).unwrap()
}

#[tokio::test]
async fn what_comes_by_the_bulk_lane_waits_for_what_was_sent_before_it() {
    let mut callee = Callee::new().await;
    let mut bulk = callee.widen();
    let tell = callee.header(Kind::OneWay, "::tell", 0);
    bulk.send(tell, &(2_u64,)).await;
    bulk.send(tell, &(3_u64,)).await;
    assert_eq!(callee.numbers().await, [], "the bulk lane waits");
    callee.main.send(tell, &(1_u64,)).await;
    let moves = callee.header(Kind::Move, "::tell", 0);
    callee.main.send(moves, &()).await;
    // The answer to a call by the bulk lane says that what came before it was read.
    let add = callee.header(Kind::Request, "::add", 1);
    bulk.send(add, &(4_u64,)).await;
    assert_eq!(callee.main.next().await.unwrap().header.call, 1);
    assert_eq!(callee.numbers().await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_large_answer_goes_by_the_bulk_lane_and_the_goodbye_after_it() {
    let mut callee = Callee::new().await;
    let make = |call| callee.header(Kind::Request, "::make_bytes", call);
    let (first, second) = (make(1), make(2));
    callee.main.send(first, &(LARGE as u64,)).await;
    // There is none yet, and it is asked for.
    let mut kinds = callee.main.kinds(2).await;
    kinds.sort_unstable_by_key(|it| it.0 as u8);
    assert_eq!(kinds, [(Kind::Response, 0), (Kind::Widen, 0)]);

    let mut bulk = callee.widen();
    tokio::task::yield_now().await;
    callee.main.send(second, &(LARGE as u64,)).await;
    let answer: Vec<u8> = decoded(&bulk.next().await.unwrap());
    assert_eq!(answer.len(), LARGE);
    callee.connection.say_goodbye();
    let goodbye = callee.main.next().await.unwrap().header;
    assert_eq!((goodbye.kind, goodbye.call), (Kind::Goodbye, 1));
}

#[tokio::test]
async fn a_caller_that_misuses_the_bulk_lane_loses_the_connection() {
    let mut released = Callee::new().await;
    let release = released.header(Kind::Release, "::tell", 0);
    released.main.send(release, &()).await;
    let mut bulk = released.widen();
    let cancel = released.header(Kind::Cancel, "::tell", 5);
    bulk.send(cancel, &()).await;
    bulk.send(Header::new(Kind::Ping, 3), &()).await;
    let pong = bulk.next().await.unwrap().header;
    assert_eq!((pong.kind, pong.call), (Kind::Pong, 3), "that is no misuse");

    for (kind, gateway) in [(Kind::OneWay, 99), (Kind::Resolve, 0), (Kind::Widen, 0)] {
        let mut callee = Callee::new().await;
        let mut bulk = callee.widen();
        let header = Header {
            gateway,
            ..Header::new(kind, 0)
        };
        bulk.send(header, &(1_u64,)).await;
        assert!(bulk.next().await.is_none(), "{kind:?}");
        assert!(callee.main.next().await.is_none(), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_not_that_of_a_call_that_has_its_number() {
    let mut callee = Callee::new().await;
    let mut wait = callee.header(Kind::Request, "::wait", 1);
    wait.remaining_us = Some(10_000);
    callee.main.send(wait, &()).await;
    let expired = callee.main.next().await.unwrap().header;
    assert_eq!((expired.call, expired.error), (1, true));

    wait.remaining_us = None;
    callee.main.send(wait, &()).await;
    let release = callee.header(Kind::OneWay, "::release", 0);
    callee.main.send(release, &(7_u64,)).await;
    let next = timeout(Duration::from_secs(1), callee.main.next()).await;
    let answer = next.expect("the second call is answered").unwrap();
    assert_eq!(answer.header.call, 1);
    assert_eq!(decoded::<u64>(&answer), 7);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_is_over_counts_as_long_as_its_handler_has_it() {
    let mut callee = Callee::with(&RpcConfig {
        calls_max: 2,
        ..config()
    })
    .await;
    let mut ask = async |call| {
        let mut wait = callee.header(Kind::Request, "::wait", call);
        wait.remaining_us = Some(1_000);
        callee.main.send(wait, &()).await;
        let answer = callee.answer().await;
        assert_eq!((answer.header.call, answer.header.error), (call, true));
        codec::decode::<RpcError>(&answer.body).unwrap()
    };
    for call in [1, 2] {
        assert!(matches!(ask(call).await, RpcError::Timeout { .. }));
    }
    for call in [3, 4] {
        let refused = ask(call).await;
        assert!(matches!(refused, RpcError::Overloaded { .. }), "{refused}");
    }
    let release = callee.header(Kind::OneWay, "::release", 0);
    callee.main.send(release, &(7_u64,)).await;
    for _ in 0..9 {
        tokio::task::yield_now().await;
    }
    assert_eq!(callee.numbers().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_message_takes_of_the_window_until_it_is_handled_or_refused() {
    /// Sends messages, and returns after so many times the window, of which no more than half was ever
    /// taken for long.
    async fn send<T: Serialize>(kind: Kind, method: &str, cancels: bool, body: T) {
        let mut callee = Callee::new().await;
        let (mut sent, mut handled) = (0, 0);
        for call in 1.. {
            let header = callee.header(kind, method, call);
            sent += callee.main.send(header, &body).await as u64;
            if cancels {
                callee.main.send(Header::new(Kind::Cancel, call), &()).await;
            }
            while sent - handled > WINDOW as u64 / 2 {
                let next = timeout(Duration::from_secs(1), callee.main.next()).await;
                let next = next.unwrap_or_else(|_| panic!("{method}: nothing is given back"));
                let header = next.unwrap().header;
                if header.kind == Kind::Credit {
                    handled = header.call;
                }
            }
            if handled > 4 * WINDOW as u64 {
                return;
            }
        }
    }

    let large = || vec![7_u8; PIPE_BYTES - 100];
    send(Kind::OneWay, "::tell", false, (1_u64,)).await;
    send(Kind::OneWay, "::tell", false, "no number".repeat(100)).await;
    send(Kind::Request, "::echo", false, (large(),)).await;
    send(Kind::Request, "::echo", true, (large(),)).await;
    send(Kind::Request, "::add", false, (large(),)).await;
    // Their handlers begin, and never end.
    send(Kind::Request, "::hold", false, (large(),)).await;
}

#[tokio::test]
async fn the_methods_of_all_gateways_have_a_limit() {
    let mut callee = Callee::new().await;
    let mut resolve = Resolve {
        endpoint: String::from("probe"),
        gateway: String::from(<dyn ProbeGateway>::NAME),
        methods: vec![1; 1 << 12],
    };
    let mut numbers = Vec::new();
    let refused = loop {
        let header = Header::new(Kind::Resolve, numbers.len() as u64);
        callee.main.send(header, &resolve).await;
        let answer = callee.answer().await;
        if answer.header.error {
            break answer;
        }
        numbers.push(decoded::<Resolved>(&answer).gateway);
        assert!(numbers.len() <= 256, "there is no limit");
    };
    let error: RpcError<ResolveRefusal> = codec::decode(&refused.body).unwrap();
    assert_eq!(error, RpcError::App(ResolveRefusal::TooMany));
    // What is given back makes room.
    let release = Header {
        gateway: numbers[0],
        ..Header::new(Kind::Release, 0)
    };
    callee.main.send(release, &()).await;
    resolve.methods.pop();
    callee
        .main
        .send(Header::new(Kind::Resolve, 1), &resolve)
        .await;
    decoded::<Resolved>(&callee.answer().await);
}

#[tokio::test]
async fn there_is_one_bulk_lane() {
    let callee = Callee::new().await;
    let mut first = callee.widen();
    first.send(Header::new(Kind::Ping, 1), &()).await;
    assert!(first.next().await.is_some());
    let mut second = callee.widen();
    assert!(second.next().await.is_none());
    first.send(Header::new(Kind::Ping, 2), &()).await;
    assert!(first.next().await.is_some(), "the first is as it was");
}
