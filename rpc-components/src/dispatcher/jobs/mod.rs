//! The jobs of a Dispatcher: those that run, and the last that have ended. Pure.
//!
//! ```text
//!          submit               initialized
//!  ────────────────▶ Initializing ──────────▶ Running
//!                         │   │                  │ ended
//!       submission_failed │   └──────────────────┤
//!                         ▼                      ▼
//!                     forgotten ◀─────────── Completed
//!                                 pushed out
//! ```
//!
//! Answers to the maps of Flink's `Dispatcher`: its `JobManagerRunnerRegistry`, its
//! `ExecutionGraphInfoStore`, and, as long as jobs are kept in memory only, its `JobResultStore`.

use std::collections::{BTreeMap, VecDeque};

use crate::gateway::{
    CancelError, FetchError, JobDetails, JobError, JobInfo, JobResult, JobStatus, SubmitError,
};
use crate::id::JobId;

/// How many jobs a Dispatcher keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobsConfig {
    /// How many jobs that have ended are remembered, beside those whose results somebody is fetching;
    /// of more, the oldest is forgotten, and its id may be used again. Too small, and a user who comes
    /// late does not learn how a job ended; too large, and the memory fills with old jobs. The default
    /// is 100.
    pub completed_max: usize,
    /// How many jobs may run at once, and of how many that have ended the results may be fetched; more
    /// are refused, or forgotten. It bounds what clients can make the JobManager keep. The default is
    /// 1,000.
    pub running_max: usize,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            completed_max: 100,
            running_max: 1000,
        }
    }
}

/// What is to be done to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    /// Nothing: it was cancelled before.
    Done,
    /// Its JobMaster is to be told.
    Forward,
    /// Its JobMaster is to be told [once it is there](Jobs::initialized).
    Later,
}

/// A job that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known<'a> {
    /// It has ended.
    Completed(&'a JobInfo),
    /// It has no JobMaster yet, and this is all that there is.
    Initializing(JobInfo),
    /// Its JobMaster knows the rest.
    Running,
}

/// Knows the jobs of a Dispatcher.
#[derive(Debug)]
pub(crate) struct Jobs {
    config: JobsConfig,
    registered: BTreeMap<JobId, Job>,
    /// The jobs that have ended, the oldest at the front.
    completed: VecDeque<Completed>,
    /// How many jobs were submitted so far; the next one's place among them.
    submitted: u64,
}

/// A job that has not ended.
#[derive(Debug)]
struct Job {
    place: u64,
    is_initialized: bool,
    /// What was last heard of it.
    details: JobDetails,
}

/// A job that has ended.
#[derive(Debug)]
struct Completed {
    info: JobInfo,
    /// How many bytes its sinks have printed; `None` if nobody knows.
    results_bytes: Option<u64>,
}

impl Jobs {
    /// Makes the jobs of a new Dispatcher.
    pub(crate) const fn new(config: JobsConfig) -> Self {
        Self {
            config,
            registered: BTreeMap::new(),
            completed: VecDeque::new(),
            submitted: 0,
        }
    }

    /// Takes a job, which is to be initialized; `tasks` is how many tasks it will have.
    ///
    /// As `Dispatcher#submitJob`: a job that has ended for good is not run again, as long as it is
    /// remembered, and one that has not is not run twice. One that was suspended may be run again.
    pub(crate) fn submit(
        &mut self,
        job: JobId,
        name: String,
        tasks: u32,
        now_ms: u64,
    ) -> Result<(), SubmitError> {
        let ended = self
            .completed(job)
            .map(|known| known.info.details.status.is_terminal());
        if ended == Some(true) || self.registered.contains_key(&job) {
            return Err(SubmitError::Duplicate {
                job,
                has_ended: ended == Some(true),
            });
        }
        if self.registered.len() >= self.config.running_max {
            return Err(SubmitError::TooManyJobs {
                job,
                max: self.config.running_max as u64,
            });
        }
        let details = JobDetails {
            id: job,
            name,
            status: JobStatus::Initializing,
            tasks,
            tasks_finished: 0,
            restarts: 0,
            submitted_ms: now_ms,
            duration_ms: 0,
        };
        let known = Job {
            place: self.submitted,
            is_initialized: false,
            details,
        };
        self.registered.insert(job, known);
        self.submitted += 1;
        Ok(())
    }

    /// Forgets a job whose submission failed, as if it had never come; returns whether it was
    /// there.
    pub(crate) fn submission_failed(&mut self, job: JobId) -> bool {
        self.registered.remove(&job).is_some()
    }

    /// Takes note that the job's JobMaster is there; returns whether the job was cancelled
    /// meanwhile, which the JobMaster is to be told.
    pub(crate) fn initialized(&mut self, job: JobId) -> bool {
        let Some(known) = self.registered.get_mut(&job) else {
            return false;
        };
        known.is_initialized = true;
        known.details.status == JobStatus::Cancelling
    }

    /// Takes what a JobMaster says of its job, for lists that do not wait for it.
    ///
    /// Before the job is [initialized](Self::initialized) it is ignored, so that a cancel that
    /// waits for that is not forgotten.
    pub(crate) fn update(&mut self, details: JobDetails) {
        let known = self.registered.get_mut(&details.id);
        if let Some(known) = known.filter(|known| known.is_initialized) {
            known.details = details;
        }
    }

    /// Takes the end of a job, whose sinks have printed so many bytes if that is known.
    ///
    /// It takes the place of what is remembered of the same job.
    pub(crate) fn ended(&mut self, info: JobInfo, results_bytes: Option<u64>) {
        let job = info.details.id;
        self.registered.remove(&job);
        self.completed.retain(|known| known.info.details.id != job);
        self.completed.push_back(Completed {
            info,
            results_bytes,
        });
    }

    /// Forgets the oldest of the jobs that have ended, if there are too many; returns which.
    ///
    /// Whose results are being fetched is spared, and does not count, as long as there are not too many
    /// of those either.
    pub(crate) fn forget(&mut self, is_fetched: impl Fn(JobId) -> bool) -> Vec<JobId> {
        let is_fetched = |known: &Completed| is_fetched(known.info.details.id);
        let fetched = self.completed.iter().filter(|it| is_fetched(it)).count();
        let others = self.completed.len() - fetched;
        let mut fetched_too_many = fetched.saturating_sub(self.config.running_max);
        let mut too_many = others.saturating_sub(self.config.completed_max);
        let mut forgotten = Vec::new();
        self.completed.retain(|known| {
            let too_many = match is_fetched(known) {
                true => &mut fetched_too_many,
                false => &mut too_many,
            };
            if *too_many == 0 {
                return true;
            }
            *too_many -= 1;
            forgotten.push(known.info.details.id);
            false
        });
        forgotten
    }

    /// Says what is to be done to cancel a job.
    ///
    /// As `Dispatcher#cancelJob`: one that is being initialized is shown as cancelling at once, one
    /// that was cancelled may be cancelled again.
    pub(crate) fn cancel(&mut self, job: JobId) -> Result<Cancel, CancelError> {
        if let Some(known) = self.registered.get_mut(&job) {
            if known.is_initialized {
                return Ok(Cancel::Forward);
            }
            known.details.status = JobStatus::Cancelling;
            return Ok(Cancel::Later);
        }
        match self.completed(job).map(|known| known.info.details.status) {
            Some(JobStatus::Canceled) => Ok(Cancel::Done),
            Some(status) => Err(CancelError::HasEnded { job, status }),
            None => Err(CancelError::NotFound { job }),
        }
    }

    /// Finds what is known of a job.
    pub(crate) fn find(&self, job: JobId, now_ms: u64) -> Result<Known<'_>, JobError> {
        match self.registered.get(&job) {
            Some(known) if known.is_initialized => Ok(Known::Running),
            Some(known) => Ok(Known::Initializing(JobInfo {
                details: known.details_at(now_ms),
                failure: Vec::new(),
                restarts_max: None,
                restart_causes: Vec::new(),
                vertices: Vec::new(),
            })),
            None => self
                .completed(job)
                .map(|known| Known::Completed(&known.info))
                .ok_or(JobError::NotFound { job }),
        }
    }

    /// Tells whether a job has been submitted and has not ended.
    pub(crate) fn is_registered(&self, job: JobId) -> bool {
        self.registered.contains_key(&job)
    }

    /// Returns what was last heard of a job that has not ended.
    pub(crate) fn details(&self, job: JobId, now_ms: u64) -> Option<JobDetails> {
        let known = self.registered.get(&job)?;
        Some(known.details_at(now_ms))
    }

    /// Returns how a job ended, if it has and is remembered.
    pub(crate) fn result(&self, job: JobId) -> Option<JobResult> {
        if self.is_registered(job) {
            return None;
        }
        self.completed(job).map(|known| result_of(&known.info))
    }

    /// Checks that whoever has fetched a job's results up to `position` has all of them, now that
    /// the JobMaster is gone that had them.
    ///
    /// Of a JobMaster that failed nobody knows what it had, and its job has failed too.
    pub(crate) fn check_fetched(&self, job: JobId, position: u64) -> Result<(), FetchError> {
        if self.is_registered(job) {
            return Err(FetchError::NotInitialized { job });
        }
        let known = self.completed(job).ok_or(FetchError::NotFound { job })?;
        match known.results_bytes {
            Some(end) if end != position => Err(FetchError::Gone { job, position: end }),
            Some(_) | None => Ok(()),
        }
    }

    /// Returns all jobs: first those that run, as they were submitted, then those that have ended,
    /// the last at the front.
    ///
    /// As `Dispatcher#requestMultipleJobDetails`: a job that runs again after it was suspended is
    /// listed once.
    pub(crate) fn list(&self, now_ms: u64) -> Vec<JobDetails> {
        let running = self.in_order().map(|known| known.details_at(now_ms));
        let completed = self.completed.iter().rev();
        let completed = completed.map(|known| &known.info.details);
        let completed = completed.filter(|details| !self.is_registered(details.id));
        running.chain(completed.cloned()).collect()
    }

    /// Returns the jobs that have not ended, as they were submitted.
    pub(crate) fn registered(&self) -> Vec<JobId> {
        self.in_order().map(|known| known.details.id).collect()
    }

    fn in_order(&self) -> impl Iterator<Item = &Job> {
        let mut jobs: Vec<_> = self.registered.values().collect();
        jobs.sort_unstable_by_key(|known| known.place);
        jobs.into_iter()
    }

    fn completed(&self, job: JobId) -> Option<&Completed> {
        let mut completed = self.completed.iter();
        completed.find(|known| known.info.details.id == job)
    }
}

impl Job {
    fn details_at(&self, now_ms: u64) -> JobDetails {
        JobDetails {
            // A clock may be set back.
            duration_ms: now_ms.saturating_sub(self.details.submitted_ms),
            ..self.details.clone()
        }
    }
}

/// Returns how a job ended, in short.
pub(crate) fn result_of(info: &JobInfo) -> JobResult {
    JobResult {
        job: info.details.id,
        status: info.details.status,
        failure: info.failure.clone(),
        restarts: info.details.restarts,
        duration_ms: info.details.duration_ms,
    }
}

#[cfg(test)]
mod tests;
