//! Values to bytes and back; the only file that names bincode.
//!
//! bincode is finished but unmaintained, so everything that depends on it is here. Bytes are decoded
//! under a limit (without one, nine bytes that claim a huge length abort the process), and bytes
//! that are left over are an error.

use bytes::BufMut;
use bytes::buf::Writer;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Appends the encoding of `value`.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    out: &mut impl BufMut,
) -> Result<(), CodecError> {
    let mut writer: Writer<&mut _> = out.writer();
    bincode::serde::encode_into_std_write(value, &mut writer, CONFIG)
        .map_err(|error| CodecError(error.to_string()))?;
    Ok(())
}

/// Reads one value that takes all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, CONFIG)
        .map_err(|error| CodecError(error.to_string()))?;
    match bytes.len() - used {
        0 => Ok(value),
        rest => Err(CodecError(format!("{rest} bytes are left over"))),
    }
}

/// What cannot be encoded or decoded, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CodecError(String);

/// The codec's name in the handshake.
pub(crate) const CODEC_ID: u8 = 1;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<DECODED_BYTES_MAX>,
> = bincode::config::standard().with_limit::<DECODED_BYTES_MAX>();

/// What the lengths in one message may claim in all; no frame is larger.
const DECODED_BYTES_MAX: usize = 256 << 20;
