use std::path::Path;
use std::time::Duration;

use super::*;
use crate::operator::OperatorRegistry;

fn vertex(name: &str, operator: &str, parallelism: u32) -> Vertex {
    let mut operator = OperatorSpec::new(operator);
    if operator.name == "file-source" || operator.name == "file-sink" {
        operator = operator.with("path", "somewhere");
    }
    Vertex {
        name: name.into(),
        operator,
        parallelism,
    }
}

fn job(vertices: Vec<Vertex>, edges: &[(u32, u32, Ship)]) -> JobGraph {
    let edge = |&(from, to, ship): &(u32, u32, Ship)| Edge {
        from: VertexId(from),
        to: VertexId(to),
        ship,
    };
    JobGraph {
        id: JobId::random(),
        name: "job".into(),
        vertices,
        edges: edges.iter().map(edge).collect(),
        slot_wait: None,
        restart: None,
    }
}

fn refusal(vertices: Vec<Vertex>, edges: &[(u32, u32, Ship)]) -> String {
    let error = job(vertices, edges)
        .validate(&OperatorRegistry::new())
        .unwrap_err();
    match &error {
        JobGraphError::Operator { source, .. } => format!("{error}: {source}"),
        error => error.to_string(),
    }
}

fn names(plan: &JobPlan) -> Vec<&str> {
    plan.vertices
        .iter()
        .map(|vertex| vertex.name.as_str())
        .collect()
}

#[test]
fn an_empty_job_is_refused() {
    assert_eq!(refusal(vec![], &[]), "the job is empty");
}

#[test]
fn a_job_has_so_many_vertices_at_most() {
    let vertices = vec![vertex("a", "generator-source", 1); VERTICES_MAX + 1];
    assert_eq!(
        refusal(vertices, &[]),
        "the job has 4097 vertices, which is more than 4096; make several jobs of it"
    );
}

#[test]
fn a_job_has_so_many_edges_at_most() {
    let vertices = vec![vertex("a", "generator-source", 1)];
    let edges = vec![(0, 0, Ship::Forward); EDGES_MAX + 1];
    assert_eq!(
        refusal(vertices, &edges),
        "the job has 16385 edges, which is more than 16384; make several jobs of it"
    );
}

#[test]
fn a_name_is_no_longer_than_somebody_reads() {
    let named = |bytes| refusal(vec![vertex(&"n".repeat(bytes), "generator-source", 1)], &[]);
    let refused = named(1025);
    assert!(
        refused.ends_with("has 1025 bytes, and at most 1024 are allowed"),
        "{refused}"
    );
    assert!(!named(1024).contains("bytes"));
}

#[test]
fn a_line_that_is_made_up_has_so_many_words_at_most() {
    let mut source = vertex("a", "generator-source", 1);
    source.operator = source.operator.with("words", (1_i64 << 20) + 1);
    let refused = refusal(vec![source], &[]);
    assert!(
        refused.contains("more than 1048576 words a line"),
        "{refused}"
    );
}

#[test]
fn parallelism_has_limits() {
    for parallelism in [0, PARALLELISM_MAX + 1] {
        let refusal = refusal(vec![vertex("a", "generator-source", parallelism)], &[]);
        let expected =
            format!("vertex `a` has parallelism {parallelism}, which is not from 1 to 4096");
        assert_eq!(refusal, expected);
    }
}

#[test]
fn names_are_unique() {
    let vertices = vec![
        vertex("a", "generator-source", 1),
        vertex("a", "stdout-sink", 1),
    ];
    let refusal = refusal(vertices, &[(0, 1, Ship::Forward)]);
    assert_eq!(refusal, "the job has two vertices called `a`");
}

#[test]
fn names_can_be_shown() {
    let vertices = || {
        vec![
            vertex("a", "generator-source", 1),
            vertex("b", "stdout-sink", 1),
        ]
    };
    for (name, quoted) in [
        ("", "is empty"),
        ("\u{1b}[31my", r#"has a control character: "\u{1b}[31my""#),
    ] {
        let mut named = job(vertices(), &[(0, 1, Ship::Forward)]);
        named.name = name.to_owned();
        let error = named.validate(&OperatorRegistry::new()).unwrap_err();
        assert_eq!(error.to_string(), format!("the job's name {quoted}"));
        let mut named = vertices();
        named[1].name = name.to_owned();
        let refusal = refusal(named, &[(0, 1, Ship::Forward)]);
        assert_eq!(refusal, format!("a vertex's name {quoted}"));
    }
}

#[test]
fn edges_name_vertices() {
    for edge in [
        (0, 2, Ship::Hash),
        (2, 0, Ship::Hash),
        (0, u32::MAX, Ship::Hash),
    ] {
        let vertices = vec![
            vertex("a", "generator-source", 1),
            vertex("b", "stdout-sink", 1),
        ];
        let refusal = refusal(vertices, &[edge]);
        let id = edge.0.max(edge.1);
        assert_eq!(
            refusal,
            format!("an edge names vertex {id}, and the job has only 2")
        );
    }
}

#[test]
fn only_equals_forward() {
    let vertices = vec![
        vertex("a", "generator-source", 2),
        vertex("b", "stdout-sink", 3),
    ];
    let refusal = refusal(vertices, &[(0, 1, Ship::Forward)]);
    assert_eq!(
        refusal,
        "`a` has parallelism 2 and cannot forward to `b`, which has 3"
    );
}

#[test]
fn a_cycle_is_named() {
    let vertices = vec![
        vertex("source", "generator-source", 1),
        vertex("a", "words", 1),
        vertex("b", "words", 1),
        vertex("c", "words", 1),
        vertex("sink", "stdout-sink", 1),
    ];
    let edges = [
        (0, 1, Ship::Hash),
        (1, 2, Ship::Hash),
        (2, 3, Ship::Hash),
        (3, 1, Ship::Hash),
        (3, 4, Ship::Hash),
    ];
    let refusal = refusal(vertices, &edges);
    let cycles = ["a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"];
    let cycles = cycles.map(|cycle| format!("the job has a cycle: {cycle}"));
    assert!(cycles.contains(&refusal), "{refusal}");
}

#[test]
fn a_loop_is_a_cycle() {
    let vertices = vec![vertex("a", "words", 1)];
    let refusal = refusal(vertices, &[(0, 0, Ship::Hash)]);
    assert_eq!(refusal, "the job has a cycle: a -> a");
}

#[test]
fn sources_and_sinks_stand_at_the_ends() {
    let two = |first, second| {
        let vertices = vec![vertex("a", first, 1), vertex("b", second, 1)];
        refusal(vertices, &[(0, 1, Ship::Forward)])
    };
    assert_eq!(
        two("words", "stdout-sink"),
        "vertex `a` has no input, and its operator `words` is not a source"
    );
    assert_eq!(
        two("generator-source", "generator-source"),
        "vertex `b` has an input, but its operator `generator-source` is a source"
    );
    assert_eq!(
        two("generator-source", "words"),
        "vertex `b` has no output, and its operator `words` is not a sink"
    );
    let vertices = vec![
        vertex("a", "generator-source", 1),
        vertex("b", "stdout-sink", 1),
        vertex("c", "stdout-sink", 1),
    ];
    assert_eq!(
        refusal(vertices, &[(0, 1, Ship::Forward), (1, 2, Ship::Forward)]),
        "vertex `b` has an output, but its operator `stdout-sink` is a sink"
    );
}

#[test]
fn two_sinks_do_not_write_the_same() {
    let sink = |name: &str, path: &str| Vertex {
        operator: OperatorSpec::new("file-sink").with("path", path),
        ..vertex(name, "file-sink", 1)
    };
    let vertices = |first, second| {
        vec![
            vertex("a", "generator-source", 1),
            sink("b", first),
            sink("c", second),
        ]
    };
    let edges = [(0, 1, Ship::Forward), (0, 2, Ship::Forward)];
    for (first, second) in [
        ("out", "out"),
        ("/data/out", "/data/./out"),
        ("out/same", "out/../out/same"),
        ("./out", "in/.././out"),
        ("../out", "../in/../out"),
        ("/out", "/../data/../../out"),
    ] {
        assert_eq!(
            refusal(vertices(first, second), &edges),
            format!("vertices `b` and `c` both write {second}")
        );
    }
    for (first, second) in [("out", "other"), ("out", "../out"), ("../../out", "../out")] {
        let apart = job(vertices(first, second), &edges);
        assert_eq!(apart.validate(&OperatorRegistry::new()), Ok(()));
    }
}

#[test]
fn a_sink_does_not_write_a_part_of_another() {
    let sink = |name: &str, path: &str, parallelism| Vertex {
        operator: OperatorSpec::new("file-sink").with("path", path),
        ..vertex(name, "file-sink", parallelism)
    };
    let validate = |sinks: [Vertex; 2]| {
        let source = vec![vertex("a", "generator-source", 1)];
        let vertices = [source, sinks.into()].concat();
        let edges = [(0, 1, Ship::Rebalance), (0, 2, Ship::Rebalance)];
        job(vertices, &edges).validate(&OperatorRegistry::new())
    };
    for path in ["out/fo/part-0", "out/./fo/part-7", "out/fo/part-1/in/it"] {
        let refused = validate([sink("b", "out/fo", 2), sink("c", path, 1)]);
        assert_eq!(
            refused,
            validate([sink("c", path, 1), sink("b", "out/fo", 2)])
        );
        assert_eq!(
            refused.unwrap_err().to_string(),
            format!(
                "vertex `c` writes {}, which is for `b`, whose subtasks each write a part in \
                 out/fo; give one of them another path",
                path.replace("/./", "/")
            )
        );
    }
    for path in [
        "out/part-0",
        "out/fo/total",
        "out/fo/part-x",
        "out/fob/part-0",
    ] {
        let apart = [sink("b", "out/fo", 2), sink("c", path, 1)];
        assert_eq!(validate(apart), Ok(()));
    }
    let file = [sink("b", "out/part-0", 1), sink("c", "out/part-1", 1)];
    assert_eq!(validate(file), Ok(()));
}

#[test]
fn operators_and_options_are_checked() {
    let with = |operator: OperatorSpec| {
        let mut vertices = vec![vertex("a", "generator-source", 1), vertex("b", "words", 1)];
        vertices[1].operator = operator;
        refusal(vertices, &[(0, 1, Ship::Forward)])
    };
    let refusal = with(OperatorSpec::new("wrods"));
    assert!(
        refusal.starts_with(
            "vertex `b` cannot be made: there is no operator `wrods`; there are discard-sink, "
        ),
        "{refusal}"
    );
    assert_eq!(
        with(OperatorSpec::new("file-sink")),
        "vertex `b` cannot be made: operator `file-sink` needs the option `path`"
    );
    assert_eq!(
        with(OperatorSpec::new("file-sink").with("path", 7)),
        "vertex `b` cannot be made: option `path` of operator `file-sink` is 7, not a text"
    );
    assert_eq!(
        with(
            OperatorSpec::new("file-sink")
                .with("path", "x")
                .with("pth", "x")
        ),
        "vertex `b` cannot be made: operator `file-sink` has no option `pth`; it has path"
    );
    assert_eq!(
        with(OperatorSpec::new("words").with("x", true)),
        "vertex `b` cannot be made: operator `words` has no option `x`; it has none"
    );
    assert_eq!(
        with(OperatorSpec::new("reduce").with("function", "product")),
        "vertex `b` cannot be made: option `function` of operator `reduce` is `product`, not count, \
         max, min or sum"
    );
}

#[test]
fn word_count_is_three_tasks() {
    let job = JobGraph::word_count(vec!["in".into()], None, 4);
    let plan = job.plan(&OperatorRegistry::new()).unwrap();
    assert_eq!(
        names(&plan),
        ["source -> words -> key -> count", "sum", "sort -> sink"]
    );
    let edge = |from, to, ship| Edge {
        from: VertexId(from),
        to: VertexId(to),
        ship,
    };
    assert_eq!(
        plan.edges,
        [edge(0, 1, Ship::Hash), edge(1, 2, Ship::Rebalance)]
    );
    assert_eq!((plan.slots(), plan.tasks()), (4, 9));
    assert_eq!(plan.vertices[0].operators.len(), 4);
}

#[test]
fn a_chain_that_gets_too_long_goes_on_in_another_task() {
    let count = CHAIN_OPERATORS_MAX as u32 * 2 + 1;
    let mut vertices: Vec<_> = (0..count)
        .map(|index| vertex(&index.to_string(), "words", 2))
        .collect();
    vertices[0] = vertex("0", "generator-source", 2);
    vertices[count as usize - 1] = vertex("last", "stdout-sink", 2);
    let edges: Vec<_> = (1..count).map(|to| (to - 1, to, Ship::Forward)).collect();
    let plan = job(vertices, &edges)
        .plan(&OperatorRegistry::new())
        .unwrap();
    let operators = plan.vertices.iter().map(|it| it.operators.len());
    let lengths: Vec<_> = operators.collect();
    assert_eq!(lengths, [CHAIN_OPERATORS_MAX, CHAIN_OPERATORS_MAX, 1]);
    assert_eq!(plan.vertices[2].name, "last");
    let edge = |from, to| Edge {
        from: VertexId(from),
        to: VertexId(to),
        ship: Ship::Forward,
    };
    assert_eq!(plan.edges, [edge(0, 1), edge(1, 2)]);
}

#[test]
fn forks_and_joins_are_not_chained() {
    // a ─▶ b ─▶ d     a feeds two, d is fed by two, and e comes after d alone; listed backwards.
    // └──▶ c ─▶ d ─▶ e
    let vertices = vec![
        vertex("e", "stdout-sink", 2),
        vertex("d", "words", 2),
        vertex("c", "words", 2),
        vertex("b", "words", 2),
        vertex("a", "generator-source", 2),
    ];
    let forward = Ship::Forward;
    let edges = [
        (4, 3, forward),
        (4, 2, forward),
        (3, 1, forward),
        (2, 1, forward),
        (1, 0, forward),
    ];
    let plan = job(vertices, &edges)
        .plan(&OperatorRegistry::new())
        .unwrap();
    assert_eq!(names(&plan), ["a", "b", "c", "d -> e"]);
    assert_eq!(plan.inputs(VertexId(3)).count(), 2);
    assert_eq!(plan.outputs(VertexId(0)).count(), 2);
    assert!(plan.edges.iter().all(|edge| edge.from < edge.to));
}

#[test]
fn only_forward_edges_are_chained() {
    for ship in [Ship::Broadcast, Ship::Hash, Ship::Rebalance] {
        let vertices = vec![
            vertex("a", "generator-source", 2),
            vertex("b", "stdout-sink", 2),
        ];
        let plan = job(vertices, &[(0, 1, ship)])
            .plan(&OperatorRegistry::new())
            .unwrap();
        assert_eq!(names(&plan), ["a", "b"]);
    }
}

#[test]
fn two_edges_between_the_same_two_are_not_chained() {
    let vertices = vec![
        vertex("a", "generator-source", 2),
        vertex("b", "stdout-sink", 2),
    ];
    let edges = [(0, 1, Ship::Forward), (0, 1, Ship::Forward)];
    let plan = job(vertices, &edges)
        .plan(&OperatorRegistry::new())
        .unwrap();
    assert_eq!(plan.edges.len(), 2);
}

#[test]
fn shares_are_read_by_whom_they_are_for() {
    assert_eq!(Ship::Forward.subpartitions(3), 1);
    assert_eq!(Ship::Forward.subpartition(1, 1), Some(0));
    assert_eq!(Ship::Forward.subpartition(1, 2), None);
    for ship in [Ship::Broadcast, Ship::Hash, Ship::Rebalance] {
        assert_eq!(ship.subpartitions(3), 3);
        assert_eq!(ship.subpartition(0, 2), Some(2));
    }
}

const FILE: &str = r#"
name = "long-words"
slot_wait_seconds = 60

[[vertex]]
name = "lines"
operator = "file-source"
parallelism = 4
path = ["a", "b"]

[[vertex]]
name = "long"
operator = "filter"
length_min = 0x10
invert = false

[[vertex]]
name = "out"
operator = "stdout-sink"
parallelism = 1

[[edge]]
from = "lines"
to = "long"
ship = "hash"

[[edge]]
from = "long"
to = "out"
"#;

fn parse(text: &str) -> Result<JobGraph, JobFileError> {
    JobGraph::from_toml(Path::new("job.toml"), text, 2)
}

#[test]
fn a_file_becomes_a_job() {
    let job = parse(FILE).unwrap();
    assert_eq!(job.name, "long-words");
    assert_eq!(job.slot_wait, Some(Duration::from_secs(60)));
    let parallelism: Vec<u32> = job
        .vertices
        .iter()
        .map(|vertex| vertex.parallelism)
        .collect();
    assert_eq!(parallelism, [4, 2, 1]);
    let paths = OptionValue::Texts(vec!["a".into(), "b".into()]);
    assert_eq!(job.vertices[0].operator.options["path"], paths);
    assert_eq!(
        job.vertices[1].operator.options["length_min"],
        OptionValue::Int(16)
    );
    assert_eq!(
        job.vertices[1].operator.options["invert"],
        OptionValue::Bool(false)
    );
    let ships: Vec<Ship> = job.edges.iter().map(|edge| edge.ship).collect();
    assert_eq!(ships, [Ship::Hash, Ship::Rebalance]);
    job.validate(&OperatorRegistry::new()).unwrap();
}

#[test]
fn what_is_wrong_with_a_file_is_named() {
    let refusal = |from: &str, to: &str| {
        assert!(FILE.contains(from));
        parse(&FILE.replacen(from, to, 1)).unwrap_err().to_string()
    };
    let refused = [
        (
            r#"name = "long-words""#,
            "",
            "job.toml:1: `job` needs the key `name`",
        ),
        (
            r#"name = "long-words""#,
            "nam = 1",
            "job.toml:2: `job` has no key `nam`",
        ),
        (
            r#"name = "long-words""#,
            "name = 1",
            "job.toml:2: `name` is 1, not a text",
        ),
        (
            "= 60",
            "= -1",
            "job.toml:3: `slot_wait_seconds` is -1, not a number of seconds",
        ),
        (
            "parallelism = 4",
            "parallelism = 'x'",
            "job.toml:8: `parallelism` is `x`, not a number of subtasks",
        ),
        (
            r#"operator = "filter""#,
            "",
            "job.toml:11: `vertex` needs the key `operator`",
        ),
        (
            "invert = false",
            "invert = 1979-05-27",
            "job.toml:15: `invert` is a date, not a truth value, a number, a text or a list of \
             texts",
        ),
        (
            r#"["a", "b"]"#,
            r#"["a", 1]"#,
            "job.toml:9: `path` is a list, not a truth value, a number, a text or a list of \
             texts",
        ),
        (
            r#"to = "long""#,
            r#"to = "lung""#,
            "job.toml:24: there is no vertex `lung`",
        ),
        (
            r#"ship = "hash""#,
            r#"ship = "hush""#,
            "job.toml:25: `ship` is `hush`, not broadcast, forward, hash or rebalance",
        ),
        (
            r#"ship = "hash""#,
            r#"skip = "hash""#,
            "job.toml:25: `edge` has no key `skip`",
        ),
    ];
    for (from, to, expected) in refused {
        assert_eq!(refusal(from, to), expected);
    }
}

#[test]
fn what_is_no_list_of_tables_or_no_toml_is_named() {
    let text = FILE.replacen("= 60", "=", 1);
    let refusal = parse(&text).unwrap_err().to_string();
    assert!(refusal.starts_with("job.toml:3: "), "{refusal}");
    assert_eq!(
        parse("name = 'x'\nvertex = 1").unwrap_err().to_string(),
        "job.toml:2: `vertex` is 1, not a list of tables, each begun with its name in double \
         brackets"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = JobGraph::read_toml(Path::new("/no/such/job.toml"), 1).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /no/such/job.toml");
}

#[test]
fn a_file_says_how_the_job_is_restarted() {
    let with = |table: &str| parse(&format!("{FILE}\n[restart]\n{table}"));
    assert_eq!(parse(FILE).unwrap().restart, None);
    for (table, expected) in [
        ("strategy = 'none'", "none"),
        ("strategy = 'fixed-delay'", "fixed-delay:3:1"),
        (
            "delay_seconds = 0.5\nstrategy = 'fixed-delay'",
            "fixed-delay:3:0.5",
        ),
        (
            "strategy = 'failure-rate'\nfailures_max = 0x10\ninterval_seconds = 5",
            "failure-rate:16:5:1",
        ),
        (
            "strategy = 'exponential-delay'\nmultiplier = 2\njitter = 0.0\nattempts = 9",
            "exponential-delay:1:60:2:3600:0:9",
        ),
    ] {
        let job = with(table).unwrap();
        assert_eq!(job.restart.as_ref().unwrap().to_string(), expected);
        let plan = job.plan(&OperatorRegistry::new()).unwrap();
        assert_eq!(plan.restart, job.restart);
    }
    for (table, expected) in [
        ("", "job.toml:31: `restart` needs the key `strategy`"),
        (
            "strategy = 'always'",
            "job.toml:32: `strategy` is `always`, not exponential-delay, failure-rate, fixed-delay \
             or none",
        ),
        (
            "strategy = 'fixed-delay'\nattempts = 0",
            "job.toml:33: `attempts` is 0, not a whole number from 1",
        ),
        (
            "strategy = 'fixed-delay'\nattempts = 'x'",
            "job.toml:33: `attempts` is `x`, not a number",
        ),
        (
            "strategy = 'fixed-delay'\njitter = 1",
            "job.toml:33: `restart` has no key `jitter`",
        ),
        (
            "strategy = 'exponential-delay'\nmax_seconds = 0.5",
            "job.toml:33: `max_seconds` is 0.5, not at least `initial_seconds`",
        ),
        // What is not said is wrong with the table.
        (
            "strategy = 'exponential-delay'\ninitial_seconds = 90",
            "job.toml:31: `max_seconds` is 60, not at least `initial_seconds`",
        ),
    ] {
        assert_eq!(with(table).unwrap_err().to_string(), expected);
    }
    let text = format!("restart = 'none'\n{FILE}");
    let refusal = parse(&text).unwrap_err().to_string();
    assert_eq!(refusal, "job.toml:1: `restart` is `none`, not a table");
}

#[test]
fn a_restart_strategy_that_is_of_no_use_is_named() {
    let mut job = parse(FILE).unwrap();
    job.restart = Some(RestartStrategy::FixedDelay {
        attempts: 0,
        delay: Duration::ZERO,
    });
    let error = job.validate(&OperatorRegistry::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`attempts` of the restart strategy is 0, not a whole number from 1"
    );
}
