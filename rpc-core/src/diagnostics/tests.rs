use std::time::Duration;

use super::{
    ConnectionDiagnostics, Diagnostics, Direction, EndpointDiagnostics, EndpointState, WaitingCall,
    find_cycles,
};
use crate::codec;

/// A report of a service whose endpoints await others: `(from, service, to, seconds)`.
fn report(service: &str, calls: &[(&str, &str, &str, u64)]) -> Diagnostics {
    let waiting = calls
        .iter()
        .map(|(from, service, to, seconds)| WaitingCall {
            from: Some((*from).to_owned()).filter(|it| !it.is_empty()),
            handler: Some(String::from("Gateway::outer")),
            to: format!("tcp://{service}:1/{to}"),
            to_service: (*service).to_owned(),
            method: String::from("Gateway::inner"),
            waited: Duration::from_secs(*seconds),
            left: Some(Duration::from_secs(1)),
            trace: None,
        });
    Diagnostics {
        service: service.to_owned(),
        waiting: waiting.collect(),
        ..Diagnostics::default()
    }
}

fn cycles(reports: &[Diagnostics]) -> Vec<String> {
    let cycles = find_cycles(reports);
    let text = |cycle: &super::Cycle| {
        let steps = cycle.steps.iter();
        let names = steps.map(|it| format!("{}/{}", it.service, it.endpoint));
        names.collect::<Vec<_>>().join(" ")
    };
    cycles.iter().map(text).collect()
}

#[test]
fn calls_that_end_somewhere_are_no_cycle() {
    assert!(cycles(&[]).is_empty());
    let reports = [
        report("one", &[("a", "two", "b", 1), ("", "one", "a", 1)]),
        report("two", &[("b", "two", "c", 1)]),
    ];
    assert!(cycles(&reports).is_empty());
}

#[test]
fn a_cycle_is_found_once_whoever_reports_first() {
    let mut reports = [
        report("one", &[("a", "two", "b", 1)]),
        report("two", &[("b", "two", "c", 1), ("b", "two", "dead end", 1)]),
        // Who waits for a cycle is not in it.
        report("three", &[("d", "one", "a", 1)]),
        report("two", &[("c", "one", "a", 1)]),
    ];
    assert_eq!(cycles(&reports), ["one/a two/b two/c"]);
    reports.reverse();
    assert_eq!(cycles(&reports), ["one/a two/b two/c"]);
}

#[test]
fn endpoints_of_one_name_in_two_services_are_two() {
    let reports = [
        report("one", &[("a", "two", "a", 1)]),
        report("two", &[("a", "two", "b", 1)]),
    ];
    assert!(cycles(&reports).is_empty());
}

#[test]
fn an_endpoint_may_wait_for_itself() {
    let reports = [report("one", &[("a", "one", "a", 1)])];
    assert_eq!(cycles(&reports), ["one/a"]);
}

#[test]
fn cycles_that_share_an_endpoint_are_each_found() {
    let calls = [
        ("a", "one", "b", 1),
        ("b", "one", "a", 1),
        ("b", "one", "c", 1),
        ("c", "one", "b", 1),
    ];
    assert_eq!(
        cycles(&[report("one", &calls)]),
        ["one/a one/b", "one/b one/c"]
    );
}

#[test]
fn a_step_is_the_call_that_has_waited_the_longest() {
    let calls = [
        ("a", "one", "a", 1),
        ("a", "one", "a", 3),
        ("a", "one", "a", 2),
    ];
    let found = find_cycles(&[report("one", &calls)]);
    assert_eq!(found[0].steps[0].call.waited, Duration::from_secs(3));
    assert_eq!(
        found[0].to_string(),
        "a in Gateway::outer awaits Gateway::inner of tcp://one:1/a for 3.0s, 1.0s left"
    );
}

#[test]
fn a_report_travels_and_is_read() {
    let mut report = report("5e", &[("a", "one", "b", 2)]);
    report.addresses.push(String::from("tcp://here:1"));
    report.endpoints.push(EndpointDiagnostics {
        name: String::from("a"),
        state: EndpointState::Started,
        mailbox: 1,
        handlers: 2,
        timers: 3,
        dropped: 4,
        running: Some(String::from("on_stop")),
    });
    report.connections.push(ConnectionDiagnostics {
        peer: String::from("there:1"),
        direction: Direction::Incoming,
        calls: 5,
        bytes_queued: 6,
        age: Duration::from_millis(1500),
        bulk: true,
    });
    report.waiting[0].left = None;
    report.waiting[0].trace = Some(String::from("7f"));
    let mut bytes = Vec::new();
    codec::encode(&report, &mut bytes).unwrap();
    assert_eq!(codec::decode::<Diagnostics>(&bytes).unwrap(), report);
    let expected = "\
service 5e at tcp://here:1
  endpoint a: started, 1 messages wait, 2 handlers await, 3 timers, 4 messages dropped, runs on_stop
  incoming connection, peer there:1: 5 calls under way, 6 bytes to be written, open for 1.5s, \
   and one for what is large
  a in Gateway::outer awaits Gateway::inner of tcp://one:1/b for 2.0s, without a deadline, trace 7f";
    assert_eq!(report.to_string(), expected);
}
