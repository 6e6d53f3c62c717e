//! A job that restarts, and those whom the JobMaster talks to.

use std::time::Duration;

use bytes::Bytes;
use rpc_core::RpcError;
use rpc_core::testing::sim::SimNetwork;
use tokio::time::{Instant, advance};

use super::{Fixture, graph};
use crate::gateway::{ExecutionState, JobStatus, Shortage, SlotOffer, UnknownAttempt};
use crate::id::{AttemptId, InstanceId, ResourceId};
use crate::job_graph::JobGraph;
use crate::job_master::JobMasterConfig;
use crate::testing::until;

/// A job that needs so many slots, and may be restarted twice, after 1 s each.
fn restarting(slots: u32, slot_wait: Option<Duration>) -> JobGraph {
    JobGraph {
        restart: Some("fixed-delay:2:1".parse().unwrap()),
        ..graph(slots, slot_wait)
    }
}

impl Fixture {
    async fn restarting(slots: u32) -> Self {
        Self::alone(restarting(slots, None), |_| {}).await
    }

    /// Lets time pass, and what is due in it happen.
    async fn wait(&self, seconds: u32) {
        for _ in 0..seconds {
            advance(Duration::from_secs(1)).await;
            self.status().await;
        }
    }

    async fn restarts(&self) -> u32 {
        self.gateway.request_job().await.unwrap().details.restarts
    }

    /// Tells that two tasks that were deployed run; returns them in the order of their slots.
    async fn run_two(&self) -> [AttemptId; 2] {
        let mut attempts = [self.run().await, self.run().await];
        attempts.sort_unstable();
        attempts
    }
}

const fn next(attempt: AttemptId) -> AttemptId {
    AttemptId {
        attempt: attempt.attempt + 1,
        ..attempt
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_goes_on_in_the_slots_that_are_left_and_one_that_comes_later() {
    // Flink: JobMasterTest#testRequestNextInputSplitWithGlobalFailover,
    //   TaskExecutorITCase#testJobRecoveryWithFailingTaskExecutor,
    //   DeclarativeSlotPoolBridgeTest#testIfJobIsRestartingAllOfferedSlotsWillBeRegistered
    let fixture = Fixture::restarting(2).await;
    let _rm = fixture.start_resource_manager();
    assert_eq!(fixture.declared.next().await, 2);
    let _servers = ["a", "b", "c"].map(|name| fixture.start_task_executor(name));
    let kept = fixture.bring("a", 1).await;
    fixture.bring("b", 1).await;
    let [first, second] = fixture.run_two().await;
    assert_eq!(fixture.read(first).await, (0..40).collect::<Vec<_>>());

    fixture.leave("b").await;
    assert_eq!(fixture.status().await, JobStatus::Restarting);
    assert_eq!(fixture.cancelled.next().await, first);
    fixture.wait(5).await;
    // One task has not ended yet.
    fixture.tell(first, ExecutionState::Canceled).await.unwrap();
    assert_eq!(fixture.status().await, JobStatus::Restarting);
    assert!(fixture.tasks.take().is_empty());

    // What was needed is needed still: it need not be said again.
    let new = fixture.bring("c", 1).await;
    assert_eq!(new.len(), 1);
    let mut deployed = Vec::new();
    for _ in 0..2 {
        let task = fixture.tasks.next().await;
        deployed.push((task.attempt, task.allocation));
    }
    deployed.sort_unstable();
    assert_eq!(deployed, [(next(first), kept[0]), (next(second), new[0])]);
    assert_eq!(fixture.status().await, JobStatus::Running);
    assert_eq!(fixture.declared.take(), []);
    assert_eq!(fixture.freed.take(), []);

    // All is read again.
    assert_eq!(fixture.read(next(first)).await, (0..40).collect::<Vec<_>>());
    for attempt in [first, second] {
        let unknown = Err(RpcError::App(UnknownAttempt { attempt }));
        assert_eq!(
            fixture.gateway.request_next_input_splits(attempt, 0).await,
            unknown
        );
    }
    for attempt in [next(first), next(second)] {
        let ended = fixture.tell(attempt, ExecutionState::Finished).await;
        ended.unwrap();
    }
    let (info, _) = fixture.ended.next().await;
    assert_eq!(info.details.status, JobStatus::Finished);
    assert_eq!((info.details.restarts, info.restarts_max), (1, Some(2)));
    assert_eq!(info.restart_causes[0].failure[1], "it stops");
}

#[tokio::test(start_paused = true)]
async fn slots_are_accepted_while_the_job_restarts() {
    // Flink: JobMasterTest#testJobMasterAcceptsSlotsWhenJobIsRestarting
    let long = JobGraph {
        restart: Some("fixed-delay:1:3600".parse().unwrap()),
        ..graph(1, None)
    };
    let fixture = Fixture::alone(long, |_| {}).await;
    let _servers = ["a", "b"].map(|name| fixture.start_task_executor(name));
    fixture.bring("a", 1).await;
    let attempt = fixture.run().await;
    fixture.leave("a").await;
    assert_eq!(fixture.status().await, JobStatus::Restarting);
    // As many as it needs.
    let slots = fixture.bring("b", 2).await;
    assert_eq!(slots.len(), 1);
    assert_eq!(fixture.status().await, JobStatus::Restarting);
    assert!(fixture.tasks.take().is_empty());
    let started = Instant::now();
    fixture.wait(3590).await;
    assert!(fixture.tasks.take().is_empty());
    let task = fixture.tasks.next().await;
    assert_eq!((task.attempt, task.allocation), (next(attempt), slots[0]));
    assert_eq!(started.elapsed().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_cancelled_while_it_waits_to_restart() {
    // Flink: FLINK-3443
    let fixture = Fixture::restarting(1).await;
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    let attempt = fixture.run().await;
    fixture.tell(attempt, ExecutionState::Failed).await.unwrap();
    assert_eq!(fixture.status().await, JobStatus::Restarting);
    let started = Instant::now();
    fixture.gateway.cancel().await.unwrap();
    assert_eq!(fixture.end().await, (JobStatus::Canceled, vec![]));
    assert!(started.elapsed() < Duration::from_secs(1));
    fixture.server.terminated().await.unwrap();
    assert!(fixture.tasks.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_too_often_fails() {
    let fixture = Fixture::restarting(1).await;
    let _te = fixture.start_task_executor("te");
    let slots = fixture.bring("te", 1).await;
    let started = Instant::now();
    let mut attempt = fixture.run().await;
    for restart in 1..=2 {
        fixture.tell(attempt, ExecutionState::Failed).await.unwrap();
        let again = fixture.run().await;
        assert_eq!(again, next(attempt));
        assert_eq!(started.elapsed().as_secs(), restart);
        attempt = again;
    }
    // It kept its slot all the time.
    assert_eq!(fixture.freed.take(), []);
    fixture.tell(attempt, ExecutionState::Failed).await.unwrap();
    let (status, failure) = fixture.end().await;
    assert_eq!(status, JobStatus::Failed);
    assert!(failure[0].contains("restarted 2 times"), "{failure:?}");
    assert_eq!(fixture.freed.next().await, slots[0]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_says_nothing_restarts_as_the_cluster_does() {
    let graph = JobGraph {
        restart: None,
        ..graph(1, None)
    };
    let change = |it: &mut JobMasterConfig| it.restart = "fixed-delay:7:2".parse().unwrap();
    let fixture = Fixture::alone(graph, change).await;
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    let attempt = fixture.run().await;
    let info = fixture.gateway.request_job().await.unwrap();
    assert_eq!((info.details.restarts, info.restarts_max), (0, Some(7)));
    fixture.tell(attempt, ExecutionState::Failed).await.unwrap();
    let started = Instant::now();
    fixture.run().await;
    assert_eq!(started.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_was_given_is_printed_again() {
    let change = |it: &mut JobMasterConfig| it.results_bytes_max = 4;
    let fixture = Fixture::alone(restarting(1, None), change).await;
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    let first = fixture.run().await;
    fixture.print(first, 0, "abcd").await.unwrap();
    let waiting = fixture.print(first, 4, "efgh");
    let fixture_task = fixture.tell(first, ExecutionState::Failed);
    fixture_task.await.unwrap();
    // The sink that waits for room is not to wait for ever.
    assert!(matches!(waiting.await, Err(RpcError::Failed(_))));
    let fetching = fixture.gateway.fetch_results(0);
    let second = fixture.run().await;
    fixture.print(second, 0, "ABCD").await.unwrap();
    assert_eq!(fetching.await, Ok(Bytes::from("ABCD")));
    fixture
        .tell(second, ExecutionState::Finished)
        .await
        .unwrap();
    let (info, bytes) = fixture.ended.next().await;
    assert_eq!((info.details.status, bytes), (JobStatus::Finished, 4));
    assert_eq!(fixture.gateway.fetch_results(4).await, Ok(Bytes::new()));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_to_end_prints_nothing() {
    let fixture = Fixture::restarting(2).await;
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 2).await;
    let [first, second] = fixture.run_two().await;
    let fetching = fixture.gateway.fetch_results(0);
    fixture.tell(first, ExecutionState::Failed).await.unwrap();
    // It has not heard of it yet.
    let late = fixture.print(second, 0, "late");
    let unknown = Err(RpcError::App(UnknownAttempt { attempt: second }));
    assert_eq!(late.await, unknown);
    fixture
        .tell(second, ExecutionState::Canceled)
        .await
        .unwrap();
    let again = fixture.run().await;
    let sent = fixture.print(again, 0, "again");
    sent.await.unwrap();
    assert_eq!(fetching.await, Ok(Bytes::from("again")));
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_results_a_client_was_given_is_not_restarted() {
    let fixture = Fixture::restarting(1).await;
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    let attempt = fixture.run().await;
    let fetching = fixture.gateway.fetch_results(0);
    let sent = fixture.print(attempt, 0, "a");
    sent.await.unwrap();
    assert_eq!(fetching.await, Ok(Bytes::from("a")));
    fixture.tell(attempt, ExecutionState::Failed).await.unwrap();
    let (status, failure) = fixture.end().await;
    assert_eq!(status, JobStatus::Failed);
    assert!(failure[0].contains("printed twice"), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_job_waits_for_slots_no_longer_than_it_may() {
    let wait = Duration::from_secs(30);
    let fixture = Fixture::alone(restarting(1, Some(wait)), |_| {}).await;
    let _rm = fixture.start_resource_manager();
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    fixture.run().await;
    // The time before the first attempt is over, and says nothing of the next.
    fixture.wait(29).await;
    fixture.leave("te").await;
    let started = Instant::now();
    let shortage = Shortage {
        needed: 1,
        acquired: 0,
        slots: 0,
        slots_free: 0,
    };
    fixture
        .gateway
        .notify_not_enough_resources_available(shortage);
    let (status, failure) = fixture.end().await;
    assert_eq!(status, JobStatus::Failed);
    assert!(failure[0].starts_with("not enough slots"), "{failure:?}");
    assert_eq!(failure.last().unwrap(), "it stops");
    // After the delay.
    assert_eq!(started.elapsed().as_secs(), 31);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_wait_gives_the_resource_manager_time_to_notice_the_loss() {
    let fixture = Fixture::alone(restarting(1, Some(Duration::ZERO)), |_| {}).await;
    let _rm = fixture.start_resource_manager();
    let _servers = ["a", "b"].map(|name| fixture.start_task_executor(name));
    for name in ["a", "b"] {
        fixture.bring(name, 1).await;
        fixture.run().await;
        fixture.leave(name).await;
        let shortage = Shortage {
            needed: 1,
            acquired: 0,
            slots: 1,
            slots_free: 0,
        };
        fixture
            .gateway
            .notify_not_enough_resources_available(shortage);
        fixture.wait(9).await;
        assert_eq!(fixture.status().await, JobStatus::Restarting);
    }
    let started = Instant::now();
    assert_eq!(fixture.end().await.0, JobStatus::Failed);
    assert_eq!(started.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_task_manager_that_has_died_is_not_given_the_next_attempt() {
    // A restart that picks the dead TaskManager again burns one attempt after the other.
    let network = SimNetwork::seeded(1);
    let (fixture, far) = Fixture::far_with(&network, restarting(1, None)).await;
    let far_te = fixture.bring_far(&far, "far").await;
    fixture.run().await;
    let _near = fixture.start_task_executor("near");
    far.abort();
    network.crash("te");
    until(async || fixture.status().await == JobStatus::Restarting).await;
    fixture.bring_from("near", "sim://jm/near", 1).await;
    fixture.run().await;
    assert_eq!(fixture.restarts().await, 1);
    drop(far_te);
}

#[tokio::test(start_paused = true)]
async fn a_slot_of_a_task_manager_that_may_be_dead_is_not_taken() {
    let network = SimNetwork::seeded(1);
    let (fixture, far) = Fixture::far_with(&network, restarting(2, None)).await;
    let near = fixture.start_task_executor("near");
    let _far = fixture.bring_far(&far, "far").await;
    fixture.bring_from("near", "sim://jm/near", 1).await;
    let [at_far, at_near] = fixture.run_two().await;
    fixture
        .tell(at_far, ExecutionState::Finished)
        .await
        .unwrap();
    // It is dead, but nobody knows: nothing runs there, and nothing is to be cancelled there.
    far.abort();
    network.crash("te");
    fixture.tell(at_near, ExecutionState::Failed).await.unwrap();
    until(async || fixture.offer("near", 1).await.unwrap().len() == 1).await;
    for _ in 0..2 {
        fixture.run().await;
    }
    assert_eq!(fixture.restarts().await, 1);
    drop(near);
}

#[tokio::test(start_paused = true)]
async fn a_task_manager_that_registers_again_is_not_in_doubt_any_more() {
    let network = SimNetwork::seeded(1);
    let (fixture, far) = Fixture::far_with(&network, restarting(1, None)).await;
    let _far = fixture.start_silent_task_executor_in(&far, "te");
    let (job, session) = (fixture.job, InstanceId::random());
    fixture
        .register_for(job, "te", "sim://te/te", session)
        .await;
    let allocation = fixture.offer("te", 1).await.unwrap();
    let attempt = fixture.run().await;
    // What is under way has arrived: a call that is lost would lose it.
    fixture.wait(1).await;
    // It takes longer to reach it again than the job waits to restart.
    let latency = Duration::from_secs(1);
    network.set_latency(latency..=latency);
    network.reset("jm", "te");
    fixture.tell(attempt, ExecutionState::Failed).await.unwrap();
    fixture.wait(2).await;
    // Its slot is there, and is not taken.
    fixture.registration("te").await;
    assert_eq!(fixture.status().await, JobStatus::Restarting);
    assert!(fixture.tasks.take().is_empty());
    // It is there again, by another way.
    let _near = fixture.start_task_executor("te");
    fixture.register("te", session).await;
    let offer = SlotOffer {
        allocation: allocation[0],
        slot_index: 0,
    };
    let again = fixture
        .gateway
        .offer_slots(ResourceId::new("te"), vec![offer]);
    assert_eq!(again.await, Ok(vec![offer]));
    assert_eq!(fixture.run().await, next(attempt));
    // What comes of the attempt to reach it by the old one says nothing.
    fixture.wait(5).await;
    assert_eq!(fixture.status().await, JobStatus::Running);
    assert_eq!(fixture.parted.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_task_manager_that_does_not_answer_a_cancel_is_left() {
    let network = SimNetwork::seeded(1);
    let (fixture, far) = Fixture::far_with(&network, restarting(2, None)).await;
    let _near = fixture.start_task_executor("near");
    let _hung = fixture.bring_far(&far, "hung").await;
    fixture.bring_from("near", "sim://jm/near", 1).await;
    let [at_hung, at_near] = fixture.run_two().await;
    network.pause("te");
    let started = Instant::now();
    fixture.tell(at_near, ExecutionState::Failed).await.unwrap();
    until(async || fixture.offer("near", 1).await.unwrap().len() == 1).await;
    assert_eq!(started.elapsed().as_secs(), 10);
    let again = fixture.run_two().await;
    assert_eq!(again, [next(at_hung), next(at_near)]);
    assert_eq!(fixture.restarts().await, 1);
}
