//! Jobs that run at the same time do not meet.

use std::fs;

use rpc_components::gateway::JobStatus;
use tempfile::TempDir;

use crate::fixture::{
    cluster, counted, endless, finish, in_time, transports, until_running, word_count,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_jobs_at_once_have_each_their_own_results() {
    let folder = TempDir::new().unwrap();
    let texts = ["one fish two fish", "red fish blue fish\nred"];
    let paths = [folder.path().join("a"), folder.path().join("b")];
    for (path, text) in paths.iter().zip(texts) {
        fs::write(path, text).unwrap();
    }
    for transport in transports() {
        let cluster = cluster(transport, 2, 2).await;
        let client = cluster.client().await.unwrap();
        for _ in 0..3 {
            let printed = tokio::join!(
                finish(&client, word_count(&[&paths[0]], 2)),
                finish(&client, word_count(&[&paths[1]], 2)),
            );
            let expected = (counted(&texts[..1]), counted(&texts[1..]));
            assert_eq!(printed, expected, "{transport}");
        }
        in_time(cluster.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_large_jobs_at_once_are_counted_and_listed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, "to be or not to be\n".repeat(5000)).unwrap();
    let cluster = cluster("local", 2, 2).await;
    let client = cluster.client().await.unwrap();
    let printed = tokio::join!(
        finish(&client, word_count(&[&path], 2)),
        finish(&client, word_count(&[&path], 2)),
    );
    let expected = String::from("be\t10000\nnot\t5000\nor\t5000\nto\t10000\n");
    assert_eq!(printed, (expected.clone(), expected));
    let listed = client.list_jobs().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|it| it.tasks_finished == it.tasks));
    in_time(cluster.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_beside_one_that_has_no_end() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, "a b a").unwrap();
    let cluster = cluster("local", 1, 2).await;
    let client = cluster.client().await.unwrap();
    let running = client.submit(endless(1)).await.unwrap();
    until_running(&client, running).await;
    assert_eq!(
        finish(&client, word_count(&[&path], 1)).await,
        "a\t2\nb\t1\n"
    );
    assert_eq!(
        client.job(running).await.unwrap().details.status,
        JobStatus::Running
    );
    in_time(cluster.close()).await.unwrap();
}
