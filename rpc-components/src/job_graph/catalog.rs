//! What a job graph must know of operators to be checked.

use super::{OperatorSpec, OperatorSpecError};

/// The operators that there are, as far as a job graph is checked against them.
///
/// [`OperatorRegistry`](crate::operator::OperatorRegistry) is one.
pub trait OperatorCatalog {
    /// Checks that an operator exists and that its options are right, and tells what it is.
    ///
    /// # Errors
    ///
    /// [`OperatorSpecError`] names the operator, and the option if it is one that is wrong.
    fn kind(&self, operator: &OperatorSpec) -> Result<OperatorKind, OperatorSpecError>;

    /// Returns the names of the options by which an operator takes paths.
    ///
    /// # Errors
    ///
    /// As [`kind`](Self::kind).
    fn path_options(&self, operator: &OperatorSpec) -> Result<Vec<String>, OperatorSpecError>;
}

/// Where in a job an operator may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperatorKind {
    /// At an end: records go in, and none come out.
    Sink,
    /// At a beginning: records come out, and none go in.
    Source,
    /// In between.
    Transform,
}
