//! A transport that a user writes passes the conformance suite like those that come with it.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use rpc_core::transport::{Connection, Listener, Stream, Transport, TransportError};
use rpc_core::{Outcome, RpcError, RpcService, RpcServiceBuilder};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

rpc_core::conformance!(pipes);

async fn pipes(builder: RpcServiceBuilder) -> RpcService {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("pipe-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    builder.transport(Pipes { name }).build().await.unwrap()
}

/// Who listens, by name.
static LISTENERS: LazyLock<Mutex<HashMap<String, mpsc::Sender<DuplexStream>>>> =
    LazyLock::new(Mutex::default);

/// Connects services of this process by in-memory pipes, one for each stream.
#[derive(Debug)]
struct Pipes {
    name: String,
}

#[async_trait]
impl Transport for Pipes {
    fn scheme(&self) -> &'static str {
        "pipe"
    }

    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError> {
        let (sender, accepted) = mpsc::channel(16);
        LISTENERS.lock().unwrap().insert(self.name.clone(), sender);
        let name = self.name.clone();
        Ok(Some(Box::new(PipeListener { name, accepted })))
    }

    async fn connect(&self, authority: &str) -> Result<Arc<dyn Connection>, TransportError> {
        let listener = LISTENERS.lock().unwrap().get(authority).cloned();
        match listener.filter(|it| !it.is_closed()) {
            Some(listener) => Ok(Arc::new(Dialled(listener))),
            None => Err(closed()),
        }
    }
}

#[derive(Debug)]
struct PipeListener {
    name: String,
    accepted: mpsc::Receiver<DuplexStream>,
}

#[async_trait]
impl Listener for PipeListener {
    fn authority(&self) -> String {
        self.name.clone()
    }

    async fn accept(&mut self) -> Result<Arc<dyn Connection>, TransportError> {
        let pipe = self.accepted.recv().await.ok_or_else(closed)?;
        Ok(Arc::new(Accepted(Mutex::new(Some(pipe)))))
    }
}

#[derive(Debug)]
struct Dialled(mpsc::Sender<DuplexStream>);

#[async_trait]
impl Connection for Dialled {
    fn peer(&self) -> String {
        String::from("a pipe")
    }

    async fn open_stream(&self) -> Result<Stream, TransportError> {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        self.0.send(theirs).await.map_err(|_| closed())?;
        Ok(stream(ours))
    }

    async fn accept_stream(&self) -> Result<Stream, TransportError> {
        Err(closed())
    }

    fn close(&self) {}
}

/// Each stream arrives as a connection of its own.
#[derive(Debug)]
struct Accepted(Mutex<Option<DuplexStream>>);

#[async_trait]
impl Connection for Accepted {
    fn peer(&self) -> String {
        String::from("a pipe")
    }

    async fn open_stream(&self) -> Result<Stream, TransportError> {
        Err(closed())
    }

    async fn accept_stream(&self) -> Result<Stream, TransportError> {
        self.0.lock().unwrap().take().map(stream).ok_or_else(closed)
    }

    fn close(&self) {}
}

fn stream(pipe: DuplexStream) -> Stream {
    let (reader, writer) = tokio::io::split(pipe);
    Stream::new(reader, writer)
}

fn closed() -> TransportError {
    TransportError::Closed {
        peer: String::from("a pipe"),
    }
}

/// A gateway as an older program knows it.
mod old {
    use rpc_core::{Call, rpc_gateway};

    #[rpc_gateway]
    pub(crate) trait ClockGateway {
        fn now(&self) -> Call<u64>;
        fn zone(&self) -> Call<String>;
    }
}

/// The same gateway later: a method is new, one has changed, and their order is another.
mod new {
    use rpc_core::{Call, RpcEndpoint, RpcResult, gateways, rpc_endpoint, rpc_gateway};

    #[rpc_gateway]
    pub(crate) trait ClockGateway {
        fn leap(&self) -> Call<bool>;
        fn zone(&self) -> Call<u32>;
        fn now(&self) -> Call<u64>;
    }

    pub(crate) struct Clock;

    impl RpcEndpoint for Clock {
        type Gateways = gateways![ClockGateway];
    }

    #[rpc_endpoint(ClockGateway)]
    impl Clock {
        fn leap(&mut self) -> RpcResult<bool> {
            Ok(false)
        }

        fn zone(&mut self) -> RpcResult<u32> {
            Ok(1)
        }

        fn now(&mut self) -> RpcResult<u64> {
            Ok(42)
        }
    }
}

#[tokio::test]
async fn a_changed_method_is_refused_and_the_others_are_served() {
    let callee = pipes(RpcService::builder()).await;
    let caller = pipes(RpcService::builder()).await;
    let server = callee.start_server("clock", new::Clock).unwrap();
    server.start();
    let clock = caller
        .connect::<dyn old::ClockGateway>(&server.address())
        .await
        .unwrap();
    assert_eq!(clock.now().await, Ok(42));
    let error = clock.zone().await.unwrap_err();
    assert!(matches!(&error, RpcError::Incompatible { method } if method == "ClockGateway::zone"));
    assert_eq!(error.outcome(), Outcome::NotExecuted);
    let clock = caller
        .connect::<dyn new::ClockGateway>(&server.address())
        .await
        .unwrap();
    assert_eq!((clock.zone().await, clock.leap().await), (Ok(1), Ok(false)));
    assert_eq!(clock.now().await, Ok(42));
    caller.close().await.unwrap();
    callee.close().await.unwrap();
}
