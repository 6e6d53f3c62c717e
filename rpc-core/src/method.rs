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

/// Refuses a handler whose name is not exactly that of a method; generated code calls it.
pub const fn has_method(methods: &[MethodInfo], handler: &str) {
    let mut place = 0;
    while place < methods.len() {
        if is_called(methods[place].name.as_bytes(), handler.as_bytes()) {
            return;
        }
        place += 1;
    }
    panic!("the gateway has no method of exactly the handler's name");
}

/// Returns whether `Gateway::method` is the method of this name.
const fn is_called(full: &[u8], method: &[u8]) -> bool {
    if full.len() <= method.len() {
        return false;
    }
    let (gateway, name) = full.split_at(full.len() - method.len());
    gateway[gateway.len() - 1] == b':' && is_same(name, method)
}

/// Compares texts, as `==` cannot in a constant.
pub(crate) const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut place = 0;
    while place < one.len() {
        if one[place] != other[place] {
            return false;
        }
        place += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{is_called, is_same};

    #[test]
    fn names_that_begin_or_end_alike_are_not_the_same() {
        assert!(is_same(b"StoreGateway", b"StoreGateway"));
        assert!(!is_same(b"StoreGateway", b"StoreGateway2"));
        assert!(!is_same(b"StoreGateway", b"StageGateway"));
        assert!(is_called(b"StoreGateway::get", b"get"));
        assert!(!is_called(b"StoreGateway::forget", b"get"));
        assert!(!is_called(b"StoreGateway::get", b"Get"));
        assert!(!is_called(b"get", b"get"));
    }
}
