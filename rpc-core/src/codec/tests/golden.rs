//! The bytes of each shape of value: whatever codec comes after this one has to write the same.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{decode, encoded};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Newtype(u64);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pair(u8, String);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Named {
    id: u64,
    tags: Vec<String>,
    parent: Option<Box<Self>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    Newtype(u64),
    Tuple(u8, bool),
    Struct { name: String },
}

#[test]
fn numbers_have_these_bytes() {
    golden(&false, "00");
    golden(&true, "01");
    golden(&0xFEu8, "fe");
    golden(&-2i8, "fe");
    // Up to 250 in one byte, then behind a mark of their width.
    golden(&250u16, "fa");
    golden(&251u16, "fbfb00");
    golden(&u16::MAX, "fbffff");
    golden(&251u32, "fbfb00");
    golden(&0x0001_0000u32, "fc00000100");
    golden(&7u64, "07");
    golden(&0x0102_0304_0506_0708u64, "fd0807060504030201");
    golden(&u64::MAX, "fdffffffffffffffff");
    golden(&(1u128 << 64), "fe00000000000000000100000000000000");
    golden(&u128::MAX, "feffffffffffffffffffffffffffffffff");
    golden(&7usize, "07");
    // Signed numbers alternate: 0, -1, 1, -2, ..
    golden(&-1i16, "01");
    golden(&1i32, "02");
    golden(&-2i64, "03");
    golden(&i16::MIN, "fbffff");
    golden(&i32::MAX, "fcfeffffff");
    golden(&i64::MIN, "fdffffffffffffffff");
    golden(&i128::MIN, "feffffffffffffffffffffffffffffffff");
    golden(&1.5f32, "0000c03f");
    golden(&-0.25f64, "000000000000d0bf");
}

#[test]
fn texts_and_buffers_have_these_bytes() {
    golden(&'a', "61");
    golden(&'ä', "c3a4");
    golden(&'😀', "f09f9880");
    golden(&String::new(), "00");
    golden(&String::from("hello"), "0568656c6c6f");
    golden(&String::from("ä\0"), "03c3a400");
    golden(&vec![1u8, 2, 255], "030102ff");
    golden(&Bytes::from_static(&[1, 2, 255]), "030102ff");
}

#[test]
fn collections_have_these_bytes() {
    golden(&None::<u8>, "00");
    golden(&Some(7u8), "0107");
    golden(&Some(None::<u8>), "0100");
    golden(&Vec::<u64>::new(), "00");
    golden(&vec![1u64, 251], "0201fbfb00");
    golden(&vec![vec![true], vec![]], "02010100");
    golden(&vec![(); 3], "03");
    golden(&BTreeMap::from([(1u8, "a".to_owned())]), "01010161");
    golden(&BTreeMap::from([(2u64, 1i8), (1, -1)]), "0201ff0201");
    golden(&[1u8, 2, 3], "010203");
    golden(&(1u8, 2u64, "x".to_owned()), "01020178");
    golden(&(), "");
}

#[test]
fn structs_and_enums_have_these_bytes() {
    golden(&Unit, "");
    golden(&Newtype(9), "09");
    golden(&Pair(1, "a".to_owned()), "010161");
    let parent = Named {
        id: 1,
        tags: Vec::new(),
        parent: None,
    };
    golden(&parent, "010000");
    let named = Named {
        id: 2,
        tags: vec!["a".to_owned()],
        parent: Some(Box::new(parent)),
    };
    golden(&named, "0201016101010000");
    golden(&Shape::Unit, "00");
    golden(&Shape::Newtype(5), "0105");
    golden(&Shape::Tuple(5, true), "020501");
    let name = "n".to_owned();
    golden(&Shape::Struct { name }, "03016e");
    golden(&Ok::<u8, u8>(1), "0001");
    golden(&Err::<u8, u8>(1), "0101");
}

#[test]
fn times_and_addresses_have_these_bytes() {
    golden(&Duration::new(1, 5), "0105");
    golden(&Duration::MAX, "fdfffffffffffffffffcffc99a3b");
    let time = std::time::UNIX_EPOCH + Duration::new(300, 0);
    golden(&time, "fb2c0100");
    let address: std::net::SocketAddr = "127.0.0.1:443".parse().unwrap();
    golden(&address, "007f000001fbbb01");
}

#[track_caller]
fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, hex: &str) {
    let bytes = encoded(value);
    let text: String = bytes.iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!(text, hex, "{value:?}");
    assert_eq!(&decode::<T>(&bytes).unwrap(), value);
    // What bincode itself reads is the same.
    let config = bincode::config::standard();
    let read = bincode::serde::decode_from_slice(&bytes, config).unwrap();
    assert_eq!(read, (decode::<T>(&bytes).unwrap(), bytes.len()));
}
