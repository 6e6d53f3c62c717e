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
    /// Whether it may run several times for one call.
    pub idempotent: bool,
    /// Whether it may be called with values that cannot travel, within one service.
    pub local: bool,
    /// Who may call it, where roles are in force.
    pub roles: &'static [&'static str],
    /// How long a call may take that says nothing else.
    pub timeout: CallTimeout,
}

impl MethodInfo {
    /// Describes what is called like a method, and is none of a gateway.
    pub(crate) const fn internal(name: &'static str, timeout: CallTimeout) -> Self {
        Self {
            name,
            fingerprint: 0,
            one_way: false,
            fenced: false,
            no_cancel: false,
            idempotent: false,
            local: true,
            roles: &[],
            timeout,
        }
    }
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
