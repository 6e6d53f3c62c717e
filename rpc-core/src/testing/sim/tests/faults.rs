use std::io::ErrorKind;
use std::task::Poll;

use super::super::end::Phase;
use super::super::trace::SimEventKind;
use super::{A, B, Net, Socket, ms};

#[test]
fn a_partition_holds_what_is_sent_until_it_heals() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    assert_eq!(net.write(ours, b"before "), Poll::Ready(Ok(7)));
    net.pass(5);
    net.partition();
    assert_eq!(net.write(ours, b"after"), Poll::Ready(Ok(5)));
    net.pass(10_000);
    assert_eq!(net.read(theirs), Poll::Pending);
    net.world.heal_all(net.now);
    net.pass(9);
    assert_eq!(net.read(theirs), Poll::Pending);
    net.pass(1);
    net.reads(theirs, b"before after");
}

#[test]
fn what_was_held_is_not_overtaken() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    net.world.cut(net.now, (A, B));
    assert_eq!(net.write(ours, b"1"), Poll::Ready(Ok(1)));
    net.pass(8);
    // It is due soon after the link heals, before what was held can have come again.
    assert_eq!(net.write(ours, b"2"), Poll::Ready(Ok(1)));
    net.pass(5);
    net.world.heal(net.now, (A, B));
    assert_eq!(net.write(ours, b"3"), Poll::Ready(Ok(1)));
    net.pass(9);
    assert_eq!(net.read(theirs), Poll::Pending);
    net.pass(1);
    net.reads(theirs, b"123");
}

#[test]
fn a_cut_holds_one_way_only() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    net.world.cut(net.now, (A, B));
    assert_eq!(net.write(ours, b"there"), Poll::Ready(Ok(5)));
    assert_eq!(net.write(theirs, b"back"), Poll::Ready(Ok(4)));
    net.pass(10);
    assert_eq!(net.read(theirs), Poll::Pending);
    net.reads(ours, b"back");
}

#[test]
fn a_cut_of_either_way_keeps_a_dial_waiting() {
    for route in [(A, B), (B, A)] {
        let mut net = Net::new();
        net.world.cut(net.now, route);
        let end = net.dial();
        net.pass(10_000);
        assert_eq!(net.phase(end), Phase::Dialling);
        assert_eq!(net.accept(), None);
        net.world.heal(net.now, route);
        net.pass(30);
        assert_eq!(net.phase(end), Phase::Live);
        assert!(net.accept().is_some());
    }
}

#[test]
fn a_dial_without_an_answer_is_given_up() {
    for route in [(A, B), (B, A)] {
        let mut net = Net::new();
        net.world.cut(net.now, route);
        let end = net.dial();
        net.pass(19_000);
        assert_eq!(net.phase(end), Phase::Dialling);
        net.pass(1_020);
        assert_eq!(net.phase(end), Phase::Dead(ErrorKind::TimedOut));
        net.world.release(net.now, end);
        net.world.heal_all(net.now);
        net.pass(100);
        assert!(net.world.connections.is_empty());
    }
}

#[test]
fn a_sender_without_acknowledgement_gives_up() {
    // Over the first, its bytes do not pass; over the second, the word that they have come.
    for route in [(A, B), (B, A)] {
        let mut net = Net::new();
        let (ours, theirs) = net.connect();
        net.world.cut(net.now, route);
        assert_eq!(net.write(ours, b"x"), Poll::Ready(Ok(1)));
        net.pass(20_009);
        assert_eq!(net.read(ours), Poll::Pending);
        net.pass(1);
        net.fails(ours, ErrorKind::TimedOut);
        // The peer hears of it only when it sends something itself, and that arrives.
        net.world.heal_all(net.now);
        net.pass(100);
        let _ = net.read(theirs);
        assert_eq!(net.read(theirs), Poll::Pending);
        assert_eq!(net.write(theirs, b"x"), Poll::Ready(Ok(1)));
        net.pass(20);
        net.fails(theirs, ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_cut_that_heals_in_time_is_survived_however_often() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    for _ in 0..5 {
        net.partition();
        assert_eq!(net.write(ours, b"x"), Poll::Ready(Ok(1)));
        net.pass(15_000);
        net.world.heal_all(net.now);
        net.pass(10);
        net.reads(theirs, b"x");
    }
    let holds = net.world.recorder.trace().of(SimEventKind::Hold).count();
    assert_eq!(holds, 5);
}

#[test]
fn nobody_gives_up_who_shall_not() {
    let mut net = Net::new();
    net.world.config.give_up_after = None;
    let (ours, theirs) = net.connect();
    net.partition();
    assert_eq!(net.write(ours, b"x"), Poll::Ready(Ok(1)));
    net.pass(10_000_000);
    net.world.heal_all(net.now);
    net.pass(10);
    net.reads(theirs, b"x");
}

#[test]
fn a_crash_resets_the_peer_after_what_was_sent() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    assert_eq!(net.write(ours, b"last words"), Poll::Ready(Ok(10)));
    net.world.crash(net.now, A);
    net.fails(ours, ErrorKind::ConnectionAborted);
    net.pass(9);
    assert_eq!(net.read(theirs), Poll::Pending);
    net.pass(1);
    net.reads(theirs, b"last words");
    net.fails(theirs, ErrorKind::ConnectionReset);
    net.drop_both((ours, theirs));
    net.pass(100);
    assert!(net.world.connections.is_empty());
}

#[test]
fn a_crash_behind_a_partition_leaves_the_peer_half_open() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    net.partition();
    assert_eq!(net.write(ours, b"never heard"), Poll::Ready(Ok(11)));
    net.world.crash(net.now, A);
    net.pass(100);
    net.world.heal_all(net.now);
    net.pass(3_600_000);
    assert_eq!(net.read(theirs), Poll::Pending);
    // Also when the node runs again: it is the connection that is gone.
    net.world.restart(net.now, A);
    assert_eq!(net.write(theirs, b"who are you"), Poll::Ready(Ok(11)));
    net.pass(19);
    assert_eq!(net.read(theirs), Poll::Pending);
    net.pass(1);
    net.fails(theirs, ErrorKind::ConnectionReset);
}

#[test]
fn a_crashed_process_reads_nothing_more() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    assert_eq!(net.write(ours, b"unread"), Poll::Ready(Ok(6)));
    net.pass(10);
    net.world.crash(net.now, B);
    net.fails(theirs, ErrorKind::ConnectionAborted);
}

#[test]
fn who_stops_to_listen_resets_those_who_are_not_connected_yet() {
    // The dial has been answered after 10 ms, and the dialler's word of it is there after 30 ms.
    for millis in [15, 25, 35] {
        let mut net = Net::new();
        let end = net.dial();
        net.pass(millis);
        net.world.unlisten(net.now, B);
        net.pass(40);
        let reset = Phase::Dead(ErrorKind::ConnectionReset);
        assert_eq!(net.phase(end), reset, "after {millis} ms");
        assert_eq!(net.accept(), None);
        net.world.release(net.now, end);
        assert!(net.world.connections.is_empty());
    }
}

#[test]
fn a_crashed_node_refuses_until_it_listens_again() {
    let mut net = Net::new();
    net.world.crash(net.now, B);
    let refused = Phase::Dead(ErrorKind::ConnectionRefused);
    let end = net.dial();
    net.pass(20);
    assert_eq!(net.phase(end), refused);
    net.world.restart(net.now, B);
    let end = net.dial();
    net.pass(20);
    assert_eq!(net.phase(end), refused);
    net.world.listen(net.now, B, 1).unwrap_err();
    net.world.listen(net.now, B, 2).unwrap();
    let end = net.dial();
    net.pass(30);
    assert_eq!(net.phase(end), Phase::Live);
    assert_eq!(net.accept(), Some(end.peer()));
}

#[test]
fn a_crash_resets_those_who_wait_to_be_accepted() {
    let mut net = Net::new();
    let end = net.dial();
    net.pass(30);
    net.world.crash(net.now, B);
    net.pass(10);
    let reset = Phase::Dead(ErrorKind::ConnectionReset);
    assert_eq!(net.phase(end), reset);
    net.world.release(net.now, end);
    assert!(net.world.connections.is_empty());
}

#[test]
fn a_reset_ends_both_sides_at_once_and_new_dials_pass() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    assert_eq!(net.write(ours, b"lost"), Poll::Ready(Ok(4)));
    net.world.reset(net.now, [B, A]);
    net.fails(ours, ErrorKind::ConnectionReset);
    net.fails(theirs, ErrorKind::ConnectionReset);
    net.drop_both((ours, theirs));
    assert!(net.world.connections.is_empty());
    net.connect();
}

#[test]
fn a_link_may_have_a_latency_of_its_own() {
    let mut net = Net::new();
    let (ours, theirs) = net.connect();
    net.world.link_mut((A, B)).latency = Some(ms(300)..=ms(300));
    assert_eq!(net.write(ours, b"x"), Poll::Ready(Ok(1)));
    assert_eq!(net.write(theirs, b"y"), Poll::Ready(Ok(1)));
    net.pass(10);
    net.reads(ours, b"y");
    net.pass(289);
    assert_eq!(net.read(theirs), Poll::Pending);
    net.pass(1);
    net.reads(theirs, b"x");
}

#[test]
fn a_node_is_near_to_itself_and_never_cut_from_itself() {
    let mut net = Net::new();
    net.world.cut(net.now, (B, B));
    let end = net.world.connect(net.now, B, B);
    net.pass(0);
    assert_eq!(net.phase(end), Phase::Live);
    let theirs = net.accept().unwrap();
    net.world.slow(net.now, B, Some(1));
    let stream = net.world.open_stream(end).unwrap();
    let ours = Socket { end, stream };
    assert_eq!(net.write(ours, b"at once"), Poll::Ready(Ok(7)));
    let theirs = Socket {
        end: theirs,
        stream,
    };
    net.reads(theirs, b"at once");
}

#[test]
fn the_trace_tells_what_happened_when() {
    let mut net = Net::new();
    let (ours, _) = net.connect();
    net.partition();
    assert_eq!(net.write(ours, b"x"), Poll::Ready(Ok(1)));
    net.pass(10);
    net.world.crash(net.now, A);
    let trace = net.world.recorder.trace();
    let kinds: Vec<SimEventKind> = trace.events.iter().map(|it| it.kind).collect();
    use SimEventKind::{Accept, Crash, Cut, Deliver, Dial, Drop, Hold, Listen, Send};
    let expected = [
        Listen, Listen, Dial, Accept, Send, Deliver, Cut, Cut, Send, Hold, Crash, Drop,
    ];
    assert_eq!(kinds, expected);
    assert_eq!(trace.events[5].at, ms(40));
    let line = "    0.040000 deliver   a>b #1 5 bytes 9a71bb4c";
    assert_eq!(trace.events[5].to_string(), line);
    assert_eq!(trace.of(Cut).count(), 2);
}
