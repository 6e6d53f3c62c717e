//! A job fails for a reason that is told, and the cluster goes on.

use rpc_components::gateway::JobStatus;
use rpc_components::job_graph::{OperatorSpec, RestartStrategy};
use rpc_components::mini_cluster::{MiniCluster, MiniClusterConfig};
use rpc_components::operator::{
    Collector, Operator, OperatorContext, OperatorError, OperatorRegistry, Record,
};

use crate::fixture::{chain, cluster_with, finish, in_time, run, transports, until};

/// Goes wrong in the way that it is named for.
struct Faulty(&'static str);

impl Operator for Faulty {
    fn open(&mut self, _: &OperatorContext) -> Result<(), OperatorError> {
        match self.0 {
            "fails-to-open" => Err(OperatorError::other("Test exception")),
            _ => Ok(()),
        }
    }

    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        match self.0 {
            "panics" => panic!("Test exception"),
            "fails" => Err(OperatorError::other("Test exception")),
            _ => out.emit(record),
        }
    }
}

const FAULTS: [&str; 3] = ["fails", "fails-to-open", "panics"];

fn faulty() -> OperatorRegistry {
    let mut operators = OperatorRegistry::new();
    for fault in FAULTS {
        operators
            .register_transform(fault, move |_| Ok(Faulty(fault)))
            .unwrap();
    }
    operators
}

fn source(count: u32) -> OperatorSpec {
    OperatorSpec::new("generator-source").with("count", count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_operator_goes_wrong_fails_with_its_name_and_the_cluster_goes_on() {
    // Flink: MiniClusterITCase#testJobWithAFailingReceiverVertex,
    //   #testJobWithAllVerticesFailingDuringInstantiation
    for transport in transports() {
        let cluster = cluster_with(transport, 1, 2, faulty(), |_| {}).await;
        let client = cluster.client().await.unwrap();
        for fault in FAULTS {
            let sink = OperatorSpec::new("stdout-sink");
            let mut graph = chain([source(1000), OperatorSpec::new(fault), sink], 2);
            graph.restart = Some(RestartStrategy::None);
            let (result, _) = run(&client, graph).await;
            assert_eq!(result.status, JobStatus::Failed);
            let failure = result.failure.join(": ");
            assert!(failure.contains(&format!("-> {fault} ->")), "{failure}");
            assert!(failure.ends_with("Test exception"), "{failure}");
        }
        until(async || client.overview().await.unwrap().slots_free == 2).await;
        let graph = chain([source(1), OperatorSpec::new("stdout-sink")], 1);
        assert_eq!(finish(&client, graph).await.lines().count(), 1);
        in_time(cluster.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_more_slots_than_are_allowed_does_not_start() {
    let mut config = MiniClusterConfig::default();
    config.slots = 5000;
    let operators = std::sync::Arc::new(OperatorRegistry::new());
    let Err(error) = in_time(MiniCluster::start(operators, config)).await else {
        panic!("its task manager is rejected");
    };
    let cause = error.source().unwrap().to_string();
    assert!(
        cause.contains("tm-1 has 5000 slots, and at most 1024 are allowed"),
        "{cause}"
    );
}
