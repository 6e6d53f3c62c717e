//! Peers that say strange things of themselves.

use std::io::Cursor;

use futures_util::FutureExt;

use super::wire::hello;
use crate::address::NAME_BYTES_MAX;
use crate::connection::{Purpose, dial, greet};
use crate::transport::Stream;

/// Lets the bytes be a peer's hello, and a peer's answer to one.
pub fn handshake(data: &[u8]) {
    let own = hello(Purpose::Calls);
    let mut stream = said(data);
    let greeted = greet(&mut stream, &own, |_| Ok(())).now_or_never();
    if let Ok(hello) = greeted.expect("a peer that has left is not waited for")
        && let Purpose::Channel(name) = hello.purpose
    {
        assert!(name.len() <= NAME_BYTES_MAX, "{name}");
    }
    let mut stream = said(data);
    let dialled = dial(&mut stream, &own).now_or_never();
    // Either way is fine; what matters is that it ends.
    let _ = dialled.expect("a peer that has left is not waited for");
}

/// A peer that says this, takes every answer, and leaves.
fn said(data: &[u8]) -> Stream {
    Stream::new(Cursor::new(data.to_vec()), tokio::io::sink())
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for purpose in [
        Purpose::Calls,
        Purpose::Channel(String::new()),
        Purpose::Channel(String::from("shuffle/1–2")),
    ] {
        seeds.push(dialled(purpose));
    }
    // A welcome, and a refusal: like a hello up to the byte that says what it is.
    for code in 0..6 {
        let mut answer = dialled(Purpose::Calls);
        answer[4] = code;
        seeds.push(answer);
    }
    seeds
}

/// What a peer says that wants this.
fn dialled(purpose: Purpose) -> Vec<u8> {
    let (written, mut ours) = tokio::io::duplex(1 << 10);
    let mut stream = Stream::new(tokio::io::empty(), written);
    // Nobody answers, but the hello is on its way by then.
    let _ = dial(&mut stream, &hello(purpose)).now_or_never();
    drop(stream);
    let mut bytes = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut ours, &mut bytes).now_or_never();
    read.expect("the writer is gone")
        .expect("memory can be read");
    bytes
}
