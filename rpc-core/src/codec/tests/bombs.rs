//! Bytes that a hostile peer sends, and honest ones that look a little like them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{failure, round_trip};
use crate::codec::decoder::Decoder;
use crate::codec::input::Input;
use crate::codec::{DEPTH_MAX, MESSAGE_BYTES_MAX, decode, encode};

/// A variant of one byte takes as much memory as the largest one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "that is what is tested")]
enum Fat {
    Empty,
    Large([[u64; 16]; 4]),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Box<Self>),
    Nodes(Vec<Self>),
    Named {
        fat: Option<Box<Fat>>,
        next: Box<Self>,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(Option<Box<Self>>);

#[test]
fn a_huge_length_is_an_error_and_no_allocation() {
    for length in [u64::MAX, u64::MAX >> 1, 1 << 40, 256 << 20] {
        let bytes = claimed(length);
        let short = format!("{length} more bytes are announced, and 0 are left");
        assert_eq!(failure::<String>(&bytes), short);
        assert_eq!(failure::<Bytes>(&bytes), short);
        let expanded = "it expands to more than 65824 bytes, the limit for 9 encoded ones";
        assert_eq!(failure::<Vec<u8>>(&bytes), expanded);
        // Elements that take no bytes are counted too, and not one by one.
        assert_eq!(failure::<Vec<()>>(&bytes), expanded);
        assert_eq!(failure::<Vec<String>>(&bytes), expanded);
        assert_eq!(failure::<BTreeMap<u64, u64>>(&bytes), expanded);
        assert_eq!(failure::<HashMap<(), ()>>(&bytes), expanded);
    }
}

#[test]
fn no_more_is_reserved_than_there_are_bytes() {
    /// Fails with the number of elements that it was promised.
    struct Promised;

    impl<'de> Visitor<'de> for Promised {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a collection")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
            Err(A::Error::custom(format_args!("{:?}", elements.size_hint())))
        }

        fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
            Err(A::Error::custom(format_args!("{:?}", entries.size_hint())))
        }
    }

    let honest = [3, 0, 0, 0, 0, 0, 0];
    let bomb = [&claimed(1 << 40)[..], &[0; 5]].concat();
    for (bytes, hint) in [(&honest[..], "Some(3)"), (&bomb, "Some(5)")] {
        let mut input = Input::new(bytes).unwrap();
        let list = Decoder::new::<()>(&mut input).deserialize_seq(Promised);
        assert_eq!(list.unwrap_err().to_string(), hint);
        let mut input = Input::new(bytes).unwrap();
        let map = Decoder::new::<()>(&mut input).deserialize_map(Promised);
        assert_eq!(map.unwrap_err().to_string(), hint);
    }
}

#[test]
fn a_deep_value_is_an_error_and_no_stack_overflow() {
    // Less than the stack of a runtime's worker, which has frames of its own.
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let thread = thread.spawn(|| {
        let deep = format!("it is nested deeper than {DEPTH_MAX} levels");
        for (name, unit) in [
            ("node", &[1][..]),
            ("list of one", &[2, 1]),
            ("list of many", &[2, 250]),
            ("struct", &[3, 0]),
            ("struct with an option", &[3, 1, 0]),
        ] {
            let error = failure::<Tree>(&unit.repeat((1 << 20) / unit.len()));
            assert!(error.ends_with(&deep), "{name}: {error}");
            assert!(error.len() < 200, "{name}: {error}");
        }
        let error = failure::<Wrapped>(&vec![1; 1 << 20]);
        assert!(error.ends_with(&deep), "{error}");
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn a_value_may_be_as_deep_as_the_limit() {
    let depth_max = usize::try_from(DEPTH_MAX).unwrap();
    let nodes = |count| [vec![1; count], vec![0]].concat();
    decode::<Tree>(&nodes(depth_max - 1)).unwrap();
    failure::<Tree>(&nodes(depth_max));
}

#[test]
fn what_is_encoded_is_no_deeper_than_what_is_decoded() {
    type Grow = fn(Box<Tree>) -> Tree;
    let node: Grow = Tree::Node;
    let list: Grow = |next| Tree::Nodes(vec![*next]);
    let named: Grow = |next| Tree::Named { fat: None, next };
    // The leaf is a level, and so is the list in a node.
    for (grow, levels) in [(node, 1), (list, 2), (named, 1)] {
        let tree = |depth| (0..depth).fold(Tree::Leaf, |tree, _| grow(Box::new(tree)));
        let most = (DEPTH_MAX - 1) / levels;
        assert_eq!(round_trip(&tree(most)), tree(most));
        let error = encode(&tree(most + 1), &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "it is nested deeper than 128 levels");
    }
    let wrapped = |depth| {
        let outermost = Wrapped(None);
        (0..depth).fold(outermost, |inner, _| Wrapped(Some(Box::new(inner))))
    };
    let most = DEPTH_MAX / 2 - 1;
    assert_eq!(round_trip(&wrapped(most)), wrapped(most));
    encode(&wrapped(most + 1), &mut Vec::new()).unwrap_err();
}

#[test]
fn small_variants_of_a_large_type_are_paid_for() {
    let size = size_of::<Fat>();
    assert!(size > 500);
    // 1 MiB would become 513 MiB.
    let many = [&claimed(1 << 20)[..], &[0; 1 << 20]].concat();
    let expanded = "it expands to more than 33620256 bytes, the limit for 1048585 encoded ones";
    assert_eq!(failure::<Vec<Fat>>(&many), expanded);
    // In boxes they are paid for one by one.
    let error = failure::<Vec<Box<Fat>>>(&many);
    assert!(error.ends_with(expanded), "{error}");
    let error = failure::<Vec<Box<Option<Fat>>>>(&many);
    assert!(error.ends_with(expanded), "{error}");
    let error = failure::<BTreeMap<u8, Fat>>(&many);
    assert!(error.ends_with(expanded), "{error}");
    // A few are what a peer may well send.
    let few = vec![Fat::Empty; (64 << 10) / size];
    assert_eq!(round_trip(&few), few);
}

#[test]
fn the_limit_is_of_the_whole_message() {
    // Each list is within the limit, and all of them are not.
    let list = [&[200][..], &[0; 200]].concat();
    let lists = [&claimed(1_000)[..], &list.repeat(1_000)].concat();
    let error = failure::<Vec<Vec<Fat>>>(&lists);
    assert!(error.contains("it expands to more than"), "{error}");
}

#[test]
fn a_message_has_a_largest_size() {
    let bytes = vec![0; MESSAGE_BYTES_MAX + 1];
    assert_eq!(
        failure::<u8>(&bytes),
        "a message of 268435457 bytes is larger than the limit 268435456"
    );
}

#[test]
fn honest_values_are_within_the_limits() {
    let bytes = vec![7u8; 8 << 20];
    assert!(round_trip(&bytes) == bytes);
    let bytes = Bytes::from(bytes);
    assert!(round_trip(&bytes) == bytes);
    // Each takes one byte on the wire.
    let numbers = vec![3u64; 1 << 20];
    assert!(round_trip(&numbers) == numbers);
    let numbers = vec![3u128; 1 << 18];
    assert!(round_trip(&numbers) == numbers);
    let empty = vec![String::new(); 1 << 18];
    assert!(round_trip(&empty) == empty);
    let absent = vec![None::<Vec<u8>>; 1 << 18];
    assert!(round_trip(&absent) == absent);
    let units = vec![(); 1_000];
    assert_eq!(round_trip(&units), units);

    let lists: HashMap<String, Vec<Option<u64>>> = (0..1_000)
        .map(|it| (format!("key {it}"), vec![None, Some(it)]))
        .collect();
    assert!(round_trip(&lists) == lists);
    let maps: Vec<BTreeMap<u64, u64>> = vec![BTreeMap::from([(1, 1)]); 10_000];
    assert!(round_trip(&maps) == maps);

    let nested = Tree::Named {
        fat: Some(Box::new(Fat::Large([[u64::MAX; 16]; 4]))),
        next: Box::new(Tree::Nodes(vec![
            Tree::Leaf,
            Tree::Node(Box::new(Tree::Leaf)),
        ])),
    };
    assert_eq!(round_trip(&nested), nested);
}

/// A length that the bytes after it do not bear out, in nine bytes.
fn claimed(length: u64) -> Vec<u8> {
    [&[253][..], &length.to_le_bytes()].concat()
}
