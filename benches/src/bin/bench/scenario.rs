use benches::harness::{Entry, Load, Place};
use benches::subjects;

use crate::compare::Comparison;
use crate::figure::Figure;

/// A question, and who is asked it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The question, in a sentence.
    pub(crate) title: &'static str,
    pub(crate) load: Load,
    pub(crate) place: Place,
    pub(crate) figure: Figure,
    /// What the others are compared to.
    pub(crate) floor: &'static str,
    /// Those of them that are not built in are left out.
    pub(crate) others: &'static [&'static str],
}

impl Scenario {
    /// Finds those who are asked.
    pub(crate) fn comparison(&self) -> Comparison {
        Comparison {
            load: self.load,
            place: self.place,
            figure: self.figure,
            entries: self.entries(),
        }
    }

    fn entries(&self) -> Vec<Entry> {
        let names = std::iter::once(&self.floor).chain(self.others);
        names.filter_map(|it| subjects::find(it)).collect()
    }
}
