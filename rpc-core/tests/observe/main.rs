//! What is seen from outside of what a service does: spans, metrics, reports, warnings.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod context;
mod log;
mod metrics;
mod pipes;
mod relay;
mod reports;
mod stalls;
mod traces;
