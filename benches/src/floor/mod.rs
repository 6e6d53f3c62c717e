//! Floors: the same questions by hand, on what a gateway stands on. No names, no deadlines, no errors,
//! no cancellation, no checksums.

mod channel;
mod copy;
mod multiplex;
mod ping_pong;
pub(crate) mod quic;
mod short_lived;
pub(crate) mod tcp;

pub use self::channel::{Bounded, Message, Unbounded};
pub use self::copy::{QUIC_COPY, TCP_COPY};
pub use self::multiplex::{Multiplex, QuicMultiplex, TcpMultiplex};
pub use self::ping_pong::{PingPong, QuicPingPong, TcpPingPong, TlsPingPong};
pub use self::quic::QuicStreams;
pub use self::short_lived::{ShortLivedTask, Spawner};
