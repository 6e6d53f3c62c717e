//! The calling side, whose callee is played.

use std::future::{pending, poll_fn};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{LARGE, LIMIT, PIPE_BYTES, Raw, TASK_BYTES_MAX, config};
use crate::RpcService;
use crate::call::Time;
use crate::closed::GatewayClosed;
use crate::config::RpcConfig;
use crate::connection::outgoing::Pending;
use crate::connection::{
    Ask, Claim, OutgoingConnection, RemoteCall, RemoteGateway, Resolve, Resolved, Welcome,
};
use crate::error::{RpcError, RpcResult};
use crate::frame::{Header, Kind};
use crate::method::{CallTimeout, MethodInfo};
use crate::reply_slot::{ReplySlot, Told};

/// A caller whose callee is played.
struct Caller {
    connection: Arc<OutgoingConnection>,
    main: Raw,
    task: AbortHandle,
}

impl Caller {
    fn new() -> Self {
        Self::with(&config())
    }

    fn with(config: &RpcConfig) -> Self {
        let (main, stream) = Raw::new();
        let welcome = Welcome {
            frame_bytes_max: LIMIT as u32,
            window_bytes: 1 << 20,
            calls_max: 100,
            service: 1,
        };
        let peer = String::from("peer");
        let connection = OutgoingConnection::new(peer, stream.writer, &welcome, config);
        let driven = Arc::clone(&connection).drive(|| None, stream.reader, config, pending());
        assert!(size_of_val(&driven) < TASK_BYTES_MAX);
        let task = tokio::spawn(driven).abort_handle();
        Self {
            connection,
            main,
            task,
        }
    }

    /// Answers a request to resolve, which is the next frame.
    async fn answer_resolve(&mut self, gateway: u32) {
        let asked = self.main.next().await.unwrap().header;
        assert_eq!(asked.kind, Kind::Resolve);
        let resolved = Resolved {
            gateway,
            incarnation: 1,
            compatible: vec![true],
            endpoint: String::from("probe"),
        };
        let header = Header::new(Kind::Response, asked.call);
        self.main.send(header, &resolved).await;
    }

    async fn claim(&mut self, gateway: u32) -> Claim {
        let resolve = resolve();
        let connection = Arc::clone(&self.connection);
        let resolving = connection.resolve(&resolve);
        let (claim, ()) = tokio::join!(resolving, self.answer_resolve(gateway));
        claim.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn widen(&self) -> Raw {
        let (bulk, stream) = Raw::new();
        let connection = Arc::clone(&self.connection);
        tokio::spawn(async move { connection.run_bulk(stream, &config()).await });
        // It has its turn.
        tokio::task::yield_now().await;
        bulk
    }

    async fn widened() -> (Self, Raw) {
        let caller = Self::new();
        let bulk = caller.widen().await;
        (caller, bulk)
    }

    /// Makes two small calls, which go by the main lane. Returns their numbers, and where their answers
    /// come.
    async fn ask_twice(&mut self) -> [(u64, Arc<Slot>); 2] {
        let asked = [(); 2].map(|()| {
            let slot = Arc::new(Slot::new());
            (self.ask(1, 1, &slot), slot)
        });
        self.main.kinds(2).await;
        asked
    }

    fn tell(&self, gateway: u32, length: usize) {
        let mut header = Header::new(Kind::OneWay, 0);
        header.gateway = gateway;
        let told = self.connection.tell(&header, &METHOD, &vec![7_u8; length]);
        assert!(told.is_ok());
    }

    /// Makes a call. Returns its number.
    fn ask(&self, gateway: u32, length: usize, slot: &Arc<Slot>) -> u64 {
        let mut header = Header::new(Kind::Request, 0);
        header.gateway = gateway;
        let pending = Pending::new(&METHOD, gateway, Arc::clone(slot) as _, None);
        let asked = self
            .connection
            .request(header, &vec![7_u8; length], pending);
        asked.unwrap_or_else(|_| panic!("the connection is open"))
    }
}

type Slot = ReplySlot<Vec<u8>, crate::Never>;

async fn answer(slot: &Slot) -> RpcResult<Vec<u8>> {
    let answer = timeout(Duration::from_secs(1), poll_fn(|cx| slot.poll(cx)));
    answer.await.expect("there is an answer")
}

#[tokio::test(start_paused = true)]
async fn from_its_first_large_request_on_a_gateway_keeps_to_the_bulk_lane() {
    let mut caller = Caller::new();
    caller.tell(1, LARGE);
    assert_eq!(caller.main.kinds(1).await, [(Kind::OneWay, 1)]);
    assert!(caller.connection.wants_bulk().await);

    let mut bulk = caller.widen().await;
    caller.tell(1, 1);
    caller.tell(1, LARGE);
    let slot = Arc::new(Slot::new());
    let id = caller.ask(1, 1, &slot);
    caller.connection.extend(id, Some(9));
    caller.connection.cancel(id);
    caller.tell(2, 1);
    caller.connection.release(1);
    caller.connection.release(2);
    assert_eq!(
        caller.main.kinds(4).await,
        [
            (Kind::OneWay, 1),
            (Kind::Move, 1),
            (Kind::OneWay, 2),
            (Kind::Release, 2)
        ]
    );
    assert_eq!(
        bulk.kinds(5).await,
        [
            (Kind::OneWay, 1),
            (Kind::Request, 1),
            (Kind::Extend, 1),
            (Kind::Cancel, 1),
            (Kind::Release, 1)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_call_goes_behind_it_though_its_gateway_is_released() {
    let (mut caller, mut bulk) = Caller::widened().await;
    let slots = [(); 2].map(|()| Arc::new(Slot::new()));
    let moved = caller.ask(1, LARGE, &slots[0]);
    let stayed = caller.ask(2, 1, &slots[1]);
    for (gateway, call) in [(1, moved), (2, stayed)] {
        caller.connection.release(gateway);
        caller.connection.extend(call, Some(9));
        caller.connection.cancel(call);
    }
    let said = |gateway| {
        [Kind::Request, Kind::Release, Kind::Extend, Kind::Cancel].map(|kind| (kind, gateway))
    };
    assert_eq!(bulk.kinds(4).await, said(1));
    assert_eq!(caller.main.kinds(1).await, [(Kind::Move, 1)]);
    assert_eq!(caller.main.kinds(4).await, said(2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_by_either_lane() {
    let (mut caller, mut bulk) = Caller::widened().await;
    let [(first, first_slot), (second, second_slot)] = caller.ask_twice().await;
    bulk.send(Header::new(Kind::Response, second), &[2_u8; LARGE].to_vec())
        .await;
    assert_eq!(answer(&second_slot).await.unwrap(), [2; LARGE]);
    caller
        .main
        .send(Header::new(Kind::Response, first), &vec![1_u8])
        .await;
    assert_eq!(answer(&first_slot).await.unwrap(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_waits_for_what_the_bulk_lane_carries() {
    let (mut caller, mut bulk) = Caller::widened().await;
    let [(first, first_slot), (_, second_slot)] = caller.ask_twice().await;
    // Two frames by the bulk lane, of which one was a pong.
    caller.main.send(Header::new(Kind::Goodbye, 2), &()).await;
    tokio::task::yield_now().await;
    bulk.send(Header::new(Kind::Pong, 0), &()).await;
    bulk.send(Header::new(Kind::Response, first), &vec![1_u8])
        .await;
    assert_eq!(answer(&first_slot).await.unwrap(), [1]);
    // That was all.
    let lost = answer(&second_slot).await.unwrap_err();
    assert!(matches!(lost, RpcError::Disconnected { .. }), "{lost:?}");
    assert!(bulk.next().await.is_none(), "both streams are closed");
    assert!(caller.main.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_bulk_lane_is_lost_is_lost() {
    for says_nonsense in [false, true] {
        let (mut caller, mut bulk) = Caller::widened().await;
        let slot = Arc::new(Slot::new());
        caller.ask(1, 1, &slot);
        if says_nonsense {
            bulk.send(Header::new(Kind::Gone, 0), &()).await;
        } else {
            drop(bulk);
        }
        let lost = answer(&slot).await.unwrap_err();
        assert!(matches!(lost, RpcError::Disconnected { .. }), "{lost:?}");
        caller.main.kinds(1).await;
        assert!(caller.main.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_task_is_dropped_is_lost() {
    for was_polled in [false, true] {
        let mut caller = Caller::new();
        let slot = Arc::new(Slot::new());
        caller.ask(1, 1, &slot);
        if was_polled {
            caller.main.kinds(1).await;
        }
        caller.task.abort();
        let lost = answer(&slot).await.unwrap_err();
        assert!(matches!(lost, RpcError::Disconnected { .. }), "{lost:?}");
        assert!(caller.connection.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_large_is_written_before_the_caller_closes() {
    let (mut caller, mut bulk) = Caller::widened().await;
    // More than the pipe holds.
    let count = 3 * PIPE_BYTES / LARGE;
    (0..count).for_each(|_| caller.tell(1, LARGE));
    caller.connection.close();
    assert_eq!(caller.main.kinds(1).await, [(Kind::Move, 1)]);
    assert_eq!(bulk.kinds(count).await, vec![(Kind::OneWay, 1); count]);
    assert!(bulk.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_was_said_over_a_connection_that_is_old_arrives() {
    let age = Duration::from_secs(5);
    let mut caller = Caller::with(&RpcConfig {
        connection_age_max: Some(age),
        ..config()
    });
    // More than the pipe holds.
    let count = 3 * PIPE_BYTES / LARGE;
    (0..count).for_each(|_| caller.tell(1, LARGE - 100));
    for _ in 0..15 {
        tokio::time::advance(age / 10).await;
    }
    assert!(caller.connection.is_retired());
    let connection = Arc::clone(&caller.connection);
    let mut heeded = Box::pin(connection.until_heeded());
    let mut heard = 0;
    while let Some(frame) = caller.main.next().await {
        match frame.header.kind {
            Kind::OneWay => heard += 1,
            // It asks whether what went before was heeded.
            Kind::Ping if frame.header.call > 0 => {
                assert_eq!((heard, (&mut heeded).now_or_never()), (count, None));
                let pong = Header::new(Kind::Pong, frame.header.call);
                caller.main.send(pong, &()).await;
            }
            kind => assert_eq!(kind, Kind::Ping),
        }
    }
    assert_eq!(heard, count);
    assert!(heeded.await);
    drop(caller);
    while !connection.is_closed() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_that_nobody_takes_is_given_back() {
    let mut caller = Caller::new();
    let resolve = resolve();
    let mut resolving = Box::pin(caller.connection.resolve(&resolve));
    assert!((&mut resolving).now_or_never().is_none());
    drop(resolving);
    caller.answer_resolve(5).await;
    assert_eq!(caller.main.kinds(1).await, [(Kind::Release, 5)]);

    let claim = caller.claim(6).await;
    drop(claim);
    assert_eq!(caller.main.kinds(1).await, [(Kind::Release, 6)]);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_whose_connection_has_ended_before_it_was_made_knows_that() {
    for says_goodbye in [true, false] {
        let mut caller = Caller::new();
        let claim = caller.claim(5).await;
        let Caller {
            connection,
            mut main,
            ..
        } = caller;
        if says_goodbye {
            main.send(Header::new(Kind::Goodbye, 0), &()).await;
        }
        drop(main);
        while !connection.is_closed() {
            tokio::task::yield_now().await;
        }
        let service = RpcService::local();
        let address = "sim://peer/probe".parse().unwrap();
        let gateway = RemoteGateway::new(service.downgrade(), address, resolve(), claim);
        let expected = match says_goodbye {
            true => GatewayClosed::Stopped,
            false => GatewayClosed::Disconnected,
        };
        let closed = gateway.closed().now_or_never();
        assert_eq!(closed, Some(expected), "{says_goodbye}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_while_its_connection_is_lost_is_found_nowhere() {
    let mut caller = Caller::new();
    let claim = caller.claim(5).await;
    let Caller {
        connection, main, ..
    } = caller;
    let service = RpcService::local();
    let address = "sim://peer/probe".parse().unwrap();
    let gateway = RemoteGateway::new(service.downgrade(), address, resolve(), claim);
    let (slot, mut remote) = (Arc::new(Slot::new()), RemoteCall::default());
    let ask = Ask {
        method: 0,
        info: &IDEMPOTENT,
        token: None,
        trace: None,
    };
    gateway.call(&ask, &Time::ENDLESS, &[0_u8; 9], &slot, &mut remote);
    // Its caller goes, and is about to say so where the call is.
    assert!(slot.abandon(&mut Told::default()).is_none());
    drop(main);
    while !connection.is_closed() {
        tokio::task::yield_now().await;
    }
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || done.send(remote.give_up()));
    let given_up = is_done.recv_timeout(Duration::from_secs(10));
    assert_eq!(given_up, Ok(None), "it may have been executed");
}

fn resolve() -> Resolve {
    Resolve {
        endpoint: String::from("probe"),
        gateway: String::from("gateway"),
        methods: vec![1],
    }
}

static METHOD: MethodInfo = MethodInfo::internal("method", CallTimeout::Never);
static IDEMPOTENT: MethodInfo = MethodInfo {
    idempotent: true,
    ..METHOD
};
