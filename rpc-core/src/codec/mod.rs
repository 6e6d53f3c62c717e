//! Values to bytes and back; the only place that names bincode.
//!
//! bincode is finished but unmaintained, so everything that depends on it is here: it writes and reads
//! numbers and texts. What can nest is encoded by [`encoder`], no deeper than it may be decoded. What
//! has a length or can nest is decoded by [`decoder`], under limits that hold for every type, because
//! the bytes come from a peer:
//!
//! | limit | without it |
//! |---|---|
//! | no length exceeds the bytes that are there | nine bytes claim 2^40, and the allocation aborts the process |
//! | values are nested at most [`DEPTH_MAX`] levels deep | a recursive type overflows the stack |
//! | a value takes at most [`EXPANDED_FACTOR`] times its bytes | 1 MiB of small enum variants becomes 500 MiB |
//! | an element of size zero counts as one byte | 2^40 units are counted for hours |
//! | no bytes are left over | two versions of a message are taken for each other |

mod decoder;
mod encoder;
mod error;
mod input;
pub(crate) mod payload;

pub(crate) use self::error::CodecError;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::decoder::Decoder;
use self::encoder::{Encoder, Output};
use self::error::Reason;
use self::input::Input;

/// Appends the encoding of `value`.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    value.serialize(Encoder::new(&mut Output::new(out)))
}

/// Reads one value that takes all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut input = Input::new(bytes)?;
    let value = T::deserialize(Decoder::new::<T>(&mut input))?;
    input.finish()?;
    match payload::left() {
        0 => Ok(value),
        left => Err(Reason::LeftOver(left).into()),
    }
}

/// The codec's name in the handshake.
pub(crate) const CODEC_ID: u8 = 1;

const CONFIG: bincode::config::Configuration = bincode::config::standard();

/// No message is larger, whatever the limit of its frame.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// How deep values may be nested: each struct, tuple, sequence, map, option, newtype and enum is a
/// level. At some hundred bytes of stack for one it is far from a worker's 2 MiB. What is deeper is not
/// sent either.
const DEPTH_MAX: u32 = 128;

/// How many bytes of memory each byte of a message may become. An empty string or list, and an
/// option of one, takes 24 for one, and long lists of them are sent by honest peers.
const EXPANDED_FACTOR: usize = 32;

/// What a message may become in any case: short lists of large values that are mostly absent.
const EXPANDED_BYTES_MIN: usize = 64 << 10;

#[cfg(test)]
mod tests;
