//! Whoever runs what moves the bytes, they arrive.

use std::future::poll_fn;
use std::pin::pin;

use tokio::io::AsyncReadExt;

use super::{connected, echo, listen, loopback};

#[tokio::test]
async fn bytes_move_while_the_driver_is_lent_and_after_it_is_given_back() {
    let (listening, dialler) = (loopback(), loopback());
    let mut listener = listen(&listening).await;
    let (mut ours, mut theirs) = connected(&mut *listener, &dialler).await;
    let mut lent = ours.0.lend_driver().unwrap();
    assert!(ours.0.lend_driver().is_none(), "it is lent to one only");
    {
        let mut echoing = pin!(echo(&mut ours.1, &mut theirs.1));
        let round = poll_fn(|cx| {
            let _ended = lent.as_mut().poll(cx);
            echoing.as_mut().poll(cx)
        });
        round.await;
    }
    drop(lent);
    echo(&mut ours.1, &mut theirs.1).await;
    assert!(ours.0.lend_driver().is_some(), "it can be lent again");
}

#[tokio::test]
async fn a_connection_ends_while_its_driver_is_lent() {
    let (listening, dialler) = (loopback(), loopback());
    let mut listener = listen(&listening).await;
    let (ours, mut theirs) = connected(&mut *listener, &dialler).await;
    let (lent, peers) = (
        ours.0.lend_driver().unwrap(),
        theirs.0.lend_driver().unwrap(),
    );
    let (ours_ended, peers_ended) = (tokio::spawn(lent), tokio::spawn(peers));
    ours.0.close();
    let mut byte = [0];
    let read = theirs.1.reader.read(&mut byte).await;
    assert!(read.is_err(), "it is closed: {read:?}");
    // They wait for packets that are under way, and end.
    ours_ended.await.unwrap();
    peers_ended.await.unwrap();
    assert!(
        ours.0.lend_driver().is_none(),
        "there is nothing left to run"
    );
}
