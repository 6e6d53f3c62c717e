use super::{JobEvent, TaskEvent, TaskStep, next_state, next_status};
use crate::gateway::{ExecutionState, JobStatus};

#[test]
fn every_status_takes_every_event() {
    use JobStatus::{
        Canceled, Cancelling, Created, Failed, Failing, Finished, Initializing, Restarting,
        Running, Suspended,
    };
    let events = [
        JobEvent::Deployed,
        JobEvent::Cancel,
        JobEvent::Failure,
        JobEvent::AllEnded,
        JobEvent::Suspend,
        JobEvent::Restart,
    ];
    let (cancelling, failing, suspended) = (Some(Cancelling), Some(Failing), Some(Suspended));
    let (running, restarting) = (Some(Running), Some(Restarting));
    let table = [
        (
            Initializing,
            [None, cancelling, failing, None, suspended, None],
        ),
        (
            Created,
            [running, cancelling, failing, None, suspended, None],
        ),
        (
            Running,
            [
                None,
                cancelling,
                failing,
                Some(Finished),
                suspended,
                restarting,
            ],
        ),
        (
            Restarting,
            [running, cancelling, failing, None, suspended, None],
        ),
        (
            Cancelling,
            [None, None, None, Some(Canceled), suspended, None],
        ),
        (Failing, [None, None, None, Some(Failed), suspended, None]),
        (Canceled, [None; 6]),
        (Failed, [None; 6]),
        (Finished, [None; 6]),
        (Suspended, [None; 6]),
    ];
    for (status, next) in table {
        for (event, next) in events.into_iter().zip(next) {
            assert_eq!(next_status(status, event), next, "{status:?} {event:?}");
        }
    }
}

#[test]
fn every_state_takes_every_event() {
    use ExecutionState::{
        Canceled, Canceling, Created, Deploying, Failed, Finished, Initializing, Running, Scheduled,
    };
    let events = [
        TaskEvent::Schedule,
        TaskEvent::Deploy,
        TaskEvent::Initializing,
        TaskEvent::Running,
        TaskEvent::Finished,
        TaskEvent::Canceled,
        TaskEvent::Failed,
        TaskEvent::Cancel,
    ];
    let to = TaskStep::To;
    let (i, u) = (TaskStep::Ignored, TaskStep::Unexpected);
    let (ends, cancels) = ([to(Finished), to(Canceled), to(Failed)], [to(Canceled); 3]);
    let [finished, canceled, failed] = ends;
    let table = [
        (
            Created,
            [to(Scheduled), u, u, u, u, u, failed, to(Canceled)],
        ),
        (
            Scheduled,
            [u, to(Deploying), u, u, u, u, failed, to(Canceled)],
        ),
        (
            Deploying,
            [
                u,
                u,
                to(Initializing),
                to(Running),
                finished,
                canceled,
                failed,
                to(Canceling),
            ],
        ),
        (
            Initializing,
            [
                u,
                u,
                i,
                to(Running),
                finished,
                canceled,
                failed,
                to(Canceling),
            ],
        ),
        (
            Running,
            [u, u, i, i, finished, canceled, failed, to(Canceling)],
        ),
        (
            Canceling,
            [u, u, i, i, cancels[0], cancels[1], cancels[2], i],
        ),
        (Canceled, [i; 8]),
        (Failed, [i; 8]),
        (Finished, [i; 8]),
    ];
    for (state, next) in table {
        for (event, next) in events.into_iter().zip(next) {
            assert_eq!(next_state(state, event), next, "{state:?} {event:?}");
        }
    }
}

#[test]
fn only_what_a_task_executor_decides_is_reported() {
    use ExecutionState::{
        Canceled, Canceling, Created, Deploying, Failed, Finished, Initializing, Running, Scheduled,
    };
    for state in [Created, Scheduled, Deploying, Canceling] {
        assert_eq!(TaskEvent::reported(state), None, "{state:?}");
    }
    let reported = [
        (Initializing, TaskEvent::Initializing),
        (Running, TaskEvent::Running),
        (Finished, TaskEvent::Finished),
        (Canceled, TaskEvent::Canceled),
        (Failed, TaskEvent::Failed),
    ];
    for (state, event) in reported {
        assert_eq!(TaskEvent::reported(state), Some(event));
    }
}
