//! Wrong command lines and wrong files: each is one line that names the culprit.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod child;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use self::child::Child;

#[test]
fn a_wrong_command_line_is_one_line_that_names_the_culprit() {
    let folder = folder();
    for (line, culprit) in COMMAND_LINES {
        refused(folder.path(), line, culprit);
    }
}

#[test]
fn a_wrong_file_is_one_line_that_names_it() {
    let folder = folder();
    for (line, culprit) in FILES {
        refused(folder.path(), line, culprit);
    }
    for (text, culprit) in JOBS {
        fs::write(folder.path().join("job.toml"), text).unwrap();
        refused(folder.path(), "run --job job.toml", culprit);
    }
    for (text, culprit) in CONFIGS {
        fs::write(folder.path().join("config.toml"), text).unwrap();
        for process in ["jobmanager --listen tcp://127.0.0.1:0", "taskmanager"] {
            refused(
                folder.path(),
                &format!("{process} --config config.toml"),
                culprit,
            );
        }
    }
}

#[test]
fn an_address_that_is_taken_or_that_nobody_listens_at_is_named() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let line = format!("jobmanager --listen {address}");
    refused(folder.path(), &line, &address);
    let line = format!("taskmanager --jobmanager {address} --listen {address}");
    refused(folder.path(), &line, &address);

    drop(listener);
    for command in [
        "list",
        "metrics",
        "task-managers",
        "info 0123456789abcdef0123456789abcdef",
        "cancel 0123456789abcdef0123456789abcdef",
        "run word-count --input in.txt",
    ] {
        let line = format!("{command} --target {address}");
        ends(folder.path(), &line, 1, &address);
    }
    let nowhere = "list --target tcp://nowhere.invalid:1";
    ends(folder.path(), nowhere, 1, "nowhere.invalid");
}

#[test]
fn a_wrong_number_of_threads_is_named() {
    for text in ["0", "x", "-1", "1000000"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rpc-cluster"));
        let command = command.args(["list", "--target", "tcp://127.0.0.1:1"]);
        let refused = Child::start(command.env("TOKIO_WORKER_THREADS", text)).end();
        assert_eq!(refused.status, Some(2), "{refused:#?}");
        let said = refused.only_line();
        let culprit = format!("TOKIO_WORKER_THREADS is `{text}`");
        assert!(said.contains(&culprit), "{said}");
    }
}

#[test]
fn help_is_no_error_and_its_absence_is_one() {
    let help = rpc_cluster(Path::new("."), "--help").end();
    assert_eq!(help.status, Some(0));
    assert!(help.stderr.is_empty(), "{help:#?}");
    for command in [
        "cancel",
        "certificates",
        "info",
        "jobmanager",
        "list",
        "metrics",
        "run",
        "task-managers",
        "taskmanager",
    ] {
        assert!(help.stdout.contains(&format!("\n  {command}  ")));
        let help = rpc_cluster(Path::new("."), &format!("{command} --help")).end();
        assert_eq!(help.status, Some(0));
        assert!(help.stdout.contains(&format!("rpc-cluster {command}")));
    }
    let nothing = rpc_cluster(Path::new("."), "").end();
    assert_eq!((nothing.status, nothing.stdout.as_str()), (Some(2), ""));
    assert!(nothing.stderr.iter().any(|line| line.contains("Usage:")));
}

/// Runs a command line that has to be refused.
fn refused(folder: &Path, line: &str, culprit: &str) {
    ends(folder, line, 2, culprit);
}

/// Runs a command line that has to end with this status, and to say why.
fn ends(folder: &Path, line: &str, status: i32, culprit: &str) {
    let ended = rpc_cluster(folder, line).end();
    assert_eq!(ended.status, Some(status), "{line}: {ended:#?}");
    assert_eq!(ended.stdout, "", "{line}");
    let said = ended.only_line();
    assert!(
        said.starts_with("rpc-cluster: ") && said.contains(culprit),
        "`{line}` says `{said}`, which does not name `{culprit}`",
    );
    assert!(!said.contains(char::is_control), "{said:?}");
    // Words of the library's API, which nobody can type.
    for word in ["panicked", "mtls", "`insecure`", "Some(", "Error {"] {
        assert!(!said.contains(word), "`{line}` says `{said}`");
    }
}

fn rpc_cluster(folder: &Path, line: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpc-cluster"));
    Child::start(command.current_dir(folder).args(line.split_whitespace()))
}

/// A folder with what the command lines name.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("in.txt"), "some words\n").unwrap();
    fs::write(folder.path().join("prints.toml"), PRINTS).unwrap();
    folder
}

const COMMAND_LINES: &[(&str, &str)] = &[
    ("frobnicate", "frobnicate"),
    ("lst", "'list'"),
    ("list", "--target"),
    ("list --target", "--target"),
    ("list --frobnicate", "--frobnicate"),
    ("list --target tcp://127.0.0.1:1 --log =", "--log ="),
    ("info xyz --target tcp://127.0.0.1:1", "'xyz'"),
    ("cancel 12 --target tcp://127.0.0.1:1", "'12'"),
    ("info --target tcp://127.0.0.1:1", "<JOB>"),
    // Addresses.
    ("list --target 127.0.0.1:6123", "`127.0.0.1:6123`"),
    (
        "list --target udp://127.0.0.1:6123",
        "`udp://127.0.0.1:6123`",
    ),
    ("list --target tcp://127.0.0.1", "`127.0.0.1`"),
    ("list --target tcp://127.0.0.1:70000", "`127.0.0.1:70000`"),
    ("list --target local://cluster", "`local://cluster`"),
    ("list --target quic://127.0.0.1:1", "--tls-cert"),
    ("jobmanager --listen 127.0.0.1:0", "`127.0.0.1:0`"),
    (
        "jobmanager --listen udp://127.0.0.1:0",
        "`udp://127.0.0.1:0`",
    ),
    ("jobmanager --listen local://cluster", "`local://cluster`"),
    (
        "jobmanager --listen tcp://0.0.0.0:0",
        "--tls-cert, or say --insecure",
    ),
    (
        "jobmanager --listen tcp://0.0.0.0:0 --insecure",
        "--advertise",
    ),
    (
        "jobmanager --listen tcp://192.0.2.1:0 --insecure",
        "192.0.2.1:0",
    ),
    (
        "jobmanager --listen tcp://127.0.0.1:0 --advertise here",
        "`here`",
    ),
    (
        "jobmanager --listen quic://127.0.0.1:0",
        "--tls-cert, or say --insecure",
    ),
    (
        "jobmanager --listen quic://0.0.0.0:0 --insecure",
        "--tls-cert",
    ),
    (
        "taskmanager --jobmanager 127.0.0.1:6123",
        "`127.0.0.1:6123`",
    ),
    ("taskmanager --jobmanager tcp://127.0.0.1", "`127.0.0.1`"),
    ("taskmanager --listen here", "`here`"),
    (
        "taskmanager --listen tcp://0.0.0.0:0",
        "--tls-cert, or say --insecure",
    ),
    ("taskmanager --slots 0", "--slots"),
    ("taskmanager --name=", "--name"),
    ("taskmanager --name x\u{1b}[31my", "--name"),
    // Jobs.
    ("run", "<NAME|--job <FILE>>"),
    ("run frobnicate", "`frobnicate`"),
    ("run word-count", "--input"),
    ("run word-count --job prints.toml", "--job"),
    ("run --job prints.toml --input in.txt", "--input"),
    ("run --job prints.toml --output out.txt", "--output"),
    (
        "run word-count --input in.txt --parallelism 0",
        "--parallelism",
    ),
    (
        "run word-count --input in.txt --parallelism many",
        "--parallelism",
    ),
    (
        "run word-count --input in.txt --task-managers 0",
        "--task-managers",
    ),
    ("run word-count --input in.txt --slots 0", "--slots"),
    ("run word-count --input in.txt --transport udp", "'udp'"),
    (
        "run word-count --input in.txt --slot-timeout soon",
        "'soon'",
    ),
    (
        "run word-count --input in.txt --slot-timeout -1",
        "'-1' for '--slot-timeout <SECONDS>': cannot convert",
    ),
    (
        "run word-count --input in.txt --parallelism 4096",
        "--task-managers 4 or more",
    ),
    (
        "run word-count --input in.txt --parallelism 4096 --task-managers 3",
        "--task-managers 4 or more",
    ),
    (
        "run word-count --input in.txt --slot-timeout 1 --wait-for-slots",
        "--wait-for-slots",
    ),
    (
        "run word-count --input in.txt --restart always",
        "there is no restart strategy `always`",
    ),
    (
        "run word-count --input in.txt --restart fixed-delay:x",
        "`attempts` of the restart strategy is x",
    ),
    (
        "run word-count --input in.txt --slots 2 --target tcp://127.0.0.1:1",
        "--slots",
    ),
    ("run word-count --input in.txt --detached", "--target"),
    (
        "run word-count --input in.txt --detached --target tcp://127.0.0.1:1",
        "--output",
    ),
    (
        "run --job prints.toml --detached --target tcp://127.0.0.1:1",
        "--detached",
    ),
];

const FILES: &[(&str, &str)] = &[
    ("run word-count --input missing.txt", "missing.txt"),
    ("run word-count --input in.txt missing.txt", "missing.txt"),
    ("run word-count --input in.txt/below", "in.txt/below"),
    ("run word-count --input /dev/null", "/dev/null"),
    (
        "run word-count --input in.txt --output missing/out.txt",
        "missing/out.txt",
    ),
    (
        "run word-count --input in.txt --output in.txt/out.txt",
        "in.txt/out.txt",
    ),
    ("run word-count --input in.txt --output .", "is a directory"),
    ("run --job missing.toml", "missing.toml"),
    ("run --job .", "cannot read ."),
    ("jobmanager --config missing.toml", "missing.toml"),
    ("taskmanager --config missing.toml", "missing.toml"),
    (
        "jobmanager --tls-cert cert.pem",
        "--tls-key <FILE> --tls-ca <FILE>",
    ),
    (
        "list --target tcp://127.0.0.1:1 --insecure --tls-cert a --tls-key b --tls-ca c",
        "--insecure",
    ),
    (
        "jobmanager --tls-cert cert.pem --tls-key key.pem --tls-ca ca.pem",
        "cert.pem",
    ),
    (
        "jobmanager --tls-cert in.txt --tls-key in.txt --tls-ca in.txt",
        "in.txt",
    ),
    (
        "taskmanager --tls-cert cert.pem --tls-key key.pem --tls-ca ca.pem",
        "cert.pem",
    ),
    ("certificates in.txt", "in.txt"),
    ("certificates in.txt/below", "in.txt/below"),
];

const JOBS: &[(&str, &str)] = &[
    ("name =", "job.toml:1"),
    ("", "`name`"),
    ("name = 'nothing'", "job.toml: the job is empty"),
    (
        "name = 'job'\nflavour = 'sweet'",
        "job.toml:2: `job` has no key `flavour`",
    ),
    ("name = 7", "job.toml:1: `name`"),
    (
        "name = ''\n[[vertex]]\nname = 'a'\noperator = 'words'",
        "job.toml: the job's name is empty",
    ),
    (
        "name = 'job'\n[[vertex]]\nname = \"a\\u001b[0m\"\noperator = 'words'",
        r#"job.toml: a vertex's name has a control character: "a\u{1b}[0m""#,
    ),
    (
        "name = 'job'\n[[vertex]]\nname = 'a'\noperator = 'frobnicate'",
        "job.toml: vertex `a` cannot be made: there is no operator `frobnicate`",
    ),
    (
        "name = 'job'\n[[vertex]]\nname = 'a'\noperator = 'words'\nsize = 3",
        "no option `size`",
    ),
    (
        "name = 'job'\n[[vertex]]\nname = 'a'\noperator = 'generator-source'\n\
         count = 99999999999999999999",
        "job.toml:5: `count` is 99999999999999999999, not a whole number of at most 64 bits",
    ),
    (
        "name = 'job'\n[[vertex]]\nname = 'a'\noperator = 'words'\nparallelism = 0",
        "parallelism 0",
    ),
    (
        "name = 'job'\n[[vertex]]\nname = 'a'\noperator = 'words'\n[[edge]]\nfrom = 'a'\nto = 'b'",
        "job.toml:7: there is no vertex `b`",
    ),
    (
        "name = 'job'\n[[vertex]]\nname = 'a'\noperator = 'words'\n[[vertex]]\nname = 'b'\n\
         operator = 'words'\n[[edge]]\nfrom = 'a'\nto = 'b'\n[[edge]]\nfrom = 'b'\nto = 'a'",
        "job.toml: the job has a cycle",
    ),
    (
        "name = 'job'\n[[vertex]]\nname = 'a'\noperator = 'file-source'\npath = 'missing.txt'\n\
         [[vertex]]\nname = 'b'\noperator = 'stdout-sink'\n[[edge]]\nfrom = 'a'\nto = 'b'",
        "missing.txt",
    ),
];

const CONFIGS: &[(&str, &str)] = &[
    ("heartbeat_interval_ms", "config.toml: line 1"),
    ("frobnicate = 1", "frobnicate"),
    ("\ncall_timeout_ms = 'long'", "config.toml: line 2"),
    (
        "heartbeat_interval_ms = 9\nheartbeat_timeout_ms = 3",
        "config.toml: heartbeat_timeout_ms",
    ),
    (
        "heartbeat_interval_ms = 0",
        "config.toml: heartbeat_interval_ms",
    ),
    ("call_timeout_ms = 0", "config.toml: call_timeout_ms"),
    ("frame_bytes_max = 0", "config.toml: frame_bytes_max"),
    ("frame_bytes_max = 1048576", "config.toml: frame_bytes_max"),
    ("jobs_running_max = 0", "config.toml: jobs_running_max"),
    ("jobs_completed_max = 0", "config.toml: jobs_completed_max"),
    (
        "slot_activation_timeout_ms = 0",
        "config.toml: slot_activation_timeout_ms",
    ),
    (
        "task_cancellation_timeout_ms = 0",
        "config.toml: task_cancellation_timeout_ms",
    ),
    (
        "registration_error_delay_ms = 0",
        "config.toml: registration_error_delay_ms",
    ),
    (
        "registration_refused_delay_ms = 0",
        "config.toml: registration_refused_delay_ms",
    ),
    (
        "call_timeout_ms = -1",
        "config.toml: line 1: call_timeout_ms",
    ),
    (
        "restart = 'always'",
        "config.toml: line 1: restart: there is no restart strategy",
    ),
    (
        "jobs_running_max = 'x'",
        "config.toml: line 1: jobs_running_max",
    ),
];

const PRINTS: &str = "\
name = 'prints'
[[vertex]]
name = 'lines'
operator = 'generator-source'
[[vertex]]
name = 'out'
operator = 'stdout-sink'
[[edge]]
from = 'lines'
to = 'out'
";
