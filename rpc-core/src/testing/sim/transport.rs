use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use super::end::Phase;
use super::faults::{ListenError, Standing};
use super::network::SimNetwork;
use super::node::SimNode;
use super::stream::Half;
use super::world::{EndId, Interest};
use crate::transport::{Connection, Listener, Stream, Transport, TransportError};

/// The transport of `sim` addresses, made by a [`SimNode`].
///
/// A node listens by its name, `sim://name`, for one service at a time.
#[derive(Clone, Debug)]
pub struct SimTransport {
    node: SimNode,
}

impl SimTransport {
    pub(super) const fn new(node: SimNode) -> Self {
        Self { node }
    }
}

#[async_trait]
impl Transport for SimTransport {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError> {
        let name = self.node.name();
        if name.is_empty() || name.contains('/') {
            return Err(TransportError::Address {
                scheme: SCHEME,
                authority: name.to_owned(),
                reason: "a name is not empty and has no `/`".to_owned(),
            });
        }
        let (id, incarnation) = self.node.process();
        let network = self.node.network();
        network.start();
        let listens = network.with(|world, now| world.listen(now, id, incarnation));
        let kind = match listens {
            Ok(()) => {
                let node = self.node.clone();
                return Ok(Some(Box::new(SimListener { node })));
            }
            Err(ListenError::Taken) => io::ErrorKind::AddrInUse,
            Err(ListenError::Crashed) => io::ErrorKind::NetworkDown,
        };
        Err(TransportError::Bind {
            scheme: SCHEME,
            authority: name.to_owned(),
            source: io::Error::from(kind).into(),
        })
    }

    async fn connect(&self, authority: &str) -> Result<Arc<dyn Connection>, TransportError> {
        let failed = |kind: io::ErrorKind| TransportError::Connect {
            scheme: SCHEME,
            authority: authority.to_owned(),
            source: io::Error::from(kind).into(),
        };
        let (from, incarnation) = self.node.process();
        let network = self.node.network();
        network.start();
        let dialled = network.with(|world, now| {
            if world.standing(from, incarnation) == Standing::Crashed {
                return Err(io::ErrorKind::NetworkDown);
            }
            let to = world.find(&authority.to_ascii_lowercase());
            let to = to.ok_or(io::ErrorKind::HostUnreachable)?;
            Ok((world.connect(now, from, to), world.nodes[to].name.clone()))
        });
        let (end, peer) = dialled.map_err(failed)?;
        // From here on, dropping it gives the attempt up.
        let connection = SimConnection {
            network: network.clone(),
            end,
            peer: peer.to_string(),
        };
        let answer = poll_fn(|cx| {
            network.poll(cx, Interest::Dial(end), |world, _| {
                let phase = world.end_mut(end).map(|it| it.phase);
                match phase {
                    _ if world.is_paused(end) => Poll::Pending,
                    Some(Phase::Live) => Poll::Ready(Ok(())),
                    Some(Phase::Dialling) => Poll::Pending,
                    Some(Phase::Dead(kind)) => Poll::Ready(Err(kind)),
                    Some(Phase::Idle) | None => Poll::Ready(Err(io::ErrorKind::NotConnected)),
                }
            })
        });
        answer.await.map_err(failed)?;
        Ok(Arc::new(connection))
    }
}

#[derive(Debug)]
struct SimListener {
    node: SimNode,
}

#[async_trait]
impl Listener for SimListener {
    fn authority(&self) -> String {
        self.node.name().to_owned()
    }

    async fn accept(&mut self) -> Result<Arc<dyn Connection>, TransportError> {
        let (id, incarnation) = self.node.process();
        let network = self.node.network();
        let accepted = poll_fn(|cx| {
            network.poll(cx, Interest::Accept(id), |world, _| {
                let end = std::task::ready!(world.accept(id, incarnation));
                Poll::Ready(end.map(|it| (it, world.peer_name(it))))
            })
        });
        match accepted.await {
            Some((end, peer)) => Ok(Arc::new(SimConnection {
                network: network.clone(),
                end,
                peer,
            })),
            None => Err(TransportError::Closed {
                peer: self.node.name().to_owned(),
            }),
        }
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let (id, incarnation) = self.node.process();
        self.node.network().with(|world, now| {
            if world.standing(id, incarnation) != Standing::Crashed {
                world.unlisten(now, id);
            }
        });
    }
}

#[derive(Debug)]
struct SimConnection {
    network: SimNetwork,
    end: EndId,
    peer: String,
}

impl SimConnection {
    fn closed(&self) -> TransportError {
        TransportError::Closed {
            peer: self.peer.clone(),
        }
    }

    /// Makes the halves of a stream, for which the network counts two handles already.
    fn stream(&self, stream: u64) -> Stream {
        let half = |half| SimHalf {
            network: self.network.clone(),
            end: self.end,
            stream,
            half,
        };
        Stream::new(SimReader(half(Half::Reader)), SimWriter(half(Half::Writer)))
    }
}

#[async_trait]
impl Connection for SimConnection {
    fn peer(&self) -> String {
        self.peer.clone()
    }

    async fn open_stream(&self) -> Result<Stream, TransportError> {
        let stream = self.network.with(|world, _| world.open_stream(self.end));
        stream
            .map(|it| self.stream(it))
            .ok_or_else(|| self.closed())
    }

    async fn accept_stream(&self) -> Result<Stream, TransportError> {
        let accepted = poll_fn(|cx| {
            let interest = Interest::Streams(self.end);
            let poll = self
                .network
                .poll(cx, interest, |world, _| world.accept_stream(self.end));
            poll.map(|it| it.map(|stream| self.stream(stream)))
        });
        accepted.await.ok_or_else(|| self.closed())
    }

    fn close(&self) {
        self.network.with(|world, now| world.close(now, self.end));
    }
}

impl Drop for SimConnection {
    fn drop(&mut self) {
        self.network.with(|world, now| world.release(now, self.end));
    }
}

struct SimHalf {
    network: SimNetwork,
    end: EndId,
    stream: u64,
    half: Half,
}

impl Drop for SimHalf {
    fn drop(&mut self) {
        self.network
            .with(|world, now| world.release_half(now, self.end, self.stream, self.half));
    }
}

struct SimReader(SimHalf);

impl AsyncRead for SimReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let progress = ready!(coop::poll_proceed(cx));
        let SimHalf {
            network,
            end,
            stream,
            ..
        } = &self.0;
        let count = ready!(
            network.poll(cx, Interest::Read(*end, *stream), |world, now| {
                world.read(now, *end, *stream, into.initialize_unfilled())
            })
        )?;
        progress.made_progress();
        into.advance(count);
        Poll::Ready(Ok(()))
    }
}

struct SimWriter(SimHalf);

impl AsyncWrite for SimWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = ready!(coop::poll_proceed(cx));
        let SimHalf {
            network,
            end,
            stream,
            ..
        } = &self.0;
        let count = ready!(
            network.poll(cx, Interest::Write(*end, *stream), |world, now| {
                world.write(now, *end, *stream, bytes)
            })
        )?;
        progress.made_progress();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let SimHalf {
            network,
            end,
            stream,
            ..
        } = &self.0;
        network.with(|world, now| world.finish(now, *end, *stream));
        Poll::Ready(Ok(()))
    }
}

pub(super) const SCHEME: &str = "sim";
