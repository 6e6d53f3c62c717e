//! The hostile peers. Each runs for a while, and then prints what it did.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rpc_core::{BoxError, RpcConfig, RpcService};
use rpc_transport_tcp::Tcp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::victim::VictimGateway;

pub(crate) const NAMES: [&str; 9] = [
    "spin",
    "garbage",
    "flood-dropped",
    "flood-kept",
    "flood-resting",
    "hoard",
    "flood-same",
    "silence",
    "deaf",
];

/// Is hostile to the server, in the way of this name.
pub(crate) async fn run(name: String, server: String) -> Result<(), BoxError> {
    let server: SocketAddr = server.parse()?;
    let counts = Counts::default();
    let peer = peer(&name, server, Arc::clone(&counts));
    if let Ok(ended) = timeout(TIME, peer).await {
        ended?;
    }
    let [first, second, third] = [0, 1, 2].map(|it| counts[it].load(Ordering::Relaxed));
    match &*name {
        "spin" => println!("keeps two processors busy"),
        "garbage" => println!("{first} connections, {second} could not be made"),
        "silence" => println!("{first} sockets open at once, {third} at the end; {second} errors"),
        "deaf" => println!("{first} calls by {second} connections in turn, 4 at once"),
        _ => println!("{first} calls"),
    }
    // Nothing of it is put in order.
    std::process::exit(0)
}

async fn peer(name: &str, server: SocketAddr, counts: Counts) -> Result<(), BoxError> {
    match name {
        "spin" => {
            // A thread of its own for each, which ends with the process.
            for _ in 0..2 {
                std::thread::spawn(|| {
                    loop {
                        std::hint::spin_loop();
                    }
                });
            }
            std::future::pending().await
        }
        "garbage" => {
            (2..10).for_each(|host| drop(tokio::spawn(babble(server, host, Arc::clone(&counts)))));
            std::future::pending().await
        }
        "silence" => {
            (0..10_000).for_each(|_| drop(tokio::spawn(be_silent(server, Arc::clone(&counts)))));
            std::future::pending().await
        }
        "deaf" => {
            for _ in 0..4 {
                let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let address = format!("tcp://{}/bad", proxy.local_addr()?);
                tokio::spawn(be_deaf(proxy, server, Arc::clone(&counts)));
                let call = |it: &dyn VictimGateway| it.blob(100 << 10).detach();
                tokio::spawn(flood(address, Arc::clone(&counts), call));
            }
            std::future::pending().await
        }
        _ => flooder(name, server, counts).await,
    }
}

/// Writes what is no handshake, over and over. Each has an address of its own, lest ports run out.
async fn babble(server: SocketAddr, host: u8, counts: Counts) {
    loop {
        let Ok(mut stream) = connect_from(host, server).await else {
            counts[1].fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(1)).await;
            continue;
        };
        counts[0].fetch_add(1, Ordering::Relaxed);
        let bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(fastrand::usize(1..4096))
            .collect();
        // Half of them wait for what is said to it, for a while.
        if stream.write_all(&bytes).await.is_ok() && fastrand::bool() {
            let _ = timeout(Duration::from_millis(5), stream.read(&mut [0; 64])).await;
        }
    }
}

/// Keeps a socket open and says nothing; comes back when it is turned away.
async fn be_silent(server: SocketAddr, counts: Counts) {
    loop {
        match connect_from(2, server).await {
            Ok(mut stream) => {
                let open = counts[2].fetch_add(1, Ordering::Relaxed) + 1;
                counts[0].fetch_max(open, Ordering::Relaxed);
                let _ = stream.read(&mut [0; 64]).await;
                counts[2].fetch_sub(1, Ordering::Relaxed);
            }
            Err(_) => drop(counts[1].fetch_add(1, Ordering::Relaxed)),
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn connect_from(host: u8, server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into())?;
    socket.connect(server).await
}

/// Forwards all that a caller says, and nothing that it is told once it is connected.
async fn be_deaf(proxy: TcpListener, server: SocketAddr, counts: Counts) {
    while let Ok((caller, _)) = proxy.accept().await {
        let Ok(callee) = connect_from(2, server).await else {
            continue;
        };
        counts[1].fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let (mut from_caller, mut to_caller) = caller.into_split();
            let (from_callee, mut to_callee) = callee.into_split();
            let answers = tokio::spawn(async move {
                let mut first = from_callee.take(64 << 10);
                let _ = tokio::io::copy(&mut first, &mut to_caller).await;
                std::future::pending::<()>().await;
                drop((first, to_caller));
            });
            let _ = tokio::io::copy(&mut from_caller, &mut to_callee).await;
            answers.abort();
        });
    }
}

/// Calls without an end: what is done with the calls is in the name.
async fn flooder(name: &str, server: SocketAddr, counts: Counts) -> Result<(), BoxError> {
    let padding = Bytes::from(vec![1; 1024]);
    let address = |endpoint: &str| format!("tcp://{server}/{endpoint}");
    let mut kept = VecDeque::new();
    let mut keep = move |call| {
        kept.push_back(call);
        if kept.len() > KEPT {
            kept.pop_front();
        }
    };
    match name {
        "flood-dropped" => {
            let call = move |it: &dyn VictimGateway| drop(it.toil(padding.clone()));
            flood(address("bad"), counts, call).await
        }
        "flood-kept" | "flood-same" => {
            let endpoint = if name == "flood-kept" { "bad" } else { "good" };
            let call = move |it: &dyn VictimGateway| keep(it.toil(padding.clone()));
            flood(address(endpoint), counts, call).await
        }
        "flood-resting" | "hoard" => {
            // Handlers that rest keep their arguments.
            let padding = match name {
                "hoard" => Bytes::from(vec![1; 256 << 10]),
                _ => padding,
            };
            let call = move |it: &dyn VictimGateway| keep(it.rest(padding.clone()));
            flood(address("bad"), counts, call).await
        }
        _ => Err(format!("there is no scenario `{name}`").into()),
    }
}

/// Makes calls as fast as it can.
async fn flood(
    address: String,
    counts: Counts,
    mut call: impl FnMut(&dyn VictimGateway),
) -> Result<(), BoxError> {
    // It keeps none of the limits that are its own to keep.
    let mut config = RpcConfig::default();
    config.calls_max = 1 << 24;
    config.outbox_bytes_max = 1 << 30;
    let service = RpcService::builder().transport(Tcp::dial_only());
    let service = service.config(config).build().await?;
    let gateway = service.connect::<dyn VictimGateway>(&address).await?;
    loop {
        for _ in 0..16 {
            call(&*gateway);
            counts[0].fetch_add(1, Ordering::Relaxed);
        }
        tokio::task::yield_now().await;
    }
}

/// What the peers count; each says what in its own way.
type Counts = Arc<[AtomicUsize; 3]>;

/// A little longer than is measured.
const TIME: Duration = Duration::from_millis(6500);

/// So many calls the peer has room for.
const KEPT: usize = 1 << 20;
