//! The network alone, without tasks and clock.

mod faults;
mod processes;
mod random;
mod streams;

use std::io;
use std::ops::RangeInclusive;
use std::task::Poll;
use std::time::Duration;

use super::config::SimConfig;
use super::end::Phase;
use super::world::{EndId, NodeId, World};

const A: NodeId = 0;
const B: NodeId = 1;

/// Two nodes, of which both listen, and the time.
struct Net {
    world: World,
    now: Duration,
}

impl Net {
    /// Makes a network on which each segment is 10 ms under way.
    fn new() -> Self {
        Self::with_latency(ms(10)..=ms(10))
    }

    fn with_latency(latency: RangeInclusive<Duration>) -> Self {
        let config = SimConfig {
            latency,
            window_bytes: 100,
            accept_backlog: 2,
            ..SimConfig::seeded(7)
        };
        let mut world = World::new(config);
        for (node, name) in [(A, "a"), (B, "b")] {
            assert_eq!(world.add_node(name), node);
            world.listen(ms(0), node, 1).unwrap();
        }
        Self { world, now: ms(0) }
    }

    fn pass(&mut self, millis: u64) {
        self.now += ms(millis);
        self.world.advance(self.now);
    }

    fn dial(&mut self) -> EndId {
        self.world.connect(self.now, A, B)
    }

    fn phase(&mut self, end: EndId) -> Phase {
        self.world.end_mut(end).unwrap().phase
    }

    fn accept(&mut self) -> Option<EndId> {
        match self.world.accept(B, self.world.nodes[B].incarnation) {
            Poll::Ready(end) => Some(end.expect("the node runs")),
            Poll::Pending => None,
        }
    }

    /// Connects the nodes by a stream that both know.
    fn connect(&mut self) -> (Socket, Socket) {
        let end = self.dial();
        let far = 3 * *self.world.config.latency.end();
        self.now += far;
        self.world.advance(self.now);
        let accepted = self.accept().expect("it was dialled");
        let stream = self.world.open_stream(end).expect("it is open");
        let ours = Socket { end, stream };
        assert_eq!(self.write(ours, b"hello"), Poll::Ready(Ok(5)));
        self.now += far;
        self.world.advance(self.now);
        assert_eq!(
            self.world.accept_stream(accepted),
            Poll::Ready(Some(stream))
        );
        let theirs = Socket {
            end: accepted,
            stream,
        };
        assert_eq!(self.read(theirs), Poll::Ready(Ok(b"hello".to_vec())));
        (ours, theirs)
    }

    fn write(&mut self, socket: Socket, bytes: &[u8]) -> Poll<Result<usize, io::ErrorKind>> {
        let written = self.world.write(self.now, socket.end, socket.stream, bytes);
        self.world.advance(self.now);
        written.map_err(|error| error.kind())
    }

    /// Reads all that is there, which may be nothing more for ever.
    fn read(&mut self, socket: Socket) -> Poll<Result<Vec<u8>, io::ErrorKind>> {
        let mut into = [0; 1000];
        let read = self
            .world
            .read(self.now, socket.end, socket.stream, &mut into);
        self.world.advance(self.now);
        read.map_ok(|count| into[..count].to_vec())
            .map_err(|error| error.kind())
    }

    fn reads(&mut self, socket: Socket, expected: &[u8]) {
        assert_eq!(self.read(socket), Poll::Ready(Ok(expected.to_vec())));
    }

    fn fails(&mut self, socket: Socket, expected: io::ErrorKind) {
        assert_eq!(self.read(socket), Poll::Ready(Err(expected)));
        assert_eq!(self.write(socket, b"x"), Poll::Ready(Err(expected)));
    }

    fn partition(&mut self) {
        self.world.cut(self.now, (A, B));
        self.world.cut(self.now, (B, A));
    }

    /// Drops all that the processes hold of a connection of one stream.
    fn drop_both(&mut self, sockets: (Socket, Socket)) {
        use super::stream::Half;
        for Socket { end, stream } in [sockets.0, sockets.1] {
            for half in [Half::Reader, Half::Writer] {
                self.world.release_half(self.now, end, stream, half);
            }
            self.world.release(self.now, end);
        }
    }
}

/// One side of a stream.
#[derive(Clone, Copy)]
struct Socket {
    end: EndId,
    stream: u64,
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
