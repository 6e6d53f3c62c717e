mod bombs;
mod golden;
mod values;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{decode, encode};

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
    assert_eq!(failure::<u64>(&bytes), "2 bytes are left over");
}

#[test]
fn bytes_that_are_missing_are_an_error() {
    let bytes = encoded(&(String::from("text"), 1u64 << 40));
    for length in 0..bytes.len() {
        decode::<(String, u64)>(&bytes[..length]).unwrap_err();
    }
    assert_eq!(
        failure::<(String, u64)>(&bytes[..3]),
        "0: 4 more bytes are announced, and 2 are left"
    );
}

#[test]
fn bytes_that_mean_nothing_are_an_error() {
    decode::<bool>(&[2]).unwrap_err();
    decode::<Result<u8, u8>>(&[2, 0]).unwrap_err();
    decode::<char>(&[0xFF]).unwrap_err();
    decode::<String>(&[1, 0xFF]).unwrap_err();
    // The mark of a number of 16 bytes, where 8 are the most.
    decode::<u64>(&[254, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap_err();
    let error = failure::<Vec<Option<u8>>>(&[2, 0, 3]);
    assert_eq!(error, "1: an option's tag is 0 or 1, and not 3");
}

#[test]
fn an_error_says_where_it_is() {
    #[derive(Debug, Serialize, serde::Deserialize)]
    struct Outer {
        number: u64,
        inner: Vec<(u8, Inner)>,
    }
    #[derive(Debug, Serialize, serde::Deserialize)]
    enum Inner {
        Flag { on: bool },
    }
    let outer = Outer {
        number: 1,
        inner: vec![(0, Inner::Flag { on: true }), (0, Inner::Flag { on: true })],
    };
    let mut bytes = encoded(&outer);
    *bytes.last_mut().unwrap() = 7;
    let error = failure::<Outer>(&bytes);
    assert!(error.starts_with("inner[1][1].on: "), "{error}");
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

fn encoded<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes).unwrap();
    bytes
}

fn round_trip<T: Serialize + DeserializeOwned>(value: &T) -> T {
    decode(&encoded(value)).unwrap()
}

/// Why these bytes are no `T`.
fn failure<T: DeserializeOwned>(bytes: &[u8]) -> String {
    match decode::<T>(bytes) {
        Ok(_) => panic!("{} bytes are a value", bytes.len()),
        Err(error) => error.to_string(),
    }
}
