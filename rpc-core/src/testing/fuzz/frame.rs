//! Bytes that are no frames, or come in pieces.

use super::wire::{FRAME_BYTES_MAX, Written, cut};
use crate::frame::{Header, Kind, checksum};

/// Cuts the bytes into frames: at once and in pieces, which must be the same.
pub fn frame(data: &[u8]) {
    let whole = cut([data]);
    for frame in &whole.0 {
        assert!(frame.body.len() <= FRAME_BYTES_MAX, "{frame:?}");
    }
    assert_eq!(cut(pieces(data)), whole);
    assert_eq!(cut(data.chunks(1)), whole);
}

/// Cuts the bytes into pieces of any length, but always of the same.
fn pieces(mut data: &[u8]) -> Vec<&[u8]> {
    let mut random = fastrand::Rng::with_seed(u64::from(checksum(0, data)));
    let mut pieces = Vec::new();
    while !data.is_empty() {
        let (piece, rest) = data.split_at(random.usize(1..=data.len().min(100)));
        pieces.push(piece);
        data = rest;
    }
    pieces
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut full = Header::new(Kind::Request, 7);
    full.method = 3;
    full.gateway = 5;
    full.token = Some(11);
    full.remaining_us = Some(13);
    let mut error = Header::new(Kind::Response, 8);
    error.error = true;
    let ping = Header::new(Kind::Ping, u64::MAX);
    let mut all = Written::new();
    let mut seeds = Vec::new();
    for header in [full, error, ping] {
        seeds.push(Written::new().put(&header, &()).to_vec());
        all.put(&header, &"a body");
    }
    seeds.push(all.to_vec());
    let largest = vec![7u8; FRAME_BYTES_MAX - 100];
    seeds.push(Written::new().put(&full, &largest).to_vec());
    seeds
}
