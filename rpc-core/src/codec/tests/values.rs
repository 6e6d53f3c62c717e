//! What travels as an argument or a result.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{decode, encoded, round_trip};

// Flink: RpcSerializedValueTest#testNullValue
#[test]
fn nothing_takes_no_bytes() {
    let bytes = encoded(&());
    assert_eq!(bytes, b"");
    decode::<()>(&bytes).unwrap();
    decode::<()>(&[0]).unwrap_err();
}

// Flink: RpcSerializedValueTest#testNotNullValues
#[test]
fn every_other_value_takes_bytes_and_survives() {
    survives(&[true, false]);
    survives(&[i8::MIN, 0, 5, i8::MAX]);
    survives(&[i16::MIN, 0, 6, i16::MAX]);
    survives(&[i32::MIN, 0, 7, i32::MAX]);
    survives(&[i64::MIN, 0, 8, i64::MAX]);
    survives(&[i128::MIN, 0, 9, i128::MAX]);
    survives(&[0u128, 250, 251, 1 << 64, u128::MAX]);
    survives(&[0.0f32, 0.5, f32::MIN, f32::INFINITY]);
    survives(&[-0.0f64, 0.7, f64::MIN_POSITIVE, f64::NEG_INFINITY]);
    survives(&['\0', 'j', 'ä', '\u{10FFFF}']);
    survives(&["", "hello", "ä\0\u{10FFFF}"].map(String::from));
    survives(&[Duration::ZERO, Duration::MAX]);
    let moment = UNIX_EPOCH + Duration::new(1_700_000_000, 999_999_999);
    survives(&[UNIX_EPOCH, moment]);
    let map = BTreeMap::from([(1u8, vec![Some(true), None]), (2, Vec::new())]);
    survives(&[BTreeMap::new(), map]);
}

#[test]
fn what_is_not_a_number_stays_so() {
    let strange = f64::from_bits(0x7FF8_0000_DEAD_BEEF);
    assert_eq!(round_trip(&strange).to_bits(), strange.to_bits());
    assert!(round_trip(&-0.0f64).is_sign_negative());
}

fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(values: &[T]) {
    for value in values {
        assert!(!encoded(value).is_empty(), "{value:?} takes no bytes");
        assert_eq!(&round_trip(value), value);
    }
}
