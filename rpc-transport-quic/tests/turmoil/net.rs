//! quinn over simulated UDP, and two hosts that talk by it.

use std::cell::Cell;
use std::fmt;
use std::future::pending;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, UdpPoller};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ED25519};
use rpc_core::{RpcConfig, RpcService};
use rpc_transport_quic::{Certificates, Quic, QuicConfig};
use tokio::sync::mpsc;
use turmoil::net::UdpSocket;

use crate::ledger::{Ledger, LedgerGateway};

/// What is simulated.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    /// How many of the packets are lost.
    pub(crate) loss: f64,
    pub(crate) rpc: RpcConfig,
    pub(crate) quic: QuicConfig,
}

impl Setup {
    /// A peer that is silent for a second or so is lost.
    pub(crate) fn hasty(seed: u64) -> Self {
        let mut rpc = RpcConfig::default();
        rpc.keepalive_interval = Duration::from_millis(300);
        rpc.keepalive_timeout = Duration::from_millis(900);
        rpc.connect_timeout = Duration::from_secs(1);
        rpc.redial_delay_max = Duration::from_millis(500);
        let setup = Self::patient(seed);
        Self { rpc, ..setup }
    }

    /// With the default limits.
    pub(crate) fn patient(seed: u64) -> Self {
        Self {
            seed,
            loss: 0.0,
            rpc: RpcConfig::default(),
            quic: QuicConfig::default(),
        }
    }
}

/// The host that calls, as a test sees it.
pub(crate) struct Caller {
    pub(crate) service: RpcService,
    pub(crate) gateway: Arc<dyn LedgerGateway>,
    pub(crate) ledger: Ledger,
    restart: Rc<Cell<bool>>,
}

impl Caller {
    /// Crashes the server, and starts it anew.
    pub(crate) async fn restart_server(&self) {
        self.restart.set(true);
        while self.restart.get() {
            pass(Duration::from_millis(1)).await;
        }
    }
}

/// Runs a server with a ledger, and a caller whose gateway is connected to it. Returns what was sent.
pub(crate) fn simulate<F>(setup: &Setup, call: impl FnOnce(Caller) -> F + 'static) -> Sent
where
    F: Future<Output = ()> + 'static,
{
    let (ledger, restart) = (Ledger::default(), Rc::new(Cell::new(false)));
    let (written, restarted) = (ledger.clone(), Rc::clone(&restart));
    let config = setup.rpc.clone();
    let serve = move |quic| {
        let (ledger, builder) = (ledger.clone(), RpcService::builder().config(config.clone()));
        async move {
            let service = builder.transport(quic).build().await.unwrap();
            service.start_server("ledger", ledger).unwrap().start();
            pending().await
        }
    };
    let config = setup.rpc.clone();
    let calls = async move |quic, _| {
        let builder = RpcService::builder().config(config).transport(quic);
        let service = builder.build().await.unwrap();
        let address = format!("quic://{SERVER}/ledger");
        let caller = Caller {
            gateway: service.connect(&address).await.unwrap(),
            service: service.clone(),
            ledger: written,
            restart,
        };
        call(caller).await;
        service.close().await.unwrap();
    };
    simulate_hosts(setup, &restarted, serve, calls)
}

/// Runs two hosts until the second has done. The first starts anew whenever `restart` is set.
pub(crate) fn simulate_hosts<S, C>(
    setup: &Setup,
    restart: &Cell<bool>,
    serve: impl Fn(Quic) -> S + 'static,
    call: impl FnOnce(Quic, Trace) -> C + 'static,
) -> Sent
where
    S: Future<Output = ()> + 'static,
    C: Future<Output = ()> + 'static,
{
    // Identities, and the spread of back-off.
    fastrand::seed(setup.seed);
    let mut sim = turmoil::Builder::new()
        .rng_seed(setup.seed)
        .simulation_duration(Duration::from_secs(600))
        .max_message_latency(Duration::from_millis(20))
        .fail_rate(setup.loss)
        .repair_rate(1.0)
        .udp_capacity(1 << 12)
        .build();
    let trace = Trace::default();
    let (setup, server_trace) = (setup.clone(), trace.clone());
    let caller = (setup.clone(), trace.clone());
    sim.host("server", move || {
        let serving = serve(quic(Quic::bind("0.0.0.0:7000"), &setup, &server_trace));
        async move {
            serving.await;
            Ok(())
        }
    });
    sim.client("caller", async move {
        let (setup, trace) = caller;
        call(quic(Quic::dial_only(), &setup, &trace), trace).await;
        Ok(())
    });
    while !sim.step().unwrap() {
        if restart.take() {
            sim.bounce("server");
        }
    }
    trace.sent()
}

/// Lets a transport run over simulated UDP.
pub(crate) fn quic(quic: Quic, setup: &Setup, trace: &Trace) -> Quic {
    let (seed, trace) = (setup.seed, trace.clone());
    quic.mtls(CERTIFICATES.clone())
        .advertise(SERVER)
        .config(setup.quic.clone())
        .with_endpoints(move |address, server| endpoint(address, server, seed, trace.clone()))
}

fn endpoint(
    address: SocketAddr,
    server: Option<ServerConfig>,
    seed: u64,
    trace: Trace,
) -> io::Result<Endpoint> {
    let mut config = EndpointConfig::default();
    let mut seeds = fastrand::Rng::with_seed(seed);
    config.rng_seed(Some(std::array::from_fn(|_| seeds.u8(..))));
    let socket = Socket::bind(address, trace)?;
    // Its clock is tokio's, which is simulated.
    let runtime = Arc::new(TokioRuntime);
    Endpoint::new_with_abstract_socket(config, server, Arc::new(socket), runtime)
}

/// The first host gets this address.
pub(crate) const SERVER: &str = "192.168.0.1:7000";

/// With signatures whose length does not vary, so that packets' does not.
static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(|| {
    let key = || KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = key();
    let ca = authority.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(authority, ca_key);
    let own_key = key();
    let own = CertificateParams::new(["192.168.0.1".to_owned()]).unwrap();
    let own = own.signed_by(&own_key, &issuer).unwrap();
    Certificates::from_pem(own.pem(), own_key.serialize_pem(), ca.pem()).unwrap()
});

/// Lets some simulated time pass.
pub(crate) async fn pass(time: Duration) {
    let _ = tokio::time::timeout(time, pending::<()>()).await;
}

/// What was sent in a simulation: when, by whom, to whom, how much.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Arc<Mutex<Sent>>);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    hash: u64,
}

impl Trace {
    pub(crate) fn sent(&self) -> Sent {
        *self.0.lock()
    }

    fn record(&self, from: SocketAddr, to: SocketAddr, length: usize) {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        let line = format!("{now:?} {from} {to} {length}\n");
        let mut sent = self.0.lock();
        sent.packets += 1;
        sent.bytes += length as u64;
        for byte in line.bytes() {
            sent.hash = (sent.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// A simulated UDP socket, as quinn wants one.
struct Socket {
    socket: Arc<UdpSocket>,
    received: Mutex<mpsc::Receiver<(Vec<u8>, SocketAddr)>>,
    trace: Trace,
}

impl Socket {
    fn bind(address: SocketAddr, trace: Trace) -> io::Result<Self> {
        let bound = UdpSocket::bind(address).now_or_never();
        let socket = Arc::new(bound.expect("it waits for nothing")?);
        let (sender, received) = mpsc::channel(1 << 10);
        tokio::spawn(pump(Arc::clone(&socket), sender));
        let received = Mutex::new(received);
        Ok(Self {
            socket,
            received,
            trace,
        })
    }
}

/// The simulated socket can only be awaited, and quinn polls.
async fn pump(socket: Arc<UdpSocket>, sender: mpsc::Sender<(Vec<u8>, SocketAddr)>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        tokio::select! {
            biased;
            () = sender.closed() => return,
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, from)) = received else {
                    return;
                };
                // A full queue loses packets, as any other does.
                let _ = sender.try_send((buffer[..length].to_vec(), from));
            }
        }
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let (from, to) = (self.socket.local_addr()?, transmit.destination);
        self.trace.record(from, to, transmit.contents.len());
        // Whether there is anybody is not known to a sender.
        let _ = self.socket.try_send_to(transmit.contents, to);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = ready!(self.received.lock().poll_recv(cx));
        let Some((packet, addr)) = received else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        bufs[0][..packet.len()].copy_from_slice(&packet);
        meta[0] = RecvMeta {
            addr,
            len: packet.len(),
            stride: packet.len(),
            ecn: None,
            dst_ip: None,
        };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

/// A simulated socket takes whatever it is given.
#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
