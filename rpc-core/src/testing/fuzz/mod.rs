//! What the fuzzer runs: each target takes bytes as a hostile peer may send them, and panics if
//! they do harm.
//!
//! The targets are run over a kept corpus and over fixed mutations of it by the tests, and for as
//! long as one likes by the `fuzz` workspace beside this crate.

mod codec;
mod connection;
mod frame;
mod handshake;
mod mutate;
mod wire;

pub use self::codec::codec;
pub use self::connection::connection;
pub use self::frame::frame;
pub use self::handshake::handshake;
pub use self::mutate::mutate;

/// Something that hostile bytes are fed to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Feeds it these bytes; panics if they do harm.
    pub run: fn(&[u8]),
    /// Makes inputs that get far into it, with the layouts of this version.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "codec",
        run: codec,
        seeds: codec::seeds,
    },
    Target {
        name: "connection",
        run: connection,
        seeds: connection::seeds,
    },
    Target {
        name: "frame",
        run: frame,
        seeds: frame::seeds,
    },
    Target {
        name: "handshake",
        run: handshake,
        seeds: handshake::seeds,
    },
];

/// The longest input: what goes wrong with more goes wrong with less, and later.
const INPUT_BYTES_MAX: usize = 4 << 10;
