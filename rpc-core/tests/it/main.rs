//! Behaviours of endpoints and gateways, in-process and over transports.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]
mod main_thread;
