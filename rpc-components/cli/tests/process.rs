//! The cluster as people run it: processes that are started, asked, ended and killed.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod child;
mod proxy;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use self::child::{Child, Ended};
use self::proxy::Proxy;

#[test]
fn a_cluster_over_plain_tcp_counts_words() {
    counts_words("tcp", &[]);
}

#[test]
fn a_cluster_over_tcp_with_certificates_counts_words() {
    let folder = certificates();
    counts_words("tcp", &tls(folder.path(), folder.path()));
}

#[test]
fn a_cluster_over_quic_with_certificates_counts_words() {
    let folder = certificates();
    counts_words("quic", &tls(folder.path(), folder.path()));
}

fn counts_words(scheme: &str, security: &[String]) {
    let mut cluster = Cluster::start(scheme, security);
    let _task_managers = [cluster.add("tm-a", 1), cluster.add("tm-b", 1)];
    let text = text();
    let input = cluster.write("in.txt", &text);
    let run = ["run", "word-count", "--parallelism", "2", "--input", &input];
    let printed = cluster.ask(&run).end();
    assert_eq!(printed.status, Some(0), "{printed:#?}");
    assert!(printed.stderr.is_empty(), "{printed:#?}");
    assert_eq!(printed.stdout, count(&text));

    let output = cluster.path("out.tsv");
    let written = cluster.ask(&[&run[..], &["--output", &output]].concat());
    let written = written.end();
    assert_eq!((written.status, written.stdout.as_str()), (Some(0), ""));
    assert!(written.stderr.is_empty(), "{written:#?}");
    assert_eq!(fs::read_to_string(output).unwrap(), count(&text));
}

#[test]
fn a_killed_task_manager_costs_its_job_some_time_and_nothing_else() {
    // Flink: TaskExecutorITCase#testJobRecoveryWithFailingTaskExecutor, and of what is written
    let mut cluster = Cluster::start("tcp", &[]);
    let killed = cluster.add("tm-a", 1);
    let _others = [cluster.add("tm-b", 1), cluster.add("tm-c", 1)];
    let output = cluster.path("out");
    let writes = cluster.write("writes.toml", &WRITES.replace("OUTPUT", &output));
    let run = cluster.ask(&["run", "--job", &writes, "--parallelism", "2"]);
    // By then its sink has begun to write, and leaves that behind.
    let hidden = |name: &str| name.starts_with('.');
    cluster.job_manager.stderr_line("status=RUNNING");
    until(|| names_in(&output).iter().filter(|name| hidden(name)).count() == 2);
    killed.signal("KILL");
    cluster.job_manager.stderr_line("status=RESTARTING");
    let run = run.end();
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), ""), "{run:#?}");
    let said = run.only_line();
    assert!(said.contains("was restarted once: task "), "{said}");

    assert_eq!(names_in(&output), ["part-0", "part-1"]);
    let undisturbed = cluster.path("undisturbed");
    let writes = WRITES.replace("OUTPUT", &undisturbed);
    let writes = cluster.write("undisturbed.toml", &writes.replace("rate = 100", ""));
    let run = cluster.ask(&["run", "--job", &writes, "--parallelism", "2"]);
    succeeds(run.end(), "");
    for part in ["part-0", "part-1"] {
        let read = |folder: &str| fs::read_to_string(Path::new(folder).join(part)).unwrap();
        assert_eq!(read(&output), read(&undisturbed), "{part}");
    }

    let listed = cluster.ask(&["list"]).end();
    let row = |place| listed.stdout.lines().nth(place).unwrap().split_whitespace();
    assert!(row(0).eq(["JOB", "STATUS", "TASKS", "RESTARTS", "TIME", "NAME"]));
    assert_eq!(row(2).nth(3), Some("1"), "{listed:#?}");
    let id = row(2).next().unwrap().to_owned();
    let info = cluster.ask(&["info", &id]).end().stdout;
    assert!(info.contains("\nrestarts 1 of 3\n"), "{info}");
    assert!(info.contains("\nrestart after "), "{info}");
}

#[test]
fn a_killed_task_manager_fails_a_job_that_has_printed_and_the_next_runs_on_the_other() {
    let mut cluster = Cluster::start("tcp", &[]);
    let killed = cluster.add("tm-a", 1);
    let _other = cluster.add("tm-b", 1);
    let job = cluster.write("endless.toml", ENDLESS);
    let mut run = cluster.ask(&["run", "--job", &job, "--parallelism", "2"]);
    run.stdout_line(" ");
    killed.signal("KILL");
    let run = run.end();
    assert_eq!(run.status, Some(1), "{run:#?}");
    let said = run.only_line();
    assert!(said.contains("would be printed twice"), "{said}");

    let input = cluster.write("in.txt", "to be or not to be");
    let run = cluster.ask(&["run", "word-count", "--input", &input, "--wait-for-slots"]);
    succeeds(run.end(), "be\t2\nnot\t1\nor\t1\nto\t2\n");
}

#[test]
fn a_killed_job_manager_ends_who_follows_a_job() {
    let mut cluster = Cluster::start("tcp", &[]);
    let task_manager = cluster.add("tm-a", 1);
    let job = cluster.write("endless.toml", ENDLESS);
    let mut run = cluster.ask(&["run", "--job", &job]);
    run.stdout_line(" ");
    cluster.job_manager.signal("KILL");
    let run = run.end();
    assert_eq!(run.status, Some(1), "{run:#?}");
    let authority = cluster.address.trim_start_matches("tcp://");
    let said = run.only_line();
    assert!(said.contains(authority), "{said}");
    assert!(said.contains("may still run"), "{said}");

    // Without a JobManager it ends as well as with one.
    task_manager.signal("TERM");
    assert_eq!(task_manager.end().status, Some(0));
}

#[test]
fn who_follows_a_job_and_loses_the_connection_makes_another() {
    let (mut cluster, proxy) = Cluster::behind_a_proxy();
    let _task_manager = cluster.add("tm-a", 1);
    let prints = WRITES.replace("'file-sink'\npath = 'OUTPUT'", "'stdout-sink'");
    let job = cluster.write("prints.toml", &prints);
    proxy.hold_at("generator-source");
    let mut run = cluster.ask(&["run", "--job", &job]);
    proxy.wait_until_held();
    proxy.release();
    run.stdout_line(" ");
    proxy.cut();
    let run = run.end();
    let job = cluster.write("undisturbed.toml", &prints.replace("rate = 100", ""));
    let undisturbed = cluster.ask(&["run", "--job", &job]).end();
    assert_eq!(undisturbed.stdout.lines().count(), 300);
    succeeds(run, &undisturbed.stdout);
}

#[test]
fn a_signal_ends_the_processes_well_though_a_job_runs() {
    let mut cluster = Cluster::start("tcp", &[]);
    let task_manager = cluster.add("tm-a", 1);
    let job = cluster.write("endless.toml", ENDLESS);
    let mut run = cluster.ask(&["run", "--job", &job]);
    run.stdout_line(" ");
    task_manager.signal("TERM");
    let task_manager = task_manager.end();
    assert_eq!(task_manager.status, Some(0), "{task_manager:#?}");
    let run = run.end();
    assert_eq!(run.status, Some(1), "{run:#?}");
    assert!(run.only_line().contains("tm-a"), "{run:#?}");

    let _task_manager = cluster.add("tm-b", 1);
    let mut run = cluster.ask(&["run", "--job", &job]);
    run.stdout_line(" ");
    cluster.job_manager.signal("TERM");
    let job_manager = cluster.job_manager.end();
    assert_eq!(job_manager.status, Some(0), "{job_manager:#?}");
    let run = run.end();
    assert_eq!(run.status, Some(1), "{run:#?}");
    run.only_line();
}

#[test]
fn a_task_manager_registers_when_its_job_manager_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let mut task_manager = task_manager(folder.path(), &address, "tm-early", 1, &[]);
    task_manager.stderr_line("cannot connect yet");
    let mut cluster = Cluster::start_at(&address, &[]);
    cluster.registered("tm-early");

    let input = cluster.write("in.txt", "to be");
    let run = cluster.ask(&["run", "word-count", "--input", &input]);
    succeeds(run.end(), "be\t1\nto\t1\n");
}

#[test]
fn a_task_manager_says_that_it_cannot_register_whatever_is_to_be_logged() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut command = rpc_cluster();
    command.args(["taskmanager", "--jobmanager", &address]);
    let mut task_manager = Child::start(command.env_remove("RUST_LOG"));
    let said = task_manager.stderr_line("cannot connect yet");
    assert!(said.contains("WARN"), "{said}");
}

#[test]
fn a_file_that_may_not_be_so_large_fails_its_job_and_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name).to_str().unwrap().to_owned();
    let words: Vec<String> = (0..10_000).map(|it| format!("word{it}")).collect();
    fs::write(path("in.txt"), words.join(" ")).unwrap();
    let mut limited = Command::new("sh");
    let script = r#"ulimit -f 8; exec "$0" "$@""#;
    limited.args(["-c", script, env!("CARGO_BIN_EXE_rpc-cluster")]);
    limited.args(["run", "word-count", "--restart", "none"]);
    limited.args(["--input", &path("in.txt"), "--output", &path("out")]);
    let limited = Child::start(&mut limited).end();
    assert_eq!(limited.status, Some(1), "{limited:#?}");
    let said = limited.stderr.join("\n");
    assert!(said.contains("File too large"), "{said}");
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "only what is read"
    );
}

#[test]
fn a_task_manager_that_cannot_register_says_so_once() {
    let (ours, theirs) = (certificates(), certificates());
    let cluster = Cluster::start("tcp", &tls(ours.path(), ours.path()));
    let theirs = tls(theirs.path(), theirs.path());
    let folder = cluster.folder.path();
    let mut stranger = task_manager(folder, &cluster.address, "tm-a", 1, &theirs);
    let said = stranger.stderr_line("cannot connect yet");
    assert!(said.contains("WARN"), "{said}");
    assert!(said.contains("invalid peer certificate"), "{said}");
    for _ in 0..3 {
        let said = stranger.stderr_line("cannot connect yet");
        assert!(said.contains("INFO"), "{said}");
    }
}

#[test]
fn a_task_manager_whose_name_another_has_ends_and_the_other_goes_on() {
    let mut cluster = Cluster::start("tcp", &[]);
    let first = cluster.add("tm-a", 1);
    let second = task_manager(cluster.folder.path(), &cluster.address, "tm-a", 1, &[]).end();
    assert_eq!(second.status, Some(1), "{second:#?}");
    let said = second.stderr.last().unwrap();
    assert!(
        said.contains("rejects the task manager: another task manager has the name tm-a"),
        "{said}"
    );
    assert!(!said.contains("failure while stopping"), "{said}");
    let input = cluster.write("in.txt", "to be");
    let run = cluster.ask(&["run", "word-count", "--input", &input]);
    succeeds(run.end(), "be\t1\nto\t1\n");

    // One that was killed leaves its name to its successor.
    first.signal("KILL");
    let _successor = cluster.add("tm-a", 1);
    let run = cluster.ask(&["run", "word-count", "--input", &input]);
    succeeds(run.end(), "be\t1\nto\t1\n");
}

#[test]
fn a_job_with_too_few_slots_fails_with_the_numbers_or_waits() {
    let mut cluster = Cluster::start("tcp", &[]);
    let _task_manager = cluster.add("tm-a", 1);
    let input = cluster.write("in.txt", "to be");
    let run = ["run", "word-count", "--parallelism", "2", "--input", &input];
    let hurried = cluster.ask(&[&run[..], &["--slot-timeout", "0.1"]].concat());
    let hurried = hurried.end();
    assert_eq!((hurried.status, hurried.stdout.as_str()), (Some(1), ""));
    let said = hurried.only_line();
    assert!(said.contains("needs 2") && said.contains("has 1"), "{said}");
    // As the job's own file may say.
    let impatient = format!("slot_wait_seconds = 0\n{ENDLESS}");
    let job = cluster.write("impatient.toml", &impatient);
    let hurried = cluster.ask(&["run", "--job", &job, "--parallelism", "2"]);
    assert_eq!(hurried.end().status, Some(1));

    let patient = cluster.ask(&[&run[..], &["--wait-for-slots"]].concat());
    for _ in 0..3 {
        cluster.job_manager.stderr_line("job starts");
    }
    let _task_manager = cluster.add("tm-b", 1);
    succeeds(patient.end(), "be\t1\nto\t1\n");
}

#[test]
fn a_detached_job_is_listed_shown_and_cancelled() {
    let mut cluster = Cluster::start("tcp", &[]);
    let _task_manager = cluster.add("tm-a", 1);
    let output = cluster.path("out.tsv");
    let endless = ENDLESS.replace("'stdout-sink'", &format!("'file-sink'\npath = '{output}'"));
    let job = cluster.write("endless.toml", &endless);
    let run = cluster.ask(&["run", "--job", &job, "--detached"]).end();
    assert_eq!(run.status, Some(0), "{run:#?}");
    assert!(run.stderr.is_empty(), "{run:#?}");
    let id = run.stdout.trim();
    assert_eq!(id.len(), 32, "{run:#?}");
    cluster.job_manager.stderr_line("status=RUNNING");

    let shows = |command: &[&str], parts: &[&str]| {
        let ended = cluster.ask(command).end();
        assert_eq!(ended.status, Some(0), "{ended:#?}");
        assert!(ended.stderr.is_empty(), "{ended:#?}");
        for part in parts {
            assert!(ended.stdout.contains(part), "no {part}: {ended:#?}");
        }
    };
    shows(&["list"], &["JOB", id, "RUNNING", "endless"]);
    shows(&["info", id], &[id, "RUNNING", "lines", "tm-a"]);
    shows(&["task-managers"], &["TASK MANAGER", "tm-a"]);
    shows(&["metrics"], &["PROCESS", "tm-a", "jobmanager"]);

    // To nobody, and to somebody who has gone.
    for script in [
        r#""$0" "$@" >&-"#,
        r#"("$0" "$@"; echo "status $?" >&2) | true"#,
    ] {
        let mut unread = Command::new("sh");
        unread.args(["-c", script, env!("CARGO_BIN_EXE_rpc-cluster")]);
        let unread = unread.args(["list", "--target", &cluster.address]);
        let unread = Child::start(unread).end();
        assert_eq!((unread.status, unread.stdout.as_str()), (Some(0), ""));
        let status = unread.stderr.iter().all(|line| line == "status 0");
        assert!(status, "{unread:#?}");
    }

    let canceled = cluster.ask(&["cancel", id]).end();
    assert_eq!((canceled.status, canceled.stdout.as_str()), (Some(0), ""));
    assert!(canceled.only_line().contains(id), "{canceled:#?}");
    shows(&["list"], &[id, "CANCELED"]);
    shows(&["info", id], &[id, "CANCELED"]);
    assert!(!Path::new(&output).exists());

    let unknown = "0".repeat(32);
    for command in ["cancel", "info"] {
        let refused = cluster.ask(&[command, &unknown]).end();
        assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
        assert!(refused.only_line().contains(&unknown), "{refused:#?}");
    }
}

#[test]
fn who_follows_a_job_and_goes_away_cancels_it() {
    let mut cluster = Cluster::start("tcp", &[]);
    let _task_manager = cluster.add("tm-a", 1);
    let job = cluster.write("endless.toml", ENDLESS);
    let mut run = cluster.ask(&["run", "--job", &job]);
    run.stdout_line(" ");
    run.signal("INT");
    let run = run.end();
    assert_eq!(run.status, Some(1), "{run:#?}");
    assert!(run.only_line().contains("interrupted"), "{run:#?}");
    cluster.job_manager.stderr_line("status=CANCELED");

    let mut piped = Command::new("sh");
    piped.args(["-c", r#"("$0" "$@"; echo "status $?" >&2) | head -1"#]);
    piped.arg(env!("CARGO_BIN_EXE_rpc-cluster"));
    piped.args(["run", "--job", &job, "--target", &cluster.address]);
    let piped = Child::start(&mut piped).end();
    assert_eq!(piped.stdout.lines().count(), 1, "{piped:#?}");
    assert!(piped.stderr[0].contains("nobody reads"), "{piped:#?}");
    assert_eq!(piped.stderr[1..], ["status 1"]);
    cluster.job_manager.stderr_line("status=CANCELED");
}

#[test]
fn a_second_signal_does_not_wait_for_a_job_manager_that_hangs() {
    let mut cluster = Cluster::start("tcp", &[]);
    let _task_manager = cluster.add("tm-a", 1);
    let job = cluster.write("endless.toml", ENDLESS);
    let mut run = cluster.ask(&["run", "--job", &job]);
    run.stdout_line(" ");
    let listed = cluster.ask(&["list"]).end();
    let id = listed.stdout.lines().nth(1).unwrap()[..32].to_owned();
    cluster.job_manager.signal("STOP");
    // Two kinds, so that neither is taken for the other.
    run.signal("INT");
    run.signal("TERM");
    let run = run.end();
    cluster.job_manager.signal("CONT");
    assert_eq!(run.status, Some(1), "{run:#?}");
    let said = run.only_line();
    assert!(
        said.contains(&id) && said.contains("second signal") && said.contains("may still run"),
        "{said}"
    );
}

#[test]
fn a_second_signal_does_not_wait_for_a_task_that_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let (input, pipe) = (folder.path().join("in.txt"), pipe(folder.path()));
    fs::write(&input, "to be").unwrap();
    let mut run = rpc_cluster();
    run.args(["run", "word-count", "--log", LOG, "--input"]);
    let mut run = Child::start(run.arg(input).arg("--output").arg(pipe));
    // Its sink waits for somebody to read from the pipe.
    run.stderr_line("status=RUNNING");
    run.signal("INT");
    run.stderr_line("status=CANCELLING");
    run.signal("TERM");
    let signalled = Instant::now();
    let run = run.end();
    assert_eq!(run.status, Some(1), "{run:#?}");
    let took = signalled.elapsed();
    assert!(took < HURRIED, "{took:?} {run:#?}");
}

#[test]
fn a_job_that_is_interrupted_while_it_is_submitted_is_cancelled() {
    let (mut cluster, proxy) = Cluster::behind_a_proxy();
    let _task_manager = cluster.add("tm-a", 1);
    let job = cluster.write("endless.toml", ENDLESS);
    proxy.hold_at("generator-source");
    let run = cluster.ask(&["run", "--job", &job]);
    proxy.wait_until_held();
    run.signal("INT");
    proxy.release();
    let run = run.end();
    assert_eq!(run.status, Some(1), "{run:#?}");
    let said = run.only_line();
    assert!(said.contains("is cancelled: it was interrupted"), "{said}");
    cluster.job_manager.stderr_line("status=CANCELED");
}

#[test]
fn a_job_whose_submission_is_not_waited_for_is_named() {
    let (cluster, proxy) = Cluster::behind_a_proxy();
    let job = cluster.write("endless.toml", ENDLESS);
    proxy.hold_at("generator-source");
    let run = cluster.ask(&["run", "--job", &job]);
    proxy.wait_until_held();
    // Two kinds, so that neither is taken for the other.
    run.signal("INT");
    run.signal("TERM");
    let run = run.end();
    assert_eq!(run.status, Some(1), "{run:#?}");
    let said = run.only_line();
    assert!(
        said.contains("may still run: it was interrupted: a second signal"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_printed_is_no_success() {
    let mut cluster = Cluster::start("tcp", &[]);
    let _task_manager = cluster.add("tm-a", 1);
    let input = cluster.write("in.txt", "to be");
    let output = cluster.path("out.tsv");
    let count = ["run", "word-count", "--input", &input];
    let detached = [&count[..], &["--output", &output, "--detached"]].concat();
    for (command, part) in [(&["list"][..], ""), (&count, "job "), (&detached, "job ")] {
        let mut full = Command::new("sh");
        full.args(["-c", r#""$0" "$@" > /dev/full"#]);
        full.arg(env!("CARGO_BIN_EXE_rpc-cluster")).args(command);
        let full = Child::start(full.args(["--target", &cluster.address])).end();
        assert_eq!(full.status, Some(1), "{full:#?}");
        let said = full.only_line();
        assert!(
            said.contains("No space left") && said.contains(part),
            "{said}"
        );
    }
}

#[test]
fn a_file_that_the_cluster_cannot_read_or_write_fails_the_job() {
    let mut cluster = Cluster::start("tcp", &[]);
    let _task_manager = cluster.add("tm-a", 1);
    let input = cluster.write("in.txt", "to be");
    let missing = cluster.path("missing/out.tsv");
    let run = ["run", "word-count", "--input", &missing, "--output", &input];
    let run = cluster.ask(&run).end();
    assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""));
    assert!(run.only_line().contains(&missing), "{run:#?}");

    // Here the sink names its file, unless the task before it is the first to fail for want of it.
    let run = ["run", "word-count", "--input", &input, "--output", &missing];
    let run = cluster.ask(&run).end();
    assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""));
    assert!(run.only_line().contains("tm-a"), "{run:#?}");
}

#[test]
fn the_paths_of_a_job_are_those_of_who_runs_it() {
    let mut cluster = Cluster::start("tcp", &[]);
    let _task_manager = cluster.add("tm-a", 1);
    cluster.write("in.txt", "to be\n");
    let job = "name = 'copy'\n[[vertex]]\nname = 'lines'\noperator = 'file-source'\n\
               path = ['in.txt']\n[[vertex]]\nname = 'out'\noperator = 'file-sink'\n\
               path = 'out.txt'\n[[edge]]\nfrom = 'lines'\nto = 'out'\n";
    cluster.write("job.toml", job);
    let mut run = rpc_cluster();
    run.current_dir(cluster.folder.path());
    run.args(["run", "--job", "job.toml", "--target", &cluster.address]);
    succeeds(Child::start(&mut run).end(), "");
    let written = fs::read_to_string(cluster.path("out.txt")).unwrap();
    assert_eq!(written, "to be\n");
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let (ours, theirs) = (certificates(), certificates());
    for scheme in ["tcp", "quic"] {
        let cluster = Cluster::start(scheme, &tls(ours.path(), ours.path()));
        // Who judges the cluster by another authority, and who is of another one.
        for wrong in [
            tls(theirs.path(), theirs.path()),
            tls(theirs.path(), ours.path()),
        ] {
            let mut command = rpc_cluster();
            command.args(["list", "--target", &cluster.address]);
            let refused = Child::start(command.args(wrong)).end();
            assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
            let said = refused.only_line();
            assert!(said.contains(&cluster.address), "{said}");
            assert!(
                said.contains("invalid peer certificate") || said.contains("alert"),
                "{said}",
            );
        }
        assert_eq!(cluster.ask(&["list"]).end().status, Some(0));
    }
}

#[test]
fn a_plain_client_and_a_cluster_with_certificates_do_not_get_on() {
    let folder = certificates();
    let secure = Cluster::start("tcp", &tls(folder.path(), folder.path()));
    let mut plain = rpc_cluster();
    plain.args(["list", "--target", &secure.address]);
    let refused = Child::start(&mut plain).end();
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
    assert!(
        refused.only_line().contains(&secure.address),
        "{refused:#?}"
    );
}

#[test]
fn certificates_are_replaced_in_processes_that_run() {
    let (old, new, used) = (certificates(), certificates(), certificates());
    let used = used.path();
    for scheme in ["tcp", "quic"] {
        replace(used, old.path());
        let mut cluster = Cluster::start(scheme, &tls(used, used));
        let mut first = cluster.add("tm-a", 1);
        // A key that is not the certificate's: everybody keeps what they have.
        fs::copy(new.path().join("key.pem"), used.join("key.pem")).unwrap();
        let key = used.join("key.pem");
        for process in [&mut cluster.job_manager, &mut first] {
            process.signal("HUP");
            let said = process.stderr_line("certificates not reloaded");
            assert!(said.contains(key.to_str().unwrap()), "{said}");
        }
        replace(used, new.path());
        assert_eq!(cluster.list(old.path()).status, Some(0));
        assert_eq!(cluster.list(new.path()).status, Some(1));

        for process in [&mut cluster.job_manager, &mut first] {
            process.signal("HUP");
            process.stderr_line("certificates reloaded");
        }
        assert_eq!(cluster.list(new.path()).status, Some(0));
        let refused = cluster.list(old.path());
        assert_eq!(refused.status, Some(1), "{refused:#?}");
        assert!(refused.only_line().contains("certificate"), "{refused:#?}");

        // What was connected before lives on, and meets who has come since: the tasks of both
        // TaskManagers send each other records.
        let _second = cluster.add("tm-b", 1);
        let text = text();
        let input = cluster.write("in.txt", &text);
        let run = ["run", "word-count", "--parallelism", "2", "--input", &input];
        succeeds(cluster.ask(&run).end(), &count(&text));
    }
}

#[test]
fn processes_without_certificates_do_not_end_when_they_are_to_read_them_again() {
    let mut cluster = Cluster::start("tcp", &[]);
    let mut task_manager = cluster.add("tm-a", 1);
    for process in [&mut cluster.job_manager, &mut task_manager] {
        process.signal("HUP");
        process.stderr_line("there are no certificates to read again");
    }
    let input = cluster.write("in.txt", "to be");
    let run = cluster.ask(&["run", "word-count", "--input", &input]);
    succeeds(run.end(), "be\t1\nto\t1\n");
}

/// A JobManager process, and the folder of its files.
struct Cluster {
    job_manager: Child,
    address: String,
    security: Vec<String>,
    folder: TempDir,
}

impl Cluster {
    fn start(scheme: &str, security: &[String]) -> Self {
        Self::start_at(&format!("{scheme}://127.0.0.1:0"), security)
    }

    fn start_at(listen: &str, security: &[String]) -> Self {
        Self::start_with(&["--listen", listen], security)
    }

    /// Starts one that is reached by way of a proxy only.
    fn behind_a_proxy() -> (Self, Proxy) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        drop(listener);
        let proxy = Proxy::start(server);
        let (listen, advertise) = (format!("tcp://{server}"), proxy.address().to_string());
        let cluster = Self::start_with(&["--listen", &listen, "--advertise", &advertise], &[]);
        (cluster, proxy)
    }

    fn start_with(arguments: &[&str], security: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = rpc_cluster();
        command
            .arg("jobmanager")
            .args(arguments)
            .args(["--log", LOG]);
        command.args(["--config", &config(folder.path())]);
        let mut job_manager = Child::start(command.args(security));
        let said = job_manager.stderr_line("job manager at ");
        let (_, address) = said.split_once("job manager at ").unwrap();
        Self {
            job_manager,
            address: address.to_owned(),
            security: security.to_vec(),
            folder,
        }
    }

    /// Starts a TaskManager, and waits until it is registered.
    fn add(&mut self, name: &str, slots: u32) -> Child {
        let folder = self.folder.path();
        let task_manager = task_manager(folder, &self.address, name, slots, &self.security);
        self.registered(name);
        task_manager
    }

    fn registered(&mut self, name: &str) {
        let said = format!("task manager registered resource={name} ");
        self.job_manager.stderr_line(&said);
    }

    /// Starts a command that asks the cluster something.
    fn ask(&self, arguments: &[&str]) -> Child {
        let mut command = rpc_cluster();
        command.args(arguments).args(["--target", &self.address]);
        Child::start(command.args(&self.security))
    }

    /// Lists the jobs with the certificates of a folder.
    fn list(&self, certificates: &Path) -> Ended {
        let mut command = rpc_cluster();
        command.args(["list", "--target", &self.address]);
        Child::start(command.args(tls(certificates, certificates))).end()
    }

    fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.folder.path().join(name), text).unwrap();
        self.path(name)
    }
}

/// Makes a pipe that nobody reads from.
fn pipe(folder: &Path) -> PathBuf {
    let pipe = folder.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    pipe
}

/// The names of what is in a folder, which may not be there yet.
fn names_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Waits until something holds, but not for ever.
fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + child::DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come to hold");
        std::thread::yield_now();
    }
}

fn task_manager(
    folder: &Path,
    job_manager: &str,
    name: &str,
    slots: u32,
    security: &[String],
) -> Child {
    let mut command = rpc_cluster();
    command.args(["taskmanager", "--jobmanager", job_manager]);
    command.args(["--name", name, "--slots", &slots.to_string()]);
    command.args(["--config", &config(folder), "--log", LOG]);
    Child::start(command.args(security))
}

fn rpc_cluster() -> Command {
    Command::new(env!("CARGO_BIN_EXE_rpc-cluster"))
}

/// Heartbeats by which a process is missed soon, and yet not while the machine is busy.
fn config(folder: &Path) -> String {
    let path = folder.join("config.toml");
    let text = "heartbeat_interval_ms = 100\n\
                heartbeat_timeout_ms = 5000\n\
                registration_error_delay_ms = 100\n";
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Makes the certificates of an authority that nobody else knows.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut command = rpc_cluster();
    let made = Child::start(command.arg("certificates").arg(folder.path())).end();
    assert_eq!((made.status, made.stdout.as_str()), (Some(0), ""));
    assert!(made.only_line().contains("ca.pem"), "{made:#?}");
    folder
}

/// Puts the certificates of one folder into another.
fn replace(folder: &Path, certificates: &Path) {
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        fs::copy(certificates.join(name), folder.join(name)).unwrap();
    }
}

/// The options of who shows a certificate, and judges others by an authority.
fn tls(own: &Path, authority: &Path) -> Vec<String> {
    let file = |folder: &Path, name| folder.join(name).to_str().unwrap().to_owned();
    vec![
        "--tls-cert".into(),
        file(own, "cert.pem"),
        "--tls-key".into(),
        file(own, "key.pem"),
        "--tls-ca".into(),
        file(authority, "ca.pem"),
    ]
}

#[track_caller]
fn succeeds(ended: Ended, stdout: &str) {
    assert_eq!(ended.status, Some(0), "{ended:#?}");
    assert!(ended.stderr.is_empty(), "{ended:#?}");
    assert_eq!(ended.stdout, stdout);
}

/// Some words often, many seldom, not all of them ASCII.
fn text() -> String {
    let line = |number: usize| {
        let (often, seldom) = (number % 7, number % 1013);
        format!("The w{often} of Straße{seldom}, ÉTÉ-{often} the_{number}; end.\n")
    };
    (0..4000).map(line).collect()
}

/// Counts the words of a text as plainly as can be.
fn count(text: &str) -> String {
    let mut counts = BTreeMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if !word.is_empty() {
            *counts.entry(word.to_lowercase()).or_insert(0) += 1;
        }
    }
    let lines = counts
        .iter()
        .map(|(word, count)| format!("{word}\t{count}\n"));
    lines.collect()
}

/// Well before a TaskManager waits no more for a task that is to end.
const HURRIED: Duration = Duration::from_secs(20);

/// What the tests read in the logs of the processes.
const LOG: &str = "rpc_components=info,rpc_cli=info";

const ENDLESS: &str = "\
name = 'endless'
[[vertex]]
name = 'lines'
operator = 'generator-source'
rate = 100
[[vertex]]
name = 'out'
operator = 'stdout-sink'
parallelism = 1
[[edge]]
from = 'lines'
to = 'out'
";

/// Takes three seconds.
const WRITES: &str = "\
name = 'writes'
[[vertex]]
name = 'lines'
operator = 'generator-source'
count = 300
rate = 100
[[vertex]]
name = 'out'
operator = 'file-sink'
path = 'OUTPUT'
[[edge]]
from = 'lines'
to = 'out'
";
