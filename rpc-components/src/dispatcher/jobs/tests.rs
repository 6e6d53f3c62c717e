use super::{Cancel, Jobs, JobsConfig, Known};
use crate::gateway::{
    CancelError, FetchError, JobDetails, JobError, JobInfo, JobResult, JobStatus, SubmitError,
};
use crate::id::JobId;

const NOW: u64 = 1_000;

fn jobs() -> Jobs {
    Jobs::new(JobsConfig::default())
}

fn submit(jobs: &mut Jobs, job: JobId) -> Result<(), SubmitError> {
    jobs.submit(job, "job".into(), 4, NOW)
}

/// Jobs of which one is as far as the status says.
fn jobs_with(status: JobStatus) -> (Jobs, JobId) {
    let (mut jobs, job) = (jobs(), JobId::random());
    submit(&mut jobs, job).unwrap();
    match status {
        JobStatus::Initializing => {}
        JobStatus::Running => assert!(!jobs.initialized(job)),
        _ => jobs.ended(info(job, status), Some(0)),
    }
    (jobs, job)
}

fn details(job: JobId, status: JobStatus) -> JobDetails {
    JobDetails {
        id: job,
        name: "job".into(),
        status,
        tasks: 4,
        tasks_finished: 0,
        restarts: 0,
        submitted_ms: NOW,
        duration_ms: 0,
    }
}

fn info(job: JobId, status: JobStatus) -> JobInfo {
    JobInfo {
        details: details(job, status),
        failure: vec!["why".into()],
        restarts_max: None,
        restart_causes: vec![],
        vertices: vec![],
    }
}

fn listed(jobs: &Jobs) -> Vec<(JobId, JobStatus)> {
    jobs.list(NOW)
        .into_iter()
        .map(|details| (details.id, details.status))
        .collect()
}

#[test]
fn a_submitted_job_is_initialized_and_then_runs() {
    // Flink: DispatcherTest#testJobSubmission, #testNonBlockingJobSubmission
    let (mut jobs, job) = jobs_with(JobStatus::Initializing);
    let shown = JobInfo {
        details: JobDetails {
            duration_ms: 5,
            ..details(job, JobStatus::Initializing)
        },
        failure: vec![],
        restarts_max: None,
        restart_causes: vec![],
        vertices: vec![],
    };
    assert_eq!(jobs.list(NOW + 5), std::slice::from_ref(&shown.details));
    assert_eq!(jobs.find(job, NOW + 5), Ok(Known::Initializing(shown)));
    assert!(!jobs.initialized(job));
    assert_eq!(jobs.find(job, NOW), Ok(Known::Running));
    jobs.update(details(job, JobStatus::Running));
    assert_eq!(listed(&jobs), [(job, JobStatus::Running)]);
    assert_eq!(jobs.registered(), [job]);
    let known = jobs.details(job, NOW).map(|details| details.status);
    assert_eq!(known, Some(JobStatus::Running));
}

#[test]
fn a_job_is_not_run_twice() {
    // Flink: DispatcherTest#testDuplicateJobSubmissionWithRunningJobId,
    //   #testDuplicateJobSubmissionIsDetectedOnSimultaneousSubmission
    for status in [JobStatus::Initializing, JobStatus::Running] {
        let (mut jobs, job) = jobs_with(status);
        let duplicate = SubmitError::Duplicate {
            job,
            has_ended: false,
        };
        assert_eq!(submit(&mut jobs, job), Err(duplicate));
        assert_eq!(jobs.registered(), [job]);
    }
}

#[test]
fn a_job_that_has_ended_is_not_run_again() {
    // Flink: DispatcherTest#testDuplicateJobSubmissionWithGloballyTerminatedAndCleanedJob,
    //   #testDuplicateJobSubmissionWithGloballyTerminatedButDirtyJob
    for status in [JobStatus::Canceled, JobStatus::Failed, JobStatus::Finished] {
        let (mut jobs, job) = jobs_with(status);
        let duplicate = SubmitError::Duplicate {
            job,
            has_ended: true,
        };
        assert_eq!(submit(&mut jobs, job), Err(duplicate));
    }
}

#[test]
fn a_suspended_job_may_run_again() {
    // Flink: DispatcherTest#testRequestMultipleJobDetails_returnsSuspendedJobs,
    //   #testRequestMultipleJobDetails_returnsRunningOverSuspendedJob,
    //   #testRequestMultipleJobDetails_returnsFinishedOverSuspendedJob
    let (mut jobs, job) = jobs_with(JobStatus::Suspended);
    assert_eq!(listed(&jobs), [(job, JobStatus::Suspended)]);
    assert_eq!(submit(&mut jobs, job), Ok(()));
    assert_eq!(jobs.result(job), None);
    jobs.initialized(job);
    jobs.update(details(job, JobStatus::Running));
    assert_eq!(listed(&jobs), [(job, JobStatus::Running)]);
    jobs.ended(info(job, JobStatus::Finished), Some(0));
    assert_eq!(listed(&jobs), [(job, JobStatus::Finished)]);
}

#[test]
fn a_submission_that_failed_leaves_no_trace() {
    let (mut jobs, job) = jobs_with(JobStatus::Initializing);
    assert!(jobs.submission_failed(job));
    assert!(!jobs.submission_failed(job));
    assert_eq!(listed(&jobs), []);
    assert_eq!(submit(&mut jobs, job), Ok(()));
}

#[test]
fn so_many_jobs_run_and_no_more() {
    let config = JobsConfig {
        running_max: 1,
        ..JobsConfig::default()
    };
    let mut jobs = Jobs::new(config);
    let (first, second) = (JobId::random(), JobId::random());
    assert_eq!(submit(&mut jobs, first), Ok(()));
    let too_many = SubmitError::TooManyJobs {
        job: second,
        max: 1,
    };
    assert_eq!(submit(&mut jobs, second), Err(too_many));
    // A duplicate is told as such.
    let duplicate = SubmitError::Duplicate {
        job: first,
        has_ended: false,
    };
    assert_eq!(submit(&mut jobs, first), Err(duplicate));
    jobs.ended(info(first, JobStatus::Finished), Some(0));
    assert_eq!(submit(&mut jobs, second), Ok(()));
}

#[test]
fn a_job_that_is_initialized_is_cancelled_later() {
    // Flink: DispatcherTest#testCancellationDuringInitialization
    let (mut jobs, job) = jobs_with(JobStatus::Initializing);
    assert_eq!(jobs.cancel(job), Ok(Cancel::Later));
    assert_eq!(jobs.cancel(job), Ok(Cancel::Later));
    jobs.update(details(job, JobStatus::Created));
    assert_eq!(listed(&jobs), [(job, JobStatus::Cancelling)]);
    assert!(jobs.initialized(job));
    assert_eq!(jobs.cancel(job), Ok(Cancel::Forward));
}

#[test]
fn a_job_is_cancelled_as_far_as_it_is() {
    // Flink: DispatcherTest#testCancellationOfCanceledTerminalDoesNotThrowException,
    //   #testCancellationOfNonCanceledTerminalJobFailsWithAppropriateException
    let cancel = |status| {
        let (mut jobs, job) = jobs_with(status);
        (jobs.cancel(job), job)
    };
    assert_eq!(cancel(JobStatus::Running).0, Ok(Cancel::Forward));
    assert_eq!(cancel(JobStatus::Canceled).0, Ok(Cancel::Done));
    for status in [JobStatus::Failed, JobStatus::Finished, JobStatus::Suspended] {
        let (cancelled, job) = cancel(status);
        assert_eq!(cancelled, Err(CancelError::HasEnded { job, status }));
    }
    let job = JobId::random();
    assert_eq!(jobs().cancel(job), Err(CancelError::NotFound { job }));
}

#[test]
fn a_job_that_has_ended_is_remembered() {
    // Flink: DispatcherTest#testCacheJobExecutionResult,
    //   #testJobManagerRunnerInitializationFailureFailsJob
    for from in [JobStatus::Initializing, JobStatus::Running] {
        let (mut jobs, job) = jobs_with(from);
        assert_eq!(jobs.result(job), None);
        let ended = info(job, JobStatus::Failed);
        jobs.ended(ended.clone(), Some(0));
        assert_eq!(jobs.find(job, NOW), Ok(Known::Completed(&ended)));
        let result = JobResult {
            job,
            status: JobStatus::Failed,
            failure: vec!["why".into()],
            restarts: 0,
            duration_ms: 0,
        };
        assert_eq!(jobs.result(job), Some(result));
        assert!(!jobs.is_registered(job));
        // A late word of its JobMaster changes nothing.
        jobs.update(details(job, JobStatus::Running));
        assert_eq!(listed(&jobs), [(job, JobStatus::Failed)]);
    }
}

#[test]
fn results_that_nobody_fetched_are_gone_with_the_job_master() {
    let (mut jobs, job) = jobs_with(JobStatus::Initializing);
    let not_initialized = Err(FetchError::NotInitialized { job });
    assert_eq!(jobs.check_fetched(job, 0), not_initialized);
    jobs.ended(info(job, JobStatus::Finished), Some(7));
    assert_eq!(jobs.check_fetched(job, 7), Ok(()));
    for position in [0, 6, 8] {
        let gone = Err(FetchError::Gone { job, position: 7 });
        assert_eq!(jobs.check_fetched(job, position), gone);
    }
    jobs.ended(info(job, JobStatus::Failed), None);
    assert_eq!(jobs.check_fetched(job, 3), Ok(()));
    let unknown = JobId::random();
    let not_found = Err(FetchError::NotFound { job: unknown });
    assert_eq!(jobs.check_fetched(unknown, 0), not_found);
}

#[test]
fn an_unknown_job_is_not_found() {
    // Flink: DispatcherTest#testThrowExceptionIfJobExecutionResultNotFound
    let (mut jobs, job) = (jobs(), JobId::random());
    assert_eq!(jobs.find(job, NOW), Err(JobError::NotFound { job }));
    assert_eq!(jobs.result(job), None);
    assert!(!jobs.initialized(job));
    jobs.update(details(job, JobStatus::Running));
    assert_eq!(listed(&jobs), []);
}

#[test]
fn the_oldest_of_the_completed_jobs_is_forgotten() {
    let config = JobsConfig {
        completed_max: 2,
        ..JobsConfig::default()
    };
    let mut jobs = Jobs::new(config);
    let ids = [(); 3].map(|()| JobId::random());
    let mut forgotten = Vec::new();
    for job in ids {
        submit(&mut jobs, job).unwrap();
        jobs.ended(info(job, JobStatus::Finished), Some(0));
        forgotten.extend(jobs.forget(|_| false));
    }
    assert_eq!(forgotten, [ids[0]]);
    let finished = |job| (job, JobStatus::Finished);
    assert_eq!(listed(&jobs), [finished(ids[2]), finished(ids[1])]);
    assert_eq!(
        jobs.find(ids[0], NOW),
        Err(JobError::NotFound { job: ids[0] })
    );
    assert_eq!(submit(&mut jobs, ids[0]), Ok(()));
}

#[test]
fn a_job_whose_results_are_fetched_is_not_forgotten() {
    let config = JobsConfig {
        completed_max: 1,
        running_max: 2,
    };
    let mut jobs = Jobs::new(config);
    let ids = [(); 5].map(|()| JobId::random());
    for job in ids {
        submit(&mut jobs, job).unwrap();
        jobs.ended(info(job, JobStatus::Finished), Some(0));
    }
    // Of these there may be two, and one of the others.
    let fetched = [ids[0], ids[1], ids[3]];
    let forgotten = jobs.forget(|it| fetched.contains(&it));
    assert_eq!(forgotten, [ids[0], ids[2]]);
    let finished = |job| (job, JobStatus::Finished);
    assert_eq!(listed(&jobs), [ids[4], ids[3], ids[1]].map(finished));
    assert_eq!(jobs.forget(|_| false), [ids[1], ids[3]]);
}

#[test]
fn running_jobs_are_listed_first() {
    let mut jobs = jobs();
    let ids = [(); 8].map(|()| JobId::random());
    for job in ids {
        submit(&mut jobs, job).unwrap();
    }
    for ended in [5, 2] {
        jobs.ended(info(ids[ended], JobStatus::Finished), Some(0));
    }
    let order: Vec<_> = listed(&jobs).into_iter().map(|(job, _)| job).collect();
    assert_eq!(order, [0, 1, 3, 4, 6, 7, 2, 5].map(|place| ids[place]));
    assert_eq!(
        jobs.registered(),
        [0, 1, 3, 4, 6, 7].map(|place| ids[place])
    );
}

#[test]
fn the_errors_name_the_job() {
    let job = JobId::random();
    let duplicate = |has_ended| SubmitError::Duplicate { job, has_ended }.to_string();
    assert_eq!(
        duplicate(true),
        format!("job {job} was submitted before and has ended")
    );
    assert_eq!(
        duplicate(false),
        format!("job {job} was submitted before and has not ended")
    );
    let ended = CancelError::HasEnded {
        job,
        status: JobStatus::Failed,
    };
    let text = format!("job {job} has ended without being cancelled: it is FAILED");
    assert_eq!(ended.to_string(), text);
}
