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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::{CodecError, decode, encode};

    #[test]
    fn values_survive_the_round_trip() {
        assert_eq!(round_trip(&()), ());
        assert_eq!(round_trip(&u64::MAX), u64::MAX);
        assert_eq!(round_trip(&i128::MIN), i128::MIN);
        assert_eq!(round_trip(&String::from("ä\0")), "ä\0");
        let map = BTreeMap::from([(1u8, vec![Some(true), None]), (2, Vec::new())]);
        assert_eq!(round_trip(&map), map);
    }

    #[test]
    fn what_is_encoded_is_appended() {
        let mut bytes = vec![9];
        encode("ab", &mut bytes).unwrap();
        assert_eq!(bytes, b"\x09\x02ab");
    }

    #[test]
    fn bytes_that_are_left_over_are_an_error() {
        let mut bytes = encoded(&7u64);
        bytes.extend([0, 0]);
        let error = decode::<u64>(&bytes).unwrap_err();
        assert_eq!(error, CodecError(String::from("2 bytes are left over")));
    }

    #[test]
    fn bytes_that_are_missing_are_an_error() {
        let bytes = encoded(&(String::from("text"), 1u64 << 40));
        for length in 0..bytes.len() {
            decode::<(String, u64)>(&bytes[..length]).unwrap_err();
        }
    }

    #[test]
    fn a_huge_length_is_an_error_and_no_allocation() {
        for length in [u64::MAX, u64::MAX >> 1, 1 << 40, 256 << 20] {
            let bytes = [&[253][..], &length.to_le_bytes()].concat();
            assert_eq!(bytes.len(), 9);
            decode::<Vec<u8>>(&bytes).unwrap_err();
            decode::<Vec<String>>(&bytes).unwrap_err();
            decode::<String>(&bytes).unwrap_err();
            decode::<BTreeMap<u64, u64>>(&bytes).unwrap_err();
        }
    }

    #[test]
    fn garbage_is_an_error_or_a_value_and_no_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..10_000 {
            let length = random.usize(..32);
            let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                .take(length)
                .collect();
            if let Ok(value) = decode::<Vec<(Option<String>, bool, u32)>>(&bytes) {
                assert!(encoded(&value).len() <= bytes.len());
            }
        }
    }

    fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(value, &mut bytes).unwrap();
        bytes
    }

    fn round_trip<T: Serialize + DeserializeOwned>(value: &T) -> T {
        decode(&encoded(value)).unwrap()
    }
}
