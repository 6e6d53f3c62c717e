//! Floors: the same question by hand, on what a gateway stands on. No names, no deadlines, no
//! errors, no cancellation.

mod channel;
mod pipe;
mod quic;
mod stream;
mod tcp;
mod tls;

pub use self::channel::{Bounded, Unbounded};
pub use self::pipe::pipe;
pub use self::quic::quic;
pub use self::stream::Pipelined;
pub use self::tcp::tcp;
pub use self::tls::tls;
