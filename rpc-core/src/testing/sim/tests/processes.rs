use std::task::Poll;

use super::super::end::Phase;
use super::super::stream::Half;
use super::{A, B, Net};

#[test]
fn a_paused_process_neither_reads_nor_writes_and_its_host_keeps_what_comes() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    net.world.pause(net.now, B);
    assert_eq!(net.write(ours, &[1; 40]), Poll::Ready(Ok(40)));
    net.pass(1000);
    assert_eq!(net.read(theirs), Poll::Pending);
    assert_eq!(net.write(theirs, b"x"), Poll::Pending);
    // It does not read: its peer can send no more than the window.
    assert_eq!(net.write(ours, &[2; 70]), Poll::Ready(Ok(55)));
    assert_eq!(net.write(ours, &[3; 70]), Poll::Pending);
    net.pass(1_000_000);
    net.world.resume(net.now, B);
    net.reads(theirs, &[[1; 40].as_slice(), &[2; 55]].concat());
    assert_eq!(net.write(theirs, b"x"), Poll::Ready(Ok(1)));
}

#[test]
fn a_paused_process_is_dialled_but_does_not_accept() {
    let mut net = Net::new();
    net.world.pause(net.now, B);
    let end = net.dial();
    net.pass(1000);
    assert_eq!(net.phase(end), Phase::Live);
    assert_eq!(net.accept(), None);
    net.world.resume(net.now, B);
    assert_eq!(net.accept(), Some(end.peer()));
}

#[test]
fn what_a_paused_process_ends_ends_when_it_goes_on() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    net.world.pause(net.now, A);
    net.world
        .release_half(net.now, ours.end, ours.stream, Half::Writer);
    net.world.release(net.now, ours.end);
    let late = net.dial();
    net.pass(1000);
    assert_eq!(net.read(theirs), Poll::Pending);
    assert_eq!(net.phase(late), Phase::Dialling);
    net.world.resume(net.now, A);
    net.pass(10);
    net.reads(theirs, b"");
    net.pass(20);
    assert_eq!(net.phase(late), Phase::Live);
}

#[test]
fn a_pause_wakes_nobody_and_a_resumption_all_who_wait() {
    use super::super::world::Interest;
    let mut net = Net::new();
    let (_, theirs) = net.connect();
    net.world.woken.clear();
    net.world.pause(net.now, B);
    assert_eq!(net.world.woken, []);
    net.world.resume(net.now, B);
    for interest in [
        Interest::Accept(B),
        Interest::Streams(theirs.end),
        Interest::Read(theirs.end, theirs.stream),
        Interest::Write(theirs.end, theirs.stream),
    ] {
        assert!(net.world.woken.contains(&interest), "{interest:?}");
    }
}

#[test]
fn a_paused_process_may_crash() {
    let mut net = Net::new();
    let (_, theirs) = net.connect();
    net.world.pause(net.now, A);
    net.world.crash(net.now, A);
    net.pass(10);
    net.fails(theirs, std::io::ErrorKind::ConnectionReset);
    net.world.resume(net.now, A);
    let crashed = net.world.standing(A, 1);
    assert_eq!(crashed, super::super::faults::Standing::Crashed);
}
