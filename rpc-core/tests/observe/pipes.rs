//! A transport of in-memory pipes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use rpc_core::transport::{Connection, Listener, Stream, Transport, TransportError};
use rpc_core::{RpcService, RpcServiceBuilder};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Builds a service that others in this process can reach.
pub(crate) async fn build(builder: RpcServiceBuilder) -> RpcService {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("pipe-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    builder.transport(Pipes(name)).build().await.unwrap()
}

static LISTENERS: LazyLock<Mutex<HashMap<String, mpsc::Sender<DuplexStream>>>> =
    LazyLock::new(Mutex::default);

#[derive(Debug)]
struct Pipes(String);

#[async_trait]
impl Transport for Pipes {
    fn scheme(&self) -> &'static str {
        "pipe"
    }

    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError> {
        let (sender, accepted) = mpsc::channel(16);
        LISTENERS.lock().unwrap().insert(self.0.clone(), sender);
        Ok(Some(Box::new(Accepting(self.0.clone(), accepted))))
    }

    async fn connect(&self, authority: &str) -> Result<Arc<dyn Connection>, TransportError> {
        let listener = LISTENERS.lock().unwrap().get(authority).cloned();
        let listener = listener.ok_or_else(closed)?;
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        listener.send(theirs).await.map_err(|_| closed())?;
        Ok(Arc::new(Pipe(Mutex::new(Some(ours)))))
    }
}

#[derive(Debug)]
struct Accepting(String, mpsc::Receiver<DuplexStream>);

#[async_trait]
impl Listener for Accepting {
    fn authority(&self) -> String {
        self.0.clone()
    }

    async fn accept(&mut self) -> Result<Arc<dyn Connection>, TransportError> {
        let pipe = self.1.recv().await.ok_or_else(closed)?;
        Ok(Arc::new(Pipe(Mutex::new(Some(pipe)))))
    }
}

/// A connection of one stream.
#[derive(Debug)]
struct Pipe(Mutex<Option<DuplexStream>>);

impl Pipe {
    fn take(&self) -> Result<Stream, TransportError> {
        let pipe = self.0.lock().unwrap().take().ok_or_else(closed)?;
        let (reader, writer) = tokio::io::split(pipe);
        Ok(Stream::new(reader, writer))
    }
}

#[async_trait]
impl Connection for Pipe {
    fn peer(&self) -> String {
        String::from("a pipe")
    }

    async fn open_stream(&self) -> Result<Stream, TransportError> {
        self.take()
    }

    async fn accept_stream(&self) -> Result<Stream, TransportError> {
        self.take()
    }

    fn close(&self) {}
}

fn closed() -> TransportError {
    TransportError::Closed {
        peer: String::from("a pipe"),
    }
}
