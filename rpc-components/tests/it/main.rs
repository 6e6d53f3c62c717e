//! Behaviours of a whole cluster, in one process and over each transport.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod cancel_job;
mod fixture;
mod lose_task_manager;
mod request_slots;
mod submit_job;
