//! A job that cannot run is refused when it is submitted, with an error that says what is wrong.

use std::path::Path;

use rpc_components::client::{ClientError, ClusterClient};
use rpc_components::gateway::SubmitError;
use rpc_components::id::VertexId;
use rpc_components::job_graph::{
    Edge, JobGraph, JobGraphError, OperatorSpec, OperatorSpecError, Ship,
};
use rpc_components::rpc_core::RpcError;

use crate::fixture::{chain, cluster, endless, in_time, run, transports, word_count};

async fn refusal(client: &ClusterClient, graph: JobGraph) -> SubmitError {
    match client.submit(graph).await {
        Err(ClientError::Submit(RpcError::App(refusal))) => refusal,
        answer => panic!("{answer:?}"),
    }
}

async fn invalid(client: &ClusterClient, graph: JobGraph) -> JobGraphError {
    let id = graph.id;
    match refusal(client, graph).await {
        SubmitError::Invalid { job, source } if job == id => *source,
        refusal => panic!("{refusal:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_cannot_run_is_refused() {
    for transport in transports() {
        let cluster = cluster(transport, 1, 1).await;
        let client = cluster.client().await.unwrap();

        let missing = word_count(&[Path::new("/no/such/file")], 1);
        let (id, refused) = (missing.id, refusal(&client, missing).await);
        let SubmitError::Failed { job, source } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(
            (job, source.to_string().as_str()),
            (id, "cannot read /no/such/file")
        );

        let mut unknown = endless(1);
        unknown.vertices[0].operator = OperatorSpec::new("no-such-source");
        let JobGraphError::Operator { vertex, source } = invalid(&client, unknown).await else {
            panic!("it names the vertex");
        };
        assert_eq!(vertex, "generator-source");
        assert!(
            matches!(source, OperatorSpecError::UnknownOperator { .. }),
            "{source:?}"
        );

        let words = || OperatorSpec::new("words");
        let mut cyclic = chain([words(), words()], 1);
        cyclic.vertices[1].name = String::from("again");
        cyclic.edges.push(Edge {
            from: VertexId(1),
            to: VertexId(0),
            ship: Ship::Forward,
        });
        let error = invalid(&client, cyclic).await;
        assert!(matches!(error, JobGraphError::Cycle { .. }), "{error:?}");

        let mut empty = endless(1);
        (empty.vertices, empty.edges) = (vec![], vec![]);
        assert_eq!(invalid(&client, empty).await, JobGraphError::Empty);

        // None of them is known afterwards.
        assert_eq!(client.list_jobs().await.unwrap(), []);
        in_time(cluster.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_not_run_twice() {
    // Flink: DispatcherTest#testDuplicateJobSubmissionWithRunningJobId,
    //   #testDuplicateJobSubmissionWithGloballyTerminatedAndCleanedJob
    let cluster = cluster("local", 1, 1).await;
    let client = cluster.client().await.unwrap();
    let mut graph = endless(1);
    graph.vertices[0].operator = OperatorSpec::new("generator-source").with("count", 10);
    let running = endless(1);
    let job = client.submit(running.clone()).await.unwrap();
    let duplicate = SubmitError::Duplicate {
        job,
        has_ended: false,
    };
    assert_eq!(refusal(&client, running).await, duplicate);
    client.cancel(job).await.unwrap();
    let (result, _) = run(&client, graph.clone()).await;
    let duplicate = SubmitError::Duplicate {
        job: result.job,
        has_ended: true,
    };
    assert_eq!(refusal(&client, graph).await, duplicate);
    in_time(cluster.close()).await.unwrap();
}
