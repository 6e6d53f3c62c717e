//! A peer that says hello as it should, and then anything.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex, split};
use tokio::time::timeout;

use super::wire::{FRAME_BYTES_MAX, Written, hello};
use crate::connection::{Purpose, Resolve, dial};
use crate::frame::{Header, Kind};
use crate::gateway::Gateway;
use crate::testing::ProbeError;
use crate::transport::{Connection, Listener, Stream, Transport, TransportError};
use crate::{
    Call, FencingToken, MainThread, ReplyTo, RpcConfig, RpcEndpoint, RpcResult, RpcService,
    gateways, rpc_endpoint, rpc_gateway,
};

/// Lets the bytes be all that a peer sends after its hello.
///
/// The connection ends when the peer has left, and the service serves others as before.
pub fn connection(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can always be made");
    let ended = runtime.block_on(async { timeout(HOUR, attack(data)).await });
    ended.expect("the connection ends");
}

async fn attack(data: &[u8]) {
    let (theirs, ours) = duplex(PIPE_BYTES);
    let transport = Once(Mutex::new(Some(ours)));
    let built = RpcService::builder().config(config()).transport(transport);
    let service = built.build().await.expect("nothing is bound");
    let server = service.start_server("sink", Sink::default());
    server.expect("the name is free").start();

    let mut stream = stream(theirs);
    let purpose = hello(Purpose::Calls);
    dial(&mut stream, &purpose).await.expect("it is welcome");
    let Stream {
        mut reader,
        mut writer,
    } = stream;
    let send = async move {
        for piece in data.chunks(64) {
            // A peer that is cut off cannot send the rest.
            if writer.write_all(piece).await.is_err() {
                break;
            }
            if !data.len().is_multiple_of(3) {
                // The handlers run in between.
                settle().await;
            }
        }
        let _ = writer.shutdown().await;
    };
    let mut answers = tokio::io::sink();
    match data.len() % 4 {
        // A peer that does not read before it has sent everything.
        0 => {
            let _ = timeout(HOUR / 4, send).await;
            let _ = tokio::io::copy(&mut reader, &mut answers).await;
        }
        _ => drop(tokio::join!(
            send,
            tokio::io::copy(&mut reader, &mut answers)
        )),
    }

    let sink = service.connect::<dyn SinkGateway>("sink").await;
    let sink = sink.expect("the endpoint is still there");
    // Its mailbox may be full of the peer's messages for a moment.
    settle().await;
    assert_eq!(sink.length(String::from("four")).await, Ok(4));
    assert_eq!(sink.awaited().await, Ok(0), "the peer's calls went with it");
    service.close().await.expect("no handler has failed");
}

/// Lets all others do what they can: a paused clock only moves when nobody can do more.
async fn settle() {
    let _ = timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
}

/// What hostile requests are made to.
#[rpc_gateway]
#[expect(dead_code, reason = "who calls it writes the bytes by hand")]
trait SinkGateway {
    fn length(&self, text: String) -> Call<u64>;
    fn tell(&self, numbers: Vec<u64>);
    fn echo(&self, bytes: Vec<u8>) -> Call<Vec<u8>>;
    fn fill(&self, count: u16) -> Call<Vec<u8>>;
    fn refuse(&self, why: String) -> Call<(), ProbeError>;
    fn hang(&self) -> Call<()>;
    fn wait(&self) -> Call<u64>;
    /// Returns how many calls of `wait` somebody still waits for.
    fn awaited(&self) -> Call<u64>;
}

#[rpc_gateway(fenced)]
#[expect(dead_code, reason = "who calls it writes the bytes by hand")]
trait FencedSinkGateway {
    fn fenced(&self, number: u64) -> Call<u64>;
}

#[derive(Default)]
struct Sink {
    waiting: Vec<ReplyTo<u64>>,
}

impl RpcEndpoint for Sink {
    type Gateways = gateways![SinkGateway, FencedSinkGateway];

    fn on_start(&mut self, cx: &mut crate::Context<Self>) -> Result<(), crate::BoxError> {
        cx.set_fencing_token(Some(TOKEN))?;
        Ok(())
    }
}

#[rpc_endpoint(SinkGateway)]
impl Sink {
    fn length(&mut self, text: String) -> RpcResult<u64> {
        Ok(text.len() as u64)
    }

    fn tell(&mut self, _numbers: Vec<u64>) {
        self.waiting.clear();
    }

    fn echo(&mut self, bytes: Vec<u8>) -> RpcResult<Vec<u8>> {
        Ok(bytes)
    }

    fn fill(&mut self, count: u16) -> RpcResult<Vec<u8>> {
        Ok(vec![7; usize::from(count)])
    }

    fn refuse(&mut self, why: String) -> RpcResult<(), ProbeError> {
        Err(ProbeError::Refused { why })?
    }

    async fn hang(_main: MainThread<'_, Self>) -> RpcResult<()> {
        std::future::pending().await
    }

    fn wait(&mut self, reply: ReplyTo<u64>) {
        self.waiting.push(reply);
    }

    fn awaited(&mut self) -> RpcResult<u64> {
        self.waiting.retain(|it| !it.is_cancelled());
        Ok(self.waiting.len() as u64)
    }
}

#[rpc_endpoint(FencedSinkGateway)]
impl Sink {
    fn fenced(&mut self, number: u64) -> RpcResult<u64> {
        Ok(number)
    }
}

/// A transport to which one peer connects, once.
#[derive(Debug)]
struct Once(Mutex<Option<DuplexStream>>);

#[async_trait]
impl Transport for Once {
    fn scheme(&self) -> &'static str {
        "once"
    }

    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError> {
        Ok(Some(Box::new(Self(Mutex::new(self.0.lock().take())))))
    }

    async fn connect(&self, _: &str) -> Result<Arc<dyn Connection>, TransportError> {
        Err(closed())
    }
}

#[async_trait]
impl Listener for Once {
    fn authority(&self) -> String {
        String::from("once")
    }

    async fn accept(&mut self) -> Result<Arc<dyn Connection>, TransportError> {
        match self.0.get_mut().take() {
            Some(pipe) => Ok(Arc::new(Self(Mutex::new(Some(pipe))))),
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Connection for Once {
    fn peer(&self) -> String {
        String::from("a hostile peer")
    }

    async fn open_stream(&self) -> Result<Stream, TransportError> {
        Err(closed())
    }

    async fn accept_stream(&self) -> Result<Stream, TransportError> {
        self.0.lock().take().map(stream).ok_or_else(closed)
    }

    fn close(&self) {
        self.0.lock().take();
    }
}

fn stream(pipe: DuplexStream) -> Stream {
    let (reader, writer) = split(pipe);
    Stream::new(reader, writer)
}

fn closed() -> TransportError {
    TransportError::Closed {
        peer: String::from("a hostile peer"),
    }
}

/// Limits that a short input can reach.
fn config() -> RpcConfig {
    RpcConfig {
        calls_max: 16,
        frame_bytes_max: FRAME_BYTES_MAX,
        gateways_max: 4,
        mailbox_messages_max: 16,
        outbox_bytes_max: 4 << 10,
        ..RpcConfig::default()
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut resolved = Written::new();
    resolved
        .put(&header(Kind::Resolve, 1), &resolve::<dyn SinkGateway>())
        .put(
            &header(Kind::Resolve, 2),
            &resolve::<dyn FencedSinkGateway>(),
        );

    let mut all = resolved.clone();
    let mut seeds = vec![resolved.to_vec()];
    for write in [answered, kept_waiting, one_way, fenced, too_large, misused] {
        let mut written = resolved.clone();
        write(&mut written);
        write(&mut all);
        seeds.push(written.to_vec());
    }
    seeds.push(all.to_vec());
    let unresolved = Written::new().put(&call(1, 0), &("text",)).to_vec();
    seeds.push(unresolved);
    seeds
}

fn answered(out: &mut Written) {
    let mut in_time = call(10, 0);
    in_time.remaining_us = Some(1_000_000);
    out.put(&in_time, &("text",))
        .put(&call(11, 2), &(vec![1u8, 2],))
        .put(&call(12, 4), &("because",))
        .put(&header(Kind::Ping, 13), &());
}

fn kept_waiting(out: &mut Written) {
    let mut extended = header(Kind::Extend, 21);
    extended.remaining_us = Some(5_000_000);
    out.put(&call(20, 5), &())
        .put(&call(21, 6), &())
        .put(&extended, &())
        .put(&header(Kind::Cancel, 20), &())
        .put(&header(Kind::Cancel, 99), &());
}

fn one_way(out: &mut Written) {
    for number in 0..20u64 {
        let mut header = call(0, 1);
        header.kind = Kind::OneWay;
        out.put(&header, &(vec![number, 300],));
    }
}

fn fenced(out: &mut Written) {
    for (id, token) in [(30, None), (31, Some(4)), (32, Some(5))] {
        let mut header = call(id, 0);
        header.gateway = 1;
        header.token = token;
        out.put(&header, &(7u64,));
    }
}

fn too_large(out: &mut Written) {
    for id in 40..60 {
        out.put(&call(id, 3), &(u16::MAX - 200 * id as u16,));
    }
}

/// What ends a connection.
fn misused(out: &mut Written) {
    out.put(&call(70, 6), &()).put(&call(70, 6), &());
}

fn resolve<G: Gateway + ?Sized>() -> Resolve {
    Resolve {
        endpoint: String::from("sink"),
        gateway: String::from(G::NAME),
        methods: G::METHODS.iter().map(|it| it.fingerprint).collect(),
    }
}

const fn header(kind: Kind, call: u64) -> Header {
    Header::new(kind, call)
}

/// A request to a method of the first gateway.
const fn call(call: u64, method: u16) -> Header {
    let mut header = header(Kind::Request, call);
    header.method = method;
    header
}

/// The endpoint's token.
const TOKEN: FencingToken = FencingToken::new(5);
/// Nothing takes as long, and a paused clock does not either.
const HOUR: Duration = Duration::from_secs(3600);
/// How much may be under way.
const PIPE_BYTES: usize = 1 << 10;
