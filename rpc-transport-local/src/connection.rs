use std::sync::{Arc, Weak};

use async_trait::async_trait;
use parking_lot::Mutex;
use rpc_core::transport::{Connection, Stream, TransportError};
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};

use crate::config::LocalConfig;
use crate::pipe::{Pipe, PipeReader, PipeWriter};

/// One side of a connection.
#[derive(Debug)]
pub(crate) struct LocalConnection {
    peer: String,
    pipe_bytes: usize,
    opened: mpsc::Sender<Stream>,
    accepted: AsyncMutex<mpsc::Receiver<Stream>>,
    link: Arc<Link>,
}

impl LocalConnection {
    /// Makes the dialler's side and the side of the one who is dialled.
    pub(crate) fn pair(dialler: &str, dialled: &str, config: &LocalConfig) -> (Self, Self) {
        let link = Arc::new(Link::default());
        let (to_dialled, from_dialler) = mpsc::channel(config.stream_backlog.max(1));
        let (to_dialler, from_dialled) = mpsc::channel(config.stream_backlog.max(1));
        let side = |peer: &str, opened, accepted| Self {
            peer: peer.to_owned(),
            pipe_bytes: config.pipe_bytes.max(1),
            opened,
            accepted: AsyncMutex::new(accepted),
            link: Arc::clone(&link),
        };
        (
            side(dialled, to_dialled, from_dialled),
            side(dialler, to_dialler, from_dialler),
        )
    }

    fn closed(&self) -> TransportError {
        TransportError::Closed {
            peer: self.peer.clone(),
        }
    }
}

#[async_trait]
impl Connection for LocalConnection {
    fn peer(&self) -> String {
        self.peer.clone()
    }

    async fn open_stream(&self) -> Result<Stream, TransportError> {
        let room = tokio::select! {
            biased;
            () = self.link.closed() => return Err(self.closed()),
            room = self.opened.reserve() => room.map_err(|_dropped| self.closed())?,
        };
        let there = Arc::new(Pipe::new(self.pipe_bytes));
        let back = Arc::new(Pipe::new(self.pipe_bytes));
        if !self.link.carry([&there, &back]) {
            return Err(self.closed());
        }
        room.send(Stream::new(
            PipeReader::new(Arc::clone(&there)),
            PipeWriter::new(Arc::clone(&back)),
        ));
        Ok(Stream::new(PipeReader::new(back), PipeWriter::new(there)))
    }

    async fn accept_stream(&self) -> Result<Stream, TransportError> {
        let next = async { self.accepted.lock().await.recv().await };
        tokio::select! {
            biased;
            () = self.link.closed() => Err(self.closed()),
            stream = next => stream.ok_or_else(|| self.closed()),
        }
    }

    fn close(&self) {
        self.link.close();
    }
}

/// What the two sides of a connection have in common.
#[derive(Debug, Default)]
struct Link {
    closed: watch::Sender<bool>,
    pipes: Mutex<Pipes>,
}

#[derive(Debug, Default)]
struct Pipes {
    live: Vec<Weak<Pipe>>,
    /// At which length the list is rid of the dead: when it has doubled, so that many streams one
    /// after the other neither pile up nor make each opening walk the list.
    sweep_at: usize,
}

impl Link {
    async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        // It fails only once the sender is dropped, which `self` owns.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Takes on the pipes of a new stream, unless the connection is closed.
    fn carry(&self, pipes: [&Arc<Pipe>; 2]) -> bool {
        let mut carried = self.pipes.lock();
        if *self.closed.borrow() {
            return false;
        }
        if carried.live.len() >= carried.sweep_at {
            carried.live.retain(|pipe| pipe.strong_count() > 0);
            carried.sweep_at = (carried.live.len() * 2).max(SWEEP_AT_MIN);
        }
        carried.live.extend(pipes.map(Arc::downgrade));
        true
    }

    fn close(&self) {
        let live = {
            // Under the lock, so that no stream is taken on after its connection was closed.
            let mut carried = self.pipes.lock();
            self.closed.send_replace(true);
            std::mem::take(&mut carried.live)
        };
        for pipe in live.iter().filter_map(Weak::upgrade) {
            pipe.end();
        }
    }
}

const SWEEP_AT_MIN: usize = 16;
