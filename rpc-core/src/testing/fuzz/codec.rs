//! Messages of every shape, made of any bytes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::connection::{Resolve, Resolved};
use crate::error::{Failure, RpcError};
use crate::fencing::FencingToken;
use crate::testing::ProbeError;

/// A type that nests in every way, and whose smallest variant is far smaller than its largest.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "that is what is tested")]
enum Tree {
    Leaf,
    Large([[u64; 8]; 8]),
    Node(Box<Self>),
    Nodes(Vec<Self>),
    Map(BTreeMap<u8, Self>),
    Named {
        next: Option<Box<Self>>,
        #[expect(clippy::vec_box, reason = "so is that")]
        boxed: Vec<Box<Self>>,
    },
}

type Plain = (
    (bool, char, u8, i8, u16, i16),
    (u32, i32, u64, i64, u128, i128),
    (f32, f64, (), [u8; 3], Option<u64>, Duration),
);

type Heartbeat = (String, Vec<(String, u64, Option<Duration>)>, Bytes);

/// Decodes the bytes as each type, and what can be decoded once more.
pub fn codec(data: &[u8]) {
    survives::<RpcError>(data);
    survives::<RpcError<ProbeError>>(data);
    survives::<Resolve>(data);
    survives::<Resolved>(data);
    survives::<Tree>(data);
    survives::<Plain>(data);
    survives::<Heartbeat>(data);
    survives::<BTreeMap<String, Vec<Option<u64>>>>(data);
    survives::<Vec<(u8, BTreeMap<u16, [u64; 4]>)>>(data);
    survives::<Vec<()>>(data);
    survives::<Vec<Option<Box<[u64; 32]>>>>(data);
    // The order in which it is encoded is not always the same.
    let _ = codec::decode::<HashMap<u32, HashMap<String, Bytes>>>(data);
}

fn survives<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(value) = codec::decode::<T>(data) else {
        return;
    };
    let first = encoded(&value);
    match codec::decode::<T>(&first) {
        Ok(again) => assert_eq!(encoded(&again), first),
        // Numbers may be written longer than they need to be, and a longer message may expand more.
        Err(error) => assert!(first.len() < data.len(), "{error}"),
    }
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(value, &mut bytes).expect("what was decoded can be encoded");
    bytes
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let failed =
        RpcError::<ProbeError>::Failed(Failure::from_texts(["outer", "inner"].map(String::from)));
    let refused = RpcError::App(ProbeError::Refused {
        why: String::from("it is late"),
    });
    let timeout = RpcError::<ProbeError>::Timeout {
        method: String::from("Gateway::method"),
        after: Duration::from_millis(1_500),
    };
    let fenced = RpcError::<ProbeError>::Fenced {
        expected: None,
        got: Some(FencingToken::new(1)),
    };
    let mut seeds: Vec<_> = [failed, refused, timeout, fenced]
        .iter()
        .map(encoded)
        .collect();
    let tree = Tree::Named {
        next: Some(Box::new(Tree::Node(Box::new(Tree::Large([[1; 8]; 8]))))),
        boxed: vec![
            Box::new(Tree::Leaf),
            Box::new(Tree::Map(BTreeMap::from([(
                1,
                Tree::Nodes(vec![Tree::Leaf, Tree::Leaf]),
            )]))),
        ],
    };
    seeds.push(encoded(&tree));
    seeds.push([&[2; 200][..], &[0]].concat());
    seeds.push([3, 255].repeat(200));
    let plain: Plain = (
        (true, 'ä', 1, -1, 300, -300),
        (1 << 20, -9, 1 << 40, -9, 1 << 100, i128::MIN),
        (1.5, -0.5, (), [1, 2, 3], Some(9), Duration::MAX),
    );
    seeds.push(encoded(&plain));
    let slot = (String::from("slot"), 9u64, Some(Duration::from_secs(1)));
    let beat: Heartbeat = (
        String::from("tm"),
        vec![slot; 3],
        Bytes::from_static(b"any"),
    );
    seeds.push(encoded(&beat));
    let map = BTreeMap::from([(String::from("key"), vec![None, Some(300u64)])]);
    seeds.push(encoded(&map));
    let maps = vec![(1u8, BTreeMap::from([(2u16, [3u64; 4])])); 2];
    seeds.push(encoded(&maps));
    seeds.push(encoded(&vec![None, Some(Box::new([1u64; 32]))]));
    seeds.push(encoded(&Resolve {
        endpoint: String::from("endpoint"),
        gateway: String::from("Gateway"),
        methods: vec![1, u64::MAX],
    }));
    // What claims far more than there is.
    for length in [1u64 << 16, 1 << 40, u64::MAX] {
        seeds.push([&[253][..], &length.to_le_bytes()].concat());
    }
    seeds
}
