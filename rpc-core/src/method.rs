//! What is known of a gateway's method before it is called.

use std::time::Duration;

/// A gateway's method, as the macro describes it.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it")]
pub struct MethodInfo {
    /// `Gateway::method`.
    pub name: &'static str,
    /// A hash of the method's name, arguments and result.
    pub fingerprint: u64,
    /// Whether nobody waits for an answer.
    pub one_way: bool,
    /// Whether the endpoint's token is checked.
    pub fenced: bool,
    /// Whether a handler runs on when its caller has gone.
    pub no_cancel: bool,
    /// How long a call may take that says nothing else.
    pub timeout: CallTimeout,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "generated code makes it")]
pub enum CallTimeout {
    /// This long.
    After(Duration),
    /// As long as the service's configuration says.
    Default,
    /// As long as it needs.
    Never,
}
