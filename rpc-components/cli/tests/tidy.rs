//! What no compiler checks: how long files are, who may import whom, and what nobody may write.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read the tree has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

/// The longest a source file may be, its tests aside.
const LINES_MAX: usize = 500;

/// The longest an example may be: it is the first thing that people read.
const EXAMPLE_LINES_MAX: usize = 100;

/// Inside `rpc-components`, a module imports itself and those at its right. No component imports
/// another, save that a Dispatcher starts JobMasters.
const IMPORTS: &[(&str, &[&str])] = &[
    ("heartbeat", &[]),
    ("id", &[]),
    ("transport", &[]),
    ("job_graph", &["id"]),
    ("gateway", &["id", "job_graph"]),
    ("leader", &["gateway"]),
    ("metric_query", &["gateway"]),
    ("registration", &["gateway", "id"]),
    ("operator", &["gateway", "id", "job_graph"]),
    ("shuffle", &["gateway", "id", "job_graph", "operator"]),
    (
        "task",
        &["gateway", "id", "job_graph", "operator", "shuffle"],
    ),
    (
        "job_master",
        &[
            "gateway",
            "heartbeat",
            "id",
            "job_graph",
            "leader",
            "registration",
        ],
    ),
    ("resource_manager", &["gateway", "heartbeat", "id"]),
    (
        "task_executor",
        &[
            "gateway",
            "heartbeat",
            "id",
            "leader",
            "metric_query",
            "operator",
            "registration",
            "shuffle",
            "task",
        ],
    ),
    (
        "dispatcher",
        &[
            "gateway",
            "id",
            "job_graph",
            "job_master",
            "leader",
            "operator",
        ],
    ),
    ("client", &["gateway", "id", "job_graph", "leader"]),
    (
        "entrypoint",
        &[
            "dispatcher",
            "gateway",
            "heartbeat",
            "id",
            "job_graph",
            "leader",
            "metric_query",
            "operator",
            "registration",
            "resource_manager",
            "shuffle",
            "task_executor",
        ],
    ),
    (
        "mini_cluster",
        &["client", "entrypoint", "id", "operator", "transport"],
    ),
];

/// Folders that decide, and leave it to others to act. Single files say so at their top.
const PURE: &[&str] = &[
    "rpc-components/src/dispatcher/jobs/",
    "rpc-components/src/job_graph/restart/",
    "rpc-components/src/job_master/execution_graph/",
    "rpc-components/src/job_master/restart/",
    "rpc-components/src/job_master/slot_pool/",
    "rpc-components/src/resource_manager/slot_manager/",
    "rpc-components/src/task_executor/slot_table/",
    "rpc-core/src/frame/",
];

/// What of tokio and of the core is a value, and nothing that acts.
const PURE_NAMES: &[&str] = &["rpc_core::FencingToken", "tokio::time::Instant"];

/// Which crates of the workspace a crate may depend on, and which not.
const LAYERS: &[(&str, &[&str])] = &[
    ("rpc-core-macros", &[]),
    ("rpc-tls", &[]),
    ("rpc-core", &["rpc-core", "rpc-core-macros"]),
    ("rpc-transport-local", &["rpc-core"]),
    ("rpc-transport-quic", &["rpc-core", "rpc-tls"]),
    ("rpc-transport-tcp", &["rpc-core", "rpc-tls"]),
    (
        "rpc-components",
        &[
            "rpc-core",
            "rpc-tls",
            "rpc-transport-local",
            "rpc-transport-quic",
            "rpc-transport-tcp",
        ],
    ),
    ("rpc-cli", &["rpc-components"]),
    (
        "benches",
        &[
            "rpc-core",
            "rpc-tls",
            "rpc-transport-local",
            "rpc-transport-quic",
            "rpc-transport-tcp",
        ],
    ),
];

/// Crates that belong to one place, and who that is.
const OWNERS: &[(&str, &[&str])] = &[
    (BINCODE, &["rpc-core"]),
    ("clap", &["benches", "rpc-cli"]),
    ("quinn", &["benches", "rpc-transport-quic"]),
    ("rustls", &["rpc-tls", "rpc-transport-quic"]),
    ("serde", &["benches", "rpc-components", "rpc-core"]),
    ("tokio-rustls", &["benches", "rpc-transport-tcp"]),
];

/// Names that the code below a folder may not use.
const FOREIGN: &[(&str, &[&str])] = &[
    (
        "rpc-core/src/",
        &[
            "quinn::",
            "rustls::",
            "tokio::net",
            "rpc_transport",
            "rpc_components",
        ],
    ),
    (
        "rpc-components/src/",
        &["quinn::", "rustls::", "tokio::net", "std::net"],
    ),
    ("rpc-transport-local/src/", TRANSPORTS_AVOID),
    ("rpc-transport-quic/src/", TRANSPORTS_AVOID),
    ("rpc-transport-tcp/src/", TRANSPORTS_AVOID),
];

const TRANSPORTS_AVOID: &[&str] = &["rpc_components", "rpc_transport", "serde::", "rpc_gateway"];

/// In two parts, here and below, so that this file does not find itself.
const BINCODE: &str = concat!("bin", "code");

/// What nobody leaves behind in code.
const UNFINISHED: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("#[", "ignore"),
    concat!("#[", "should_panic"),
    concat!("thread", "::sleep"),
];

/// What nobody leaves behind in a comment either.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];

/// What tests may not wait by: a time is too short on a busy machine, and too long on any other.
const WAITS: &[&str] = &[concat!("time", "::sleep"), concat!("sleep", "(")];

/// Where tests may wait by a time: they have what looks again and again until something holds, or
/// their time is virtual.
const WAITING: &[&str] = &[
    "rpc-components/src/testing/mod.rs",
    "rpc-core/src/testing/faults.rs",
    "rpc-core/src/testing/sim/",
    "rpc-core/tests/sim/",
];

#[test]
fn the_workspace_is_tidy() {
    let sources = sources();
    let problems: Vec<String> = sources.iter().flat_map(problems).collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn the_crates_depend_downwards() {
    let root = table(&workspace().join("Cargo.toml"));
    let members = root["workspace"]["members"].as_array().unwrap();
    assert_eq!(members.len(), LAYERS.len());
    for member in members {
        let manifest = workspace()
            .join(member.as_str().unwrap())
            .join("Cargo.toml");
        let problems = misplaced_dependencies(&table(&manifest));
        assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
    }
}

#[test]
fn the_tables_are_of_what_there_is() {
    let sources = sources();
    for part in PURE.iter().chain(FOREIGN.iter().map(|(folder, _)| folder)) {
        let mut paths = sources.iter().map(|source| &source.path);
        assert!(paths.any(|path| path.starts_with(part)), "no {part}");
    }
    for source in sources.iter().filter(|source| !source.is_test()) {
        if let Some(module) = source.module() {
            let known = IMPORTS.iter().any(|(name, _)| *name == module);
            assert!(known, "{}: not in the table", source.path);
        }
    }
}

#[test]
fn a_long_file_is_found() {
    let long = "fn f() {}\n".repeat(LINES_MAX + 1);
    finds("rpc-core/src/call.rs", &long, "501 lines");
    let long = "fn f() {}\n".repeat(EXAMPLE_LINES_MAX + 1);
    finds("rpc-core/examples/echo.rs", &long, "101 lines");
}

#[test]
fn an_import_from_above_is_found() {
    for (path, text, part) in [
        ("id.rs", "use crate::gateway::Metric;", "imports gateway"),
        (
            "id.rs",
            "fn f(it: crate::gateway::Metric)",
            "imports gateway",
        ),
        ("id.rs", "use super::gateway::Metric;", "imports gateway"),
        (
            "task/chain.rs",
            "use super::super::client::ClusterClient;",
            "imports client",
        ),
        (
            "resource_manager/endpoint.rs",
            "use crate::job_master::JobMaster;",
            "imports job_master",
        ),
        ("client.rs", "use crate::{gateway, id};", "one `use`"),
        ("client.rs", "use crate::Dispatcher;", "imports Dispatcher"),
    ] {
        finds(&format!("rpc-components/src/{path}"), text, part);
    }
}

#[test]
fn a_pure_file_that_acts_is_found() {
    for (path, text) in [
        (
            "rpc-components/src/job_master/results.rs",
            "//! A file.\n//! Pure.\nuse tokio::sync::Notify;",
        ),
        (
            "rpc-components/src/job_master/slot_pool/mod.rs",
            "use tokio::time::{Instant, timeout};",
        ),
        (
            "rpc-components/src/dispatcher/jobs/mod.rs",
            "use rpc_core::RpcServer;",
        ),
        ("rpc-core/src/frame/mod.rs", "use std::net::TcpStream;"),
        ("rpc-core/src/address.rs", "//! Pure.\nuse std::fs;"),
        (
            "rpc-core/src/lifecycle.rs",
            "//! Pure.\nuse crate::service::RpcService;",
        ),
        ("rpc-core/src/frame/crc.rs", "async fn tick() {}"),
    ] {
        finds(path, text, "is pure");
    }
}

#[test]
fn a_name_that_belongs_elsewhere_is_found() {
    finds(
        "rpc-core/src/call.rs",
        &format!("use {BINCODE}::encode;"),
        BINCODE,
    );
    for (path, text, part) in [
        (
            "rpc-core/src/call.rs",
            "use tokio::net::TcpStream;",
            "tokio::net",
        ),
        (
            "rpc-components/src/leader/mod.rs",
            "#[cfg(feature = \"tcp\")]",
            "cfg(feature",
        ),
        (
            "rpc-components/src/client.rs",
            "use quinn::Endpoint;",
            "quinn::",
        ),
        (
            "rpc-transport-local/src/pipe.rs",
            "use rpc_components::id::JobId;",
            "rpc_components",
        ),
        (
            "rpc-transport-tcp/src/lib.rs",
            "use rpc_transport_local::Pipe;",
            "rpc_transport",
        ),
        (
            "rpc-transport-quic/src/lib.rs",
            "use serde::Serialize;",
            "serde::",
        ),
    ] {
        finds(path, text, part);
    }
}

#[test]
fn what_is_left_behind_is_found() {
    for word in UNFINISHED {
        finds("benches/call.rs", word, word);
        finds("rpc-core/tests/it/main.rs", word, word);
    }
    for word in WAITS {
        finds("rpc-core/tests/it/main.rs", word, word);
        finds(
            "rpc-core/src/call.rs",
            &format!("{INLINE_TESTS}\n{word}"),
            word,
        );
    }
    for word in NOTES {
        finds("rpc-core/src/call.rs", &format!("// {word}: later"), word);
        finds(
            "rpc-core/tests/it/main.rs",
            &format!("f(); // {word}"),
            word,
        );
    }
}

#[test]
fn a_dependency_that_is_misplaced_is_found() {
    for (package, table, dependency) in [
        ("rpc-transport-tcp", "dependencies", "rpc-transport-local"),
        ("rpc-transport-quic", "dev-dependencies", "serde"),
        ("rpc-transport-local", "build-dependencies", BINCODE),
        (
            "rpc-core",
            "target.'cfg(unix)'.dependencies",
            "rpc-components",
        ),
        ("rpc-components", "dependencies", "quinn"),
    ] {
        let text = format!("package.name = '{package}'\n[{table}]\n{dependency} = '1'");
        let problems = misplaced_dependencies(&text.parse().unwrap());
        assert_eq!(problems, [format!("{package} depends on {dependency}")]);
    }
}

/// Checks that a file with that text is one that a rule speaks of.
#[track_caller]
fn finds(path: &str, text: &str, part: &str) {
    let source = Source {
        path: path.into(),
        text: text.into(),
    };
    let found = problems(&source);
    let named = found
        .iter()
        .any(|it| it.starts_with(path) && it.contains(part));
    assert!(named, "{path}: {found:?} has no {part}");
}

#[test]
fn what_is_allowed_is_not_found() {
    let long = "//\n".repeat(LINES_MAX + 1);
    for (path, text) in [
        ("rpc-core/tests/it/main.rs", long.as_str()),
        ("rpc-core/src/call.rs", &format!("{INLINE_TESTS}\n{long}")),
        (
            "rpc-components/src/id.rs",
            "/// Of [`Metric`](crate::gateway::Metric).",
        ),
        (
            "rpc-components/src/job_graph/tests.rs",
            "use crate::operator::Operator;",
        ),
        (
            "rpc-components/src/dispatcher/mod.rs",
            "use crate::job_master::JobMaster;",
        ),
        ("rpc-components/src/task/run.rs", "use super::chain::Chain;"),
        (
            "rpc-components/src/task/mod.rs",
            "mod m {\n    use super::Task;",
        ),
        (
            "rpc-components/src/heartbeat/mod.rs",
            "use tokio::time::Instant;",
        ),
        (
            "rpc-components/src/dispatcher/jobs/mod.rs",
            "use rpc_core::FencingToken;",
        ),
        (
            "rpc-components/src/client.rs",
            &format!("tokio::{}(d)", WAITS[0]),
        ),
        (
            "rpc-core/src/codec/mod.rs",
            &format!("use {BINCODE}::encode;"),
        ),
    ] {
        let source = Source {
            path: path.into(),
            text: text.into(),
        };
        assert_eq!(problems(&source), Vec::<String>::new());
    }
}

/// A Rust file of the workspace.
struct Source {
    /// From the workspace's root.
    path: String,
    text: String,
}

impl Source {
    /// Whether all of the file is for tests.
    fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        let test = |it| matches!(it, "fuzz" | "testing" | "testing.rs" | "tests" | "tests.rs");
        parts.any(test)
    }

    /// Returns the lines before the tests, comments cut away, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let count = if self.is_test() { 0 } else { self.length() };
        self.lines().take(count)
    }

    /// Returns the lines of the tests, comments cut away, with their numbers.
    fn tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let skipped = if self.is_test() { 0 } else { self.length() };
        self.lines().skip(skipped)
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines().map(without_comment))
    }

    /// Returns how many lines there are before the tests.
    fn length(&self) -> usize {
        let lines = self.text.lines();
        lines.take_while(|line| *line != INLINE_TESTS).count()
    }

    /// Returns the module of `rpc-components` that the file belongs to.
    fn module(&self) -> Option<&str> {
        let path = self.path.strip_prefix("rpc-components/src/")?;
        let module = path.split('/').next()?.trim_end_matches(".rs");
        (module != "lib").then_some(module)
    }

    /// Returns how many modules lie between the file's items and the root of its crate.
    fn depth(&self) -> usize {
        let path = self.path.split_once("/src/").map_or("", |(_, path)| path);
        path.trim_end_matches("/mod.rs").split('/').count()
    }

    fn problem(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

fn problems(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(too_long(source));
    found.extend(imports_upwards(source));
    found.extend(impurities(source));
    found.extend(foreign_names(source));
    found.extend(left_behind(source));
    found
}

fn too_long(source: &Source) -> Option<String> {
    let max = match source.path.contains("/examples/") {
        true => EXAMPLE_LINES_MAX,
        false => LINES_MAX,
    };
    let length = source.length();
    let too_long = length > max && !source.is_test();
    too_long.then(|| source.problem(length, &format!("{length} lines, more than {max}")))
}

fn imports_upwards(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else {
        return Vec::new();
    };
    let row = IMPORTS.iter().find(|(name, _)| *name == module);
    let allowed = row.map_or(&[][..], |(_, allowed)| allowed);
    let mut found = Vec::new();
    for (number, line) in source.code() {
        // What is imported further in is imported by a module within the file.
        let depth = source.depth() + usize::from(line.starts_with("    use "));
        for target in targets(line, depth) {
            if target == "{" {
                found.push(source.problem(number, "write one `use` for each module"));
            } else if target != module && !allowed.contains(&target) {
                found.push(source.problem(number, &format!("{module} imports {target}")));
            }
        }
    }
    found
}

/// Returns what a line names of the crate's root, be it by `crate` or by as many `super` as it takes.
fn targets(line: &str, depth: usize) -> Vec<&str> {
    let supers = "super::".repeat(depth);
    let paths = line
        .match_indices("crate::")
        .chain(line.match_indices(&supers));
    let begins = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let names = paths.filter(|(at, _)| begins(*at) && !line[..*at].ends_with("::"));
    let names = names.map(|(at, path)| &line[at + path.len()..]);
    let names = names.map(
        |rest| match rest.find(|c: char| !c.is_alphanumeric() && c != '_') {
            Some(0) => "{",
            Some(end) => &rest[..end],
            None => rest,
        },
    );
    names.collect()
}

fn impurities(source: &Source) -> Vec<String> {
    let mut top = source.text.lines().take_while(|it| it.starts_with("//!"));
    let says_so = top.any(|it| it.contains("Pure."));
    if !says_so && !PURE.iter().any(|part| source.path.starts_with(part)) {
        return Vec::new();
    }
    let acts = [
        "tokio::",
        "rpc_core::",
        "std::fs",
        "std::net",
        "std::process",
        "std::thread",
        "std::time::Instant",
        "SystemTime",
        "RpcService",
        "async ",
        ".await",
    ];
    let mut found = Vec::new();
    for (number, line) in source.code() {
        let mut line = line.to_owned();
        for name in PURE_NAMES {
            line = line.replace(&format!("{name};"), "");
        }
        for name in acts.iter().filter(|name| line.contains(**name)) {
            found.push(source.problem(number, &format!("is pure, and names `{name}`")));
        }
    }
    found
}

fn foreign_names(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in source.lines() {
        if line.contains(BINCODE) && !source.path.starts_with("rpc-core/src/codec/") {
            found.push(source.problem(number, &format!("names {BINCODE}")));
        }
    }
    let here = FOREIGN
        .iter()
        .find(|(folder, _)| source.path.starts_with(folder));
    let names = here.map_or(&[][..], |(_, names)| names);
    for (number, line) in source.code() {
        for name in names.iter().filter(|name| line.contains(**name)) {
            found.push(source.problem(number, &format!("names {name}")));
        }
        let chooses = source.module().is_some_and(|module| module != "transport");
        if chooses && line.contains("cfg(feature") {
            let what = "has cfg(feature, which is for transport.rs";
            found.push(source.problem(number, what));
        }
    }
    found
}

fn left_behind(source: &Source) -> Vec<String> {
    let in_code = source.lines().map(|line| (line, UNFINISHED));
    let may_wait = WAITING.iter().any(|it| source.path.starts_with(it));
    let waits = if may_wait { &[] } else { WAITS };
    let in_tests = source.tests().map(|line| (line, waits));
    let anywhere = (1..).zip(source.text.lines()).map(|line| (line, NOTES));
    let mut found = Vec::new();
    for ((number, line), words) in in_code.chain(in_tests).chain(anywhere) {
        if let Some(word) = words.iter().find(|word| line.contains(**word)) {
            found.push(source.problem(number, &format!("has {word}")));
        }
    }
    found
}

/// Returns the dependencies of a crate that it should not have.
fn misplaced_dependencies(manifest: &Table) -> Vec<String> {
    let package = manifest["package"]["name"].as_str().unwrap();
    let layer = LAYERS.iter().find(|(name, _)| *name == package);
    let (_, below) = layer.unwrap_or_else(|| panic!("{package} is not in the table"));
    let mut tables = vec![manifest];
    if let Some(targets) = manifest.get("target") {
        let targets = targets.as_table().unwrap().values();
        tables.extend(targets.map(|target| target.as_table().unwrap()));
    }
    let kinds = ["build-dependencies", "dependencies", "dev-dependencies"];
    let sections = tables
        .iter()
        .flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)));
    let names = sections.flat_map(|section| section.as_table().unwrap().keys());
    names
        .filter(|name| {
            let ours = LAYERS.iter().any(|(package, _)| package == name);
            let owners = OWNERS.iter().find(|(it, _)| it == name);
            (ours && !below.contains(&name.as_str()))
                || owners.is_some_and(|(_, owners)| !owners.contains(&package))
        })
        .map(|name| format!("{package} depends on {name}"))
        .collect()
}

fn without_comment(line: &str) -> &str {
    match line.find("//") {
        // Not in the middle of an address.
        Some(at) if line[..at].trim_end().len() < at || at == 0 => &line[..at],
        _ => line,
    }
}

fn table(manifest: &Path) -> Table {
    fs::read_to_string(manifest).unwrap().parse().unwrap()
}

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    here.canonicalize().unwrap()
}

/// Returns every Rust file, build output aside.
fn sources() -> Vec<Source> {
    let root = workspace();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                found.push(Source {
                    path: path.strip_prefix(&root).unwrap().to_str().unwrap().into(),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    assert!(found.len() > 100, "this is not the workspace");
    found
}

/// The line that begins the tests of a file that has them in itself.
const INLINE_TESTS: &str = "mod tests {";
