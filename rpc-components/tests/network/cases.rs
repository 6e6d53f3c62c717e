//! What happens to the network, and to the processes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

use crate::child::{Child, Ended};
use crate::net::Net;
use crate::pair::{Books, Caller, Pair, Scheme, number};

type Case = (&'static str, fn(Scheme), &'static [Scheme]);

const ALL: &[Scheme] = &[Scheme::Quic, Scheme::Tcp, Scheme::Tls];

const RESET: &[Scheme] = &[Scheme::Tcp, Scheme::Tls];

pub(crate) const CASES: &[Case] = &[
    (
        "a partition fails calls and the gateway recovers",
        partition,
        ALL,
    ),
    ("a cut of either direction is noticed", one_way_cut, ALL),
    (
        "a peer that vanished is noticed, busy or idle",
        half_open,
        ALL,
    ),
    ("a slow peer slows nobody else", slow_peer, ALL),
    ("a connection that is reset is made anew", reset, RESET),
    ("a process that was paused runs nothing twice", paused, ALL),
    (
        "a caller that was paused is missed, and goes on",
        paused_caller,
        ALL,
    ),
    (
        "a handler that blocks its thread blocks nobody else",
        blocked,
        ALL,
    ),
    (
        "a process that was killed and is back is another",
        killed,
        ALL,
    ),
    (
        "a link that flaps does not make callers dial for ever",
        flapping,
        ALL,
    ),
    ("a signal lets a process say goodbye", goodbye, ALL),
    ("a second signal ends a process at once", second_signal, ALL),
    ("a wall clock that jumps changes nothing", wall_clock, ALL),
];

fn partition(scheme: Scheme) {
    let pair = Pair::new(scheme);
    let (server, mut caller) = (pair.serve(&[]), pair.call(&[]));
    caller.is_answered();
    pair.net.cut_both();
    caller.is_not_answered();
    // By now its connection is lost.
    caller.next(|outcome| outcome == "disconnected not-executed");
    pair.net.heal_both();
    caller.is_answered();
    let books = disconnected(server, caller);
    assert!(books.count("unknown") > 0, "{books:?}");
    assert_eq!(books.count("restarted"), 0, "{books:?}");
}

fn one_way_cut(scheme: Scheme) {
    for asks in [true, false] {
        let pair = Pair::new(scheme);
        let (server, mut caller) = (pair.serve(&[]), pair.call(&[]));
        let net = &pair.net;
        let deaf = if asks { &net.server } else { &net.caller };
        caller.is_answered();
        Net::cut(deaf);
        caller.next(|outcome| outcome == "disconnected not-executed");
        Net::heal(deaf);
        caller.is_answered();
        let caller = caller.end();
        let books = Books::balance(&[&end(server)], &caller);
        assert!(books.count("unknown") > 0, "{books:?}");
        // Of those whose answers were cut off, some were executed.
        assert!(asks || books.executed("unknown") > 0, "{books:?}");
        assert_eq!(books.count("restarted"), 0, "{books:?}");
    }
}

fn half_open(scheme: Scheme) {
    let pair = Pair::new(scheme);
    let mut server = pair.serve(&[]);
    let mut idle = pair.call(&["--idle"]);
    let mut busy = pair.call(&[]);
    busy.is_answered();
    for _ in 0..2 {
        server.stdout_line("hanging");
    }
    pair.net.cut_both();
    let begun = Instant::now();
    for caller in [&mut idle, &mut busy] {
        caller.said("closed disconnected");
    }
    for _ in 0..2 {
        server.stdout_line("hang dropped");
    }
    // Half a second, and much for a busy machine; without keep-alive it takes 30 s and more.
    assert!(begun.elapsed() < Duration::from_secs(15));
}

fn slow_peer(scheme: Scheme) {
    let pair = Pair::new(scheme);
    let slow_host = pair.net.server.wire(1);
    let calm = ["--keepalive", "20000", "--timeout", "5000"];
    let _server = pair.serve(&calm[..2]);
    let mut fast = pair.call(&calm);
    let impatient = [
        "--keepalive",
        "20000",
        "--timeout",
        "1000",
        "--bytes",
        "50000",
    ];
    let mut slow = pair.call_from(&slow_host, &impatient);
    slow.is_answered();
    let narrow = "tc qdisc add dev wire1 root tbf rate 256kbit burst 4kb latency 400ms";
    pair.net.server.sh(narrow);
    slow.next(|outcome| outcome == "timeout unknown");
    for _ in 0..20 {
        fast.is_answered();
    }
    // Both count the same numbers, so that only one of them can be looked after.
    let fast = fast.end();
    let others = fast.stdout.lines().filter(|it| it.starts_with("count "));
    let failed: Vec<_> = others.filter(|it| !it.contains(" ok ")).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

fn reset(scheme: Scheme) {
    let pair = Pair::new(scheme);
    let (server, mut caller) = (pair.serve(&[]), pair.call(&[]));
    caller.is_answered();
    pair.net
        .server
        .sh("ss --kill --tcp state established sport = :7000");
    caller.said("hang disconnected unknown");
    caller.is_answered();
    let caller = caller.end();
    let books = Books::balance(&[&end(server)], &caller);
    assert_eq!(books.count("restarted"), 0, "{books:?}");
}

fn paused(scheme: Scheme) {
    let pair = Pair::new(scheme);
    let (server, mut caller) = (pair.serve(&[]), pair.call(&[]));
    caller.is_answered();
    server.signal("STOP");
    caller.next(|outcome| outcome == "disconnected not-executed");
    server.signal("CONT");
    caller.is_answered();
    let books = disconnected(server, caller);
    assert!(books.count("unknown") > 0, "{books:?}");
    assert_eq!(books.count("restarted"), 0, "{books:?}");
}

fn paused_caller(scheme: Scheme) {
    let pair = Pair::new(scheme);
    let (mut server, mut caller) = (pair.serve(&[]), pair.call(&[]));
    caller.is_answered();
    server.stdout_line("hanging");
    caller.0.signal("STOP");
    server.stdout_line("hang dropped");
    caller.0.signal("CONT");
    caller.is_answered();
    let books = disconnected(server, caller);
    assert_eq!(books.count("restarted"), 0, "{books:?}");
}

fn blocked(scheme: Scheme) {
    let pair = Pair::new(scheme);
    let mut server = pair.serve(&["--keepalive", "1000"]);
    let block = ["--keepalive", "1000", "--block", "3000"];
    let mut caller = pair.call(&block);
    server.stdout_line("blocking");
    for _ in 0..20 {
        caller.is_answered();
    }
    caller.said("block ok executed");
    caller.is_answered();
    let caller = caller.end();
    assert!(!caller.stdout.contains("hang disconnected"), "{caller:#?}");
    Books::balance(&[&end(server)], &caller);
}

fn killed(scheme: Scheme) {
    let pair = Pair::new(scheme);
    let (first, mut caller) = (pair.serve(&[]), pair.call(&[]));
    caller.is_answered();
    first.signal("KILL");
    let first = first.end();
    let second = pair.serve(&[]);
    caller.said("reconnected");
    caller.is_answered();
    let caller = caller.end();
    assert!(
        caller.stdout.contains("hang disconnected unknown"),
        "{caller:#?}"
    );
    let books = Books::balance(&[&first, &end(second)], &caller);
    assert!(books.count("restarted") > 0, "{books:?}");
}

fn flapping(scheme: Scheme) {
    let pair = Pair::new(scheme);
    // So short that each time the link is down a connection is lost.
    let hasty = ["--keepalive", "60"];
    let (server, mut caller) = (pair.serve(&hasty), pair.call(&hasty));
    caller.is_answered();
    // Where the own link is down, dialling by TCP fails at once.
    let flap = "for i in $(seq 15); do
                    ip link set wire down; sleep 0.1
                    ip link set wire up; sleep 0.1
                done";
    pair.net.caller.sh(flap);
    caller.is_answered();
    let caller = caller.end();
    let said = |part| caller.stderr.iter().filter(|it| it.contains(part)).count();
    let (lost, failed) = (said("connection lost"), said("cannot reach it again yet"));
    assert!(lost > 0, "no link went down");
    // After each it waits for a tenth of a second at least.
    assert!(lost + failed < 60, "{lost} lost, {failed} failed");
    Books::balance(&[&end(server)], &caller);
}

fn goodbye(scheme: Scheme) {
    let pair = Pair::new(scheme);
    let (server, mut caller) = (pair.serve(&[]), pair.call(&[]));
    caller.is_answered();
    let server = end(server);
    assert_eq!(server.status, Some(0), "{server:#?}");
    caller.next(|outcome| outcome == "unreachable not-executed");
    let caller = caller.end();
    for said in [
        "wait ok executed",
        "hang disconnected unknown",
        "closed stopped",
    ] {
        assert!(caller.stdout.contains(said), "no {said}: {caller:#?}");
    }
    let books = Books::balance(&[&server], &caller);
    assert_eq!(books.count("restarted"), 0, "{books:?}");
}

fn second_signal(scheme: Scheme) {
    let pair = Pair::new(scheme);
    let mut server = pair.serve(&["--stops-never"]);
    let mut caller = pair.call(&[]);
    caller.is_answered();
    server.signal("TERM");
    server.stdout_line("stopping");
    server.signal("TERM");
    let server = server.end();
    assert_eq!(server.status, Some(1), "{server:#?}");
    caller.is_not_answered();
    Books::balance(&[&server], &caller.end());
}

fn wall_clock(scheme: Scheme) {
    let Some(library) = faketime() else {
        println!("skipped: there is no faketime to change a process's wall clock with");
        return;
    };
    let pair = Pair::new(scheme);
    let folder = tempfile::tempdir().unwrap();
    let jump = folder.path().join("jump");
    fs::write(&jump, "+0").unwrap();
    let calm = ["--keepalive", "20000", "--timeout", "10000"];
    let fake = |command: &mut Command| {
        command.env("LD_PRELOAD", &library);
        command.env("FAKETIME_TIMESTAMP_FILE", &jump);
        command.env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    };
    let mut server = pair.serve_with(&calm[..2], |command| {
        fake(command);
        command
    });
    let mut caller = pair.call(&calm);
    let mut now = || {
        server.signal("USR1");
        number(&server.stdout_line("wall clock "), 2)
    };
    let day = 86_400;
    let begun = now();
    for (text, least, most) in [("+1d", begun + day / 2, begun + 2 * day), ("-1d", 0, begun)] {
        caller.is_answered();
        fs::write(&jump, text).unwrap();
        assert!((least..most).contains(&now()), "it has not jumped");
        caller.is_answered();
    }
    let caller = caller.end();
    let books = Books::balance(&[&end(server)], &caller);
    assert_eq!(
        books.count("ok"),
        books.calls.values().map(|it| it.0).sum(),
        "{books:?}"
    );
}

/// Returns where the library is that lies about the time, if it is installed.
fn faketime() -> Option<std::path::PathBuf> {
    let folders = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib",
    ];
    let files = folders.map(|it| Path::new(it).join("faketime/libfaketimeMT.so.1"));
    files.into_iter().find(|it| it.exists())
}

/// Ends both, and balances the books of a caller that was disconnected, and says so.
fn disconnected(server: Child, caller: Caller) -> Books {
    let caller = caller.end();
    assert!(
        caller.stdout.contains("hang disconnected unknown"),
        "{caller:#?}"
    );
    Books::balance(&[&end(server)], &caller)
}

/// Ends a process as its operator would.
fn end(process: Child) -> Ended {
    process.signal("TERM");
    process.end()
}
