//! Who waits for whom in a circle. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use super::{Diagnostics, WaitingCall};

/// Endpoints whose handlers await each other in a circle.
///
/// It need not be a deadlock, since an endpoint serves others while its handlers await; but one that
/// is found in two reports a while apart is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cycle {
    /// Each step is a call that the next step's endpoint is to answer, and the last the first's.
    pub steps: Vec<CycleStep>,
}

/// An endpoint in a [`Cycle`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CycleStep {
    /// The id of its service.
    pub service: String,
    /// Its name.
    pub endpoint: String,
    /// What it awaits of the next; of several calls the one that has waited the longest.
    pub call: WaitingCall,
}

/// Finds cycles of endpoints that await each other, in the reports of one or of several services.
///
/// Of the cycles through an endpoint one of the shortest is returned. The reports are of one moment
/// each, and these are not quite the same: what is found in one look only may never have been there.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = rpc_core::RpcService::local();
/// assert_eq!(rpc_core::find_cycles(&[service.diagnostics()]), []);
/// # }
/// ```
#[must_use]
pub fn find_cycles(reports: &[Diagnostics]) -> Vec<Cycle> {
    let graph = Graph::new(reports);
    let cycles = graph.calls.keys().filter_map(|start| graph.cycle(start));
    let cycles: BTreeSet<Vec<Node<'_>>> = cycles.collect();
    let steps = |cycle: Vec<Node<'_>>| {
        let next = cycle.iter().cycle().skip(1);
        let step = |(from, to): (&Node<'_>, &Node<'_>)| CycleStep {
            service: from.0.to_owned(),
            endpoint: from.1.to_owned(),
            call: graph.calls[from][to].clone(),
        };
        Cycle {
            steps: cycle.iter().zip(next).map(step).collect(),
        }
    };
    cycles.into_iter().map(steps).collect()
}

/// An endpoint, by its service's id and its name.
type Node<'a> = (&'a str, &'a str);

struct Graph<'a> {
    calls: BTreeMap<Node<'a>, BTreeMap<Node<'a>, &'a WaitingCall>>,
}

impl<'a> Graph<'a> {
    fn new(reports: &'a [Diagnostics]) -> Self {
        let mut calls: BTreeMap<_, BTreeMap<_, &WaitingCall>> = BTreeMap::new();
        for report in reports {
            for call in &report.waiting {
                let Some(from) = &call.from else { continue };
                // A name has no slashes.
                let endpoint = call.to.rsplit('/').next().unwrap_or_default();
                let from = (report.service.as_str(), from.as_str());
                let to = (call.to_service.as_str(), endpoint);
                let longest = calls.entry(from).or_default().entry(to).or_insert(call);
                if call.waited > longest.waited {
                    *longest = call;
                }
            }
        }
        Self { calls }
    }

    /// Returns a shortest way from an endpoint back to it, which begins with its least endpoint.
    fn cycle(&self, start: &Node<'a>) -> Option<Vec<Node<'a>>> {
        let mut before: BTreeMap<Node<'a>, Node<'a>> = BTreeMap::new();
        let mut queue = VecDeque::from([*start]);
        while let Some(node) = queue.pop_front() {
            for next in self.calls.get(&node).into_iter().flat_map(BTreeMap::keys) {
                if !before.contains_key(next) {
                    before.insert(*next, node);
                    queue.push_back(*next);
                }
            }
        }
        let mut cycle = vec![*before.get(start)?];
        while let Some(last) = cycle.last().filter(|it| *it != start) {
            cycle.push(before[last]);
        }
        cycle.reverse();
        let least = (0..cycle.len()).min_by_key(|it| cycle[*it])?;
        cycle.rotate_left(least);
        Some(cycle)
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.steps.iter().enumerate() {
            let comma = if place == 0 { "" } else { "; " };
            write!(f, "{comma}{}", step.call)?;
        }
        Ok(())
    }
}
