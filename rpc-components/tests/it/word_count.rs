//! A word count gives what a naive count gives.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::fixture::{cluster, counted, finish, in_time, transports, word_count};

/// Texts that are easily counted wrongly, by the names of their files.
const TEXTS: [(&str, &str); 7] = [
    ("ascii.txt", "The cat sat on the mat; THE MAT SAT.\nNo.1\n"),
    ("crlf.txt", "one\r\ntwo\r\none\r\n"),
    ("empty.txt", ""),
    ("lines.txt", "\n\n\nlonely\n\n"),
    ("no-final-newline.txt", "first line\nlast line"),
    ("signs.txt", "--- ... !!!\n\t \u{a0}\u{2003}\n"),
    (
        "unicode.txt",
        "Straße STRASSE straße\nΟΔΥΣΣΕΥΣ Οδυσσεύς ΣΑΣ\nİstanbul ISTANBUL ıstanbul\n\
         東京 東京タワー １２３ ١٢٣ ½ Ⅷ ⅷ\nnaïve nai\u{308}ve e\u{301} \u{1d400}\u{1d41a} ǅ ǆ\n",
    ),
];

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_counted_over_every_transport() {
    // Flink: MiniClusterITCase#runJobWithMultipleRpcServices, #testBipartiteJob
    let folder = TempDir::new().unwrap();
    let paths = TEXTS.map(|(name, text)| write(&folder, name, text));
    let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
    for transport in transports() {
        let cluster = cluster(transport, 2, 2).await;
        let client = cluster.client().await.unwrap();
        for parallelism in [1, 4] {
            let printed = finish(&client, word_count(&paths, parallelism)).await;
            assert_eq!(
                printed,
                counted(&TEXTS.map(|(_, text)| text)),
                "{transport}"
            );
        }
        in_time(cluster.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_file_is_counted_by_itself() {
    let folder = TempDir::new().unwrap();
    let cluster = cluster("local", 1, 1).await;
    let client = cluster.client().await.unwrap();
    for (name, text) in TEXTS {
        let path = write(&folder, name, text);
        let printed = finish(&client, word_count(&[&path], 1)).await;
        assert_eq!(printed, counted(&[text]), "{name}");
    }
    in_time(cluster.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_files_in_a_folder_are_counted_together() {
    let folder = TempDir::new().unwrap();
    let texts: Vec<String> = (0..200)
        .map(|number| format!("file {number}\nwith words, {} and more", number % 7))
        .collect();
    for (number, text) in texts.iter().enumerate() {
        write(&folder, &format!("{number}.txt"), text);
    }
    let expected: Vec<_> = texts.iter().map(String::as_str).collect();
    for transport in transports() {
        let cluster = cluster(transport, 3, 1).await;
        let client = cluster.client().await.unwrap();
        let printed = finish(&client, word_count(&[folder.path()], 3)).await;
        assert_eq!(printed, counted(&expected), "{transport}");
        in_time(cluster.close()).await.unwrap();
    }
}
