//! Each fault in the protocol is found.
