//! The two lanes of a connection, each side of which meets a peer that is played by hand.
#![allow(
    clippy::unwrap_used,
    reason = "the exemption of tests does not reach their helpers"
)]

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::time::timeout;

use super::outgoing::Pending;
use super::{IncomingConnection, OutgoingConnection, Peer, Resolve, Resolved, Welcome};
use crate::codec;
use crate::config::RpcConfig;
use crate::error::{RpcError, RpcResult};
use crate::frame::{FrameBuffer, FrameCutter, Header, Kind, OwnedFrame};
use crate::gateway::Gateway;
use crate::method::{CallTimeout, MethodInfo};
use crate::reply_slot::ReplySlot;
use crate::testing::{Probe, ProbeGateway};
use crate::transport::Stream;
use crate::{RpcServer, RpcService};

/// The other end of a stream, and the frames on it.
struct Raw {
    reader: ReadHalf<DuplexStream>,
    writer: WriteHalf<DuplexStream>,
    sent: FrameBuffer,
    cutter: FrameCutter,
    input: BytesMut,
}

impl Raw {
    fn new() -> (Self, Stream) {
        let (ours, theirs) = duplex(PIPE_BYTES);
        let ((reader, writer), (their_reader, their_writer)) = (split(ours), split(theirs));
        let raw = Self {
            reader,
            writer,
            sent: FrameBuffer::default(),
            cutter: FrameCutter::new(LIMIT),
            input: BytesMut::new(),
        };
        (raw, Stream::new(their_reader, their_writer))
    }

    /// Sends a frame, and returns its size.
    async fn send<T: Serialize>(&mut self, header: Header, body: &T) -> usize {
        let size = self.sent.put(&header, body, LIMIT).unwrap();
        let bytes = self.sent.take().to_vec();
        self.writer.write_all(&bytes).await.unwrap();
        size
    }

    /// Returns the next frame; `None` at the end of the stream.
    async fn next(&mut self) -> Option<OwnedFrame> {
        loop {
            if let Some(frame) = self.cutter.take(&mut self.input).unwrap() {
                return Some(frame);
            }
            let read = self.reader.read_buf(&mut self.input).await;
            if read.unwrap_or_default() == 0 {
                return None;
            }
        }
    }

    async fn kinds(&mut self, count: usize) -> Vec<(Kind, u32)> {
        let mut kinds = Vec::new();
        while kinds.len() < count {
            let header = self.next().await.unwrap().header;
            kinds.push((header.kind, header.gateway));
        }
        kinds
    }
}

/// A caller whose callee is played.
struct Caller {
    connection: Arc<OutgoingConnection>,
    main: Raw,
}

impl Caller {
    fn new() -> Self {
        let (main, stream) = Raw::new();
        let welcome = Welcome {
            frame_bytes_max: LIMIT as u32,
            window_bytes: 1 << 20,
            calls_max: 100,
            service: 1,
        };
        let peer = String::from("peer");
        let connection = OutgoingConnection::new(peer, stream.writer, &welcome, &config());
        let driven = Arc::clone(&connection).drive(|| None, stream.reader, &config(), pending());
        assert!(size_of_val(&driven) < TASK_BYTES_MAX);
        tokio::spawn(driven);
        Self { connection, main }
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
    poll_fn(|cx| slot.poll(cx)).await
}

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
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
        let connection = IncomingConnection::new(peer, writer, LIMIT as u32, directory, &config());
        let serving = Arc::clone(&connection).serve(reader, &config());
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

fn config() -> RpcConfig {
    RpcConfig {
        bulk_bytes_min: LARGE,
        window_bytes: WINDOW,
        ..RpcConfig::default()
    }
}

static METHOD: MethodInfo = MethodInfo::internal("method", CallTimeout::Never);
const LARGE: usize = 1_000;
const WINDOW: usize = 1 << 15;
const LIMIT: usize = 1 << 14;
const PIPE_BYTES: usize = 1 << 12;
/// What either side of a connection has in its task. A future that is moved into another has its memory
/// in both, and a service with a thousand connections all of it in no cache.
const TASK_BYTES_MAX: usize = 1 << 10;
