//! Behaviours of a whole cluster, in one process and over each transport: one module for each.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod cancel_job;
mod fail_job;
mod fetch_results;
mod fixture;
mod lose_job_manager;
mod lose_task_manager;
mod processes;
mod request_slots;
mod restart_job;
mod run_together;
mod show_cluster;
mod submit_job;
mod word_count;
