//! A transport of in-memory pipes.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use rpc_core::transport::{Connection, Listener, Stream, Transport, TransportError};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Who listens, by name.
static LISTENERS: LazyLock<Mutex<HashMap<String, mpsc::Sender<DuplexStream>>>> =
    LazyLock::new(Mutex::default);

/// Connects services of this process by in-memory pipes, one for each stream.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) scheme: &'static str,
    /// Where it is reached.
    pub(crate) name: String,
    /// Where it says that it is reached, if that is elsewhere.
    pub(crate) advertised: Option<String>,
}

#[async_trait]
impl Transport for Pipes {
    fn scheme(&self) -> &'static str {
        self.scheme
    }

    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError> {
        let (sender, accepted) = mpsc::channel(16);
        let mut listeners = LISTENERS.lock().unwrap();
        let name = self.advertised.clone().unwrap_or_else(|| self.name.clone());
        // Whoever is in between leads from the one name to the other.
        listeners.insert(name.clone(), sender.clone());
        listeners.insert(self.name.clone(), sender);
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
