//! Measures, and compares.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use benches::harness::{Load, Place, ServerProcess};
use benches::subjects;
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", name] => ServerProcess::serve(subjects::find(name).unwrap(), Place::Two),
        ["serve", name, "--pinned"] => {
            ServerProcess::serve(subjects::find(name).unwrap(), Place::TwoPinned)
        }
        [load, place, ref names @ ..] => {
            let load = match load.split_once(':') {
                None => Load::Tell,
                Some(("echo", rest)) => {
                    let (b, n) = rest.split_once('x').unwrap();
                    Load::Echo {
                        bytes: b.parse().unwrap(),
                        in_flight: n.parse().unwrap(),
                    }
                }
                Some((_, rest)) => {
                    let (c, n) = rest.split_once('x').unwrap();
                    Load::Ask {
                        callers: c.parse().unwrap(),
                        in_flight: n.parse().unwrap(),
                    }
                }
            };
            let place = match place {
                "2" => Place::Two,
                "2p" => Place::TwoPinned,
                _ => Place::One,
            };
            let running: Vec<_> = names
                .iter()
                .map(|name| subjects::find(name).expect(name).start(place))
                .collect();
            let mut all: Vec<Vec<_>> = running.iter().map(|_| Vec::new()).collect();
            for round in 0..8 {
                for (at, it) in running.iter().enumerate() {
                    let sample = it.run(load, Duration::from_millis(200));
                    if round > 0 {
                        all[at].push(sample);
                    }
                }
            }
            for (it, samples) in running.iter().zip(&all) {
                let med = |f: &dyn Fn(&benches::harness::Sample) -> f64| {
                    let mut v: Vec<f64> = samples.iter().map(f).collect();
                    v.sort_by(f64::total_cmp);
                    v[v.len() / 2]
                };
                println!(
                    "{:28} mean {:10.3} us  p50 {:8.2} p99 {:8.2}  rate {:10.0}/s  cpu {:8.0} ns  {:8.1} MB/s",
                    it.name,
                    med(&|s| 1e6 / s.rate()),
                    med(&|s| s.permille(500).as_nanos() as f64 / 1e3),
                    med(&|s| s.permille(990).as_nanos() as f64 / 1e3),
                    med(&|s| s.rate()),
                    med(&|s| s.cpu_ns()),
                    med(&|s| s.rate() * load.bytes() as f64 / 1e6)
                );
            }
        }
        _ => panic!("load place names"),
    }
}
