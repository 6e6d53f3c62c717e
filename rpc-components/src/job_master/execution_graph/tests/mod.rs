mod deploy;
mod fail;
mod finish;
mod random;
mod restart;

use super::{Deploy, ExecutionGraph, ExecutionGraphConfig, GraphAction, PlanError};
use crate::gateway::{
    ExecutionState, FailureKind, JobStatus, TaskExecutionState, TaskExecutorReport, TaskIo,
    TaskManagerLocation,
};
use crate::id::{AllocationId, AttemptId, JobId, ResourceId, VertexId};
use crate::job_graph::{Edge, JobPlan, OperatorSpec, PlanVertex, RestartStrategy, Ship};
use crate::job_master::restart::RestartBackoff;

const NOW: u64 = 1_000;

/// A graph with what its JobMaster knows.
struct Fixture {
    graph: ExecutionGraph,
    slots: Vec<(AllocationId, TaskManagerLocation)>,
}

impl Fixture {
    /// A graph that is not scheduled yet, with enough slots for it: two at each of `tm0`, `tm1` ….
    fn created(plan: JobPlan) -> Self {
        let graph = graph(plan, ExecutionGraphConfig::default()).unwrap();
        let slots = (0..graph.slots_needed()).map(|slot| slot_at(&format!("tm{}", slot / 2)));
        let slots = slots.collect();
        Self { graph, slots }
    }

    /// A graph that waits for slots.
    fn scheduled(plan: JobPlan) -> Self {
        let mut fixture = Self::created(plan);
        fixture.graph.start_scheduling();
        fixture
    }

    /// A graph whose tasks are on their way.
    fn deploying(plan: JobPlan) -> Self {
        let mut fixture = Self::scheduled(plan);
        fixture.graph.slots_available(fixture.slots.clone());
        fixture
    }

    /// A graph whose tasks all run.
    fn running(plan: JobPlan) -> Self {
        let mut fixture = Self::deploying(plan);
        for attempt in fixture.all() {
            fixture.graph.deployed(attempt);
            assert_eq!(fixture.report(attempt, ExecutionState::Initializing), []);
            assert_eq!(fixture.report(attempt, ExecutionState::Running), []);
        }
        fixture
    }

    fn attempt(&self, vertex: u32, subtask: u32) -> AttemptId {
        AttemptId {
            job: self.graph.plan().job,
            vertex: VertexId(vertex),
            subtask,
            attempt: self.graph.restarts,
        }
    }

    fn all(&self) -> Vec<AttemptId> {
        self.graph.attempts(|_| true)
    }

    fn state(&self, attempt: AttemptId) -> ExecutionState {
        self.graph.execution(attempt).unwrap().state
    }

    fn states(&self) -> Vec<ExecutionState> {
        self.all()
            .into_iter()
            .map(|attempt| self.state(attempt))
            .collect()
    }

    fn report(&mut self, attempt: AttemptId, state: ExecutionState) -> Vec<GraphAction> {
        let failure = match state {
            ExecutionState::Failed => vec!["outer".into(), "inner".into()],
            _ => vec![],
        };
        self.graph
            .update_state(update(attempt, state, failure), NOW)
            .unwrap()
    }

    fn failure(&self) -> Vec<String> {
        self.graph.info(NOW).failure
    }

    /// The report of a TaskManager that has these attempts.
    fn reconcile(&mut self, name: &str, attempts: &[AttemptId]) -> Vec<GraphAction> {
        let report = TaskExecutorReport {
            attempts: attempts
                .iter()
                .map(|attempt| (*attempt, TaskIo::default()))
                .collect(),
        };
        self.graph.reconcile(&ResourceId::new(name), &report, NOW)
    }

    /// The action that cancels an attempt.
    fn cancel(&self, vertex: u32, subtask: u32) -> GraphAction {
        let attempt = self.attempt(vertex, subtask);
        let task_manager = self.slots[subtask as usize].1.resource.clone();
        GraphAction::CancelTask {
            attempt,
            task_manager,
        }
    }
}

/// A graph that is not scheduled yet, which restarts only if the plan says so.
fn graph(plan: JobPlan, config: ExecutionGraphConfig) -> Result<ExecutionGraph, PlanError> {
    let strategy = plan.restart.clone().unwrap_or(RestartStrategy::None);
    ExecutionGraph::new(plan, config, RestartBackoff::new(strategy, 1), NOW)
}

fn update(attempt: AttemptId, state: ExecutionState, failure: Vec<String>) -> TaskExecutionState {
    TaskExecutionState {
        attempt,
        state,
        failure,
        kind: FailureKind::Recoverable,
        io: TaskIo::default(),
    }
}

fn location(name: &str) -> TaskManagerLocation {
    TaskManagerLocation {
        resource: ResourceId::new(name),
        address: format!("local://{name}"),
        data_address: format!("local://{name}/data"),
    }
}

fn slot_at(name: &str) -> (AllocationId, TaskManagerLocation) {
    (AllocationId::random(), location(name))
}

const fn status(status: JobStatus) -> GraphAction {
    GraphAction::JobStatusChanged { status }
}

fn plan(vertices: &[(&str, u32)], edges: &[(u32, u32, Ship)]) -> JobPlan {
    let vertex = |(name, parallelism): &(&str, u32)| PlanVertex {
        name: (*name).to_owned(),
        operators: vec![OperatorSpec {
            name: (*name).to_owned(),
            options: [].into(),
        }],
        parallelism: *parallelism,
    };
    let edge = |(from, to, ship): &(u32, u32, Ship)| Edge {
        from: VertexId(*from),
        to: VertexId(*to),
        ship: *ship,
    };
    JobPlan {
        job: JobId::random(),
        name: "job".into(),
        vertices: vertices.iter().map(vertex).collect(),
        edges: edges.iter().map(edge).collect(),
        slot_wait: None,
        restart: None,
    }
}

/// `source` ⇒ `sink`, hashed, two subtasks each.
fn pair() -> JobPlan {
    plan(&[("source", 2), ("sink", 2)], &[(0, 1, Ship::Hash)])
}

/// One vertex.
fn single(parallelism: u32) -> JobPlan {
    plan(&[("source", parallelism)], &[])
}

fn deploys(actions: &[GraphAction]) -> Vec<&Deploy> {
    let mut deploys = Vec::new();
    for action in actions {
        if let GraphAction::Deploy(deploy) = action {
            deploys.push(&**deploy);
        }
    }
    deploys
}
