//! What the report asks.

mod curves;
mod many;
mod process;
mod quic;
mod tcp;

pub(crate) use self::curves::CURVES;
use crate::scenario::Scenario;

/// Lists all, in the order of the report.
pub(crate) fn all() -> impl Iterator<Item = Scenario> {
    let slices = [process::ALL, tcp::ALL, quic::ALL, many::ALL];
    slices.into_iter().flatten().copied()
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use benches::subjects;

    use super::*;

    #[test]
    fn names_are_of_one_each() {
        let mut names = HashSet::new();
        assert!(all().all(|it| names.insert(it.name)));
        assert!(CURVES.iter().all(|it| names.insert(it.name)));
    }

    #[test]
    fn floors_are_built_in() {
        let unknown: Vec<_> = all()
            .filter(|it| subjects::find(it.floor).is_none())
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[cfg(feature = "peers")]
    #[test]
    fn subjects_are_known() {
        for scenario in all() {
            for name in scenario.others {
                assert!(subjects::find(name).is_some(), "{}: {name}", scenario.name);
            }
        }
    }
}
