use std::error::Error;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::failure::{CHAIN_MAX, TEXT_BYTES_MAX};
use super::{AppError, EndpointError, Failure, Never, Outcome, RpcError};
use crate::codec;
use crate::fencing::FencingToken;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("job {0} is known already")]
struct Duplicate(u64);

impl AppError for Duplicate {}

#[test]
fn the_chain_of_a_failure_survives_the_wire() {
    let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
    let connect = crate::transport::TransportError::Connect {
        scheme: "tcp",
        authority: String::from("host:1"),
        source: refused.into(),
    };
    let sent = RpcError::<Never>::failed(&connect);
    let received: RpcError = round_trip(&sent);
    assert_eq!(received, sent);
    assert_eq!(
        chain(&received),
        ["cannot connect to tcp://host:1", "refused"]
    );
    assert_eq!(chain(&received), chain(&connect));
}

#[test]
fn every_kind_survives_the_wire() {
    for error in kinds() {
        assert_eq!(round_trip(&error), error);
    }
    let refusal = RpcError::App(Duplicate(7));
    assert_eq!(round_trip(&refusal), refusal);
}

#[test]
fn a_kind_has_these_bytes() {
    for (index, error) in (1..).zip(kinds()) {
        assert_eq!(encoded(&error)[0], index, "{error}");
    }
    let app = RpcError::App(Duplicate(5));
    assert_eq!(encoded(&app)[..], [0, 5]);
    let fenced = RpcError::<Never>::Fenced {
        expected: Some(FencingToken::new(9)),
        got: None,
    };
    assert_eq!(encoded(&fenced)[..], [4, 1, 9, 0]);
    let failed = RpcError::<Never>::Failed(Failure::from_texts(["a".into(), "b".into()]));
    assert_eq!(encoded(&failed)[..], *b"\x03\x02\x01a\x01b");
}

#[test]
fn texts_are_limited_also_those_of_a_peer() {
    // The limit falls into a character.
    let long = format!("x{}", "é".repeat(TEXT_BYTES_MAX));
    let failure = Failure::message(&long);
    let text = failure.to_string();
    assert_eq!(text.len(), TEXT_BYTES_MAX - 1 + "…".len());
    assert!(long.starts_with(text.trim_end_matches('…')));
    let fits = "x".repeat(TEXT_BYTES_MAX);
    assert_eq!(Failure::message(&fits).to_string(), fits);

    let texts: Vec<String> = (0..1_000).map(|it| it.to_string()).collect();
    assert_eq!(
        Failure::from_texts(texts.clone()).texts(),
        texts[..CHAIN_MAX]
    );
    let received: Failure = codec::decode(&encoded(&texts)).unwrap();
    assert_eq!(received.texts(), texts[..CHAIN_MAX]);
    let received: Failure = codec::decode(&encoded(&vec![long])).unwrap();
    assert_eq!(received, failure);
}

#[test]
fn a_failure_always_has_a_text() {
    let none: Failure = codec::decode(&encoded(&Vec::<String>::new())).unwrap();
    assert_eq!(none.to_string(), "unknown failure");
    assert!(none.source().is_none());
}

#[test]
fn what_only_the_runtime_says_of_a_call_is_not_said_by_its_handler() {
    for error in kinds() {
        let answer = error.clone().into_answer();
        if let RpcError::Failed(_) = error {
            assert_eq!(answer, error);
        } else {
            // The caller would take the inner call's time-out for its own.
            assert_eq!(answer, RpcError::failed(&error));
        }
        assert_eq!(answer.outcome(), Outcome::Executed);
    }
    let refusal = RpcError::App(Duplicate(7));
    assert_eq!(refusal.clone().into_answer(), refusal);
}

#[test]
fn a_nested_failure_is_wrapped_once() {
    let inner = RpcError::<Never>::failed(&EndpointError::Stop {
        endpoint: String::from("e"),
        source: Failure::message("disk full"),
    });
    let outer: RpcError<Duplicate> = inner.clone().into();
    assert_eq!(chain(&outer), chain(&inner));
    let refused: RpcError = RpcError::App(Duplicate(7)).nested();
    assert_eq!(chain(&refused), ["job 7 is known already"]);
    assert!(matches!(refused, RpcError::Failed(_)));
}

#[test]
fn the_kinds_are_kept_when_the_own_error_is_replaced() {
    for error in kinds() {
        let widened: RpcError<Duplicate> = error.clone().widen();
        assert_eq!(widened.to_string(), error.to_string());
        assert_eq!(widened.outcome(), error.outcome());
    }
    let mapped = RpcError::App(Duplicate(7)).map_app(|Duplicate(job)| job);
    assert_eq!(mapped, RpcError::App(7));
}

#[test]
fn the_outcome_tells_whether_the_handler_ran() {
    let outcomes: Vec<_> = kinds().iter().map(RpcError::outcome).collect();
    let (ran, not, unknown) = (Outcome::Executed, Outcome::NotExecuted, Outcome::Unknown);
    let expected = [
        not, unknown, ran, not, not, not, not, not, ran, unknown, not, not,
    ];
    assert_eq!(outcomes, expected);
    let too_large = RpcError::<Never>::TooLarge {
        method: String::new(),
        response: true,
        size: 2,
        limit: 1,
    };
    assert_eq!(too_large.outcome(), ran);
    let disconnected = RpcError::<Never>::Disconnected {
        peer: String::new(),
        possibly_executed: false,
    };
    assert_eq!(disconnected.outcome(), not);
    assert_eq!(RpcError::App(Duplicate(1)).outcome(), ran);
}

/// One error of each kind but the method's own, in the order of the wire.
fn kinds() -> Vec<RpcError> {
    let text = || String::from("it");
    vec![
        RpcError::Codec {
            method: text(),
            response: false,
            detail: text(),
        },
        RpcError::Disconnected {
            peer: text(),
            possibly_executed: true,
        },
        RpcError::Failed(Failure::message("it")),
        RpcError::Fenced {
            expected: None,
            got: Some(FencingToken::new(1)),
        },
        RpcError::Forbidden {
            method: text(),
            roles: vec![text()],
        },
        RpcError::Incompatible { method: text() },
        RpcError::NotStarted { endpoint: text() },
        RpcError::Overloaded {
            queue: text(),
            limit: u64::MAX,
        },
        RpcError::Panicked { endpoint: text() },
        RpcError::Timeout {
            method: text(),
            after: Duration::MAX,
        },
        RpcError::TooLarge {
            method: text(),
            response: false,
            size: 2,
            limit: 1,
        },
        RpcError::Unreachable {
            address: text(),
            restarted: true,
        },
    ]
}

fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    texts.extend(error.source().map(chain).into_iter().flatten());
    texts
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(value, &mut bytes).unwrap();
    bytes
}

fn round_trip<E: Serialize + serde::de::DeserializeOwned>(error: &RpcError<E>) -> RpcError<E> {
    codec::decode(&encoded(error)).unwrap()
}
