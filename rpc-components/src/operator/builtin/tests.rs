use std::collections::BTreeMap;
use std::fs;
use std::slice;
use std::sync::Arc;

use crate::gateway::FileSplit;
use crate::id::VertexId;
use crate::job_graph::{OperatorSpec, OptionValue};
use crate::operator::testing::{Collected, JobMasterStub, context, operator, run, run_source};
use crate::operator::{OperatorContext, Record, Value, splits};

fn record<'a>(key: &'a str, value: Value<'a>) -> Record<'a> {
    Record { key, value }
}

fn words_of(text: &str) -> Vec<String> {
    let records = run(&OperatorSpec::new("words"), &[Record::text(text)]).unwrap();
    records.into_iter().map(|(_, word)| word).collect()
}

/// The definition, word for word.
fn words_by_definition(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[test]
fn words_are_as_defined() {
    let texts = [
        "",
        " ",
        "Hello, World!",
        "don't stop-me_now",
        "ODYSSEUS ΟΔΥΣΣΕΥΣ Σ ΑΣ ΑΣ. Σ1 1Σ ΑΣΑ",
        "STRASSE straße İstanbul I\u{307} e\u{301}clair é ﬁn",
        "a\u{301}b x²y ½ Ⅳ ٣٤ 漢字かな 한국어 ไทย",
        "mixASCIIé and éMIX, A\u{0}B\tC\u{a0}D\u{2028}E",
        "🦀crab🦀 👨‍👩‍👧 ǅ ǆ Ǆ ŉ ẞ",
        "x\u{fffd}y\u{feff}z",
    ];
    for text in texts {
        assert_eq!(words_of(text), words_by_definition(text), "{text:?}");
    }
}

#[test]
fn every_character_is_cut_and_lowered_as_defined() {
    for c in '\0'..=char::MAX {
        let text = format!("A{c}B {c}");
        let words = if c.is_ascii() || c.is_alphanumeric() || (c as u32).is_multiple_of(64) {
            words_of(&text)
        } else {
            continue;
        };
        assert_eq!(words, words_by_definition(&text), "{c:?}");
    }
}

#[test]
fn random_texts_are_cut_as_defined() {
    let alphabet: Vec<char> = "aZ9 .'\nΣσςΑéßİ\u{301}\u{307}ﬁ漢½²🦀ǅ".chars().collect();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..5_000 {
        let text: String = (0..random.usize(..24))
            .map(|_| alphabet[random.usize(..alphabet.len())])
            .collect();
        assert_eq!(words_of(&text), words_by_definition(&text), "{text:?}");
    }
}

fn file_source(options: &[(&str, i64)]) -> OperatorSpec {
    let spec = OperatorSpec::new("file-source").with("path", "handed out as splits");
    options.iter().fold(spec, |spec, (option, value)| {
        spec.with(*option, OptionValue::Int(*value))
    })
}

fn lines_of(splits: impl IntoIterator<Item = FileSplit>) -> Vec<String> {
    run_source(
        &file_source(&[]),
        &context(0, 1, &JobMasterStub::new(splits)),
    )
    .unwrap()
}

/// The lines of a text as the source is to give them.
fn lines_by_definition(text: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(text)
        .lines()
        .map(Into::into)
        .collect()
}

#[test]
fn each_line_belongs_to_one_split_however_a_file_is_cut() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    let texts: [&[u8]; 9] = [
        b"one\ntwo\nthree\n",
        b"one\ntwo\nthree",
        b"\n\n\n",
        b"\na\n\nb",
        b"a\r\nb\r\r\n\r\nc\r",
        b"no line feed",
        b"\xff\xfe\nok\n\xe2\x82\n\xe2\x82\xac",
        b"\n",
        b"x",
    ];
    for text in texts {
        fs::write(&path, text).unwrap();
        for split_bytes in 1..=text.len() + 1 {
            let splits = splits(slice::from_ref(&path), split_bytes as u64).unwrap();
            assert_eq!(
                lines_of(splits),
                lines_by_definition(text),
                "{text:?} by {split_bytes}"
            );
        }
        // Two cuts anywhere.
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let split = |start, end| FileSplit {
                    path: path.clone(),
                    start: start as u64,
                    length: (end - start) as u64,
                };
                let cut = [
                    split(0, first),
                    split(first, second),
                    split(second, text.len()),
                ];
                let lines = lines_of(cut.into_iter().filter(|split| split.length > 0));
                assert_eq!(
                    lines,
                    lines_by_definition(text),
                    "{text:?} at {first}, {second}"
                );
            }
        }
    }
}

#[test]
fn lines_longer_than_what_is_read_at_once_stay_whole() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    let mut random = fastrand::Rng::with_seed(3);
    let mut text = Vec::new();
    for length in [
        0, 10, 65_535, 65_536, 65_537, 200_000, 1, 131_072, 0, 3_000_000, 70_000,
    ] {
        text.extend((0..length).map(|_| random.alphanumeric() as u8));
        text.extend_from_slice(if random.bool() { b"\n" } else { b"\r\n" });
    }
    fs::write(&path, &text).unwrap();
    for split_bytes in [1 << 30, 65_536, 50_000, 1_000_003] {
        let splits = splits(slice::from_ref(&path), split_bytes).unwrap();
        let job_master = JobMasterStub::new(splits);
        let context = context(0, 1, &job_master);
        let lines = run_source(&file_source(&[]), &context).unwrap();
        assert!(lines == lines_by_definition(&text), "by {split_bytes}");
        assert_eq!(context.io.snapshot().bytes_in, text.len() as u64);
    }
}

#[test]
fn a_line_beyond_the_limit_is_named() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    for (length, limit, fits) in [
        (100, 100, true),
        (101, 100, false),
        (300_000, 299_999, false),
        (300_000, 300_000, true),
    ] {
        let text = format!("short\n{}\r\nafter\n", "x".repeat(length));
        fs::write(&path, text).unwrap();
        let splits = splits(slice::from_ref(&path), 1 << 30).unwrap();
        let context = context(0, 1, &JobMasterStub::new(splits));
        let lines = run_source(&file_source(&[("line_bytes_max", limit)]), &context);
        let expected = format!(
            "the line at byte 6 of {} is longer than {limit} bytes",
            path.display()
        );
        match lines {
            Ok(lines) => assert!(fits && lines.len() == 3),
            Err(error) => assert!(!fits && error.to_string() == expected, "{error}"),
        }
    }
}

#[test]
fn a_file_that_vanished_is_named() {
    let path = "/no/such/file".into();
    let split = FileSplit {
        path,
        start: 0,
        length: 1,
    };
    let context = context(0, 1, &JobMasterStub::new(vec![split]));
    let error = run_source(&file_source(&[]), &context).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /no/such/file");
}

#[test]
fn a_file_that_has_become_shorter_is_named() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    for length in [0, 3, 4, 9, 12, 17] {
        fs::write(&path, "one\ntwo\nthree\nfour\n").unwrap();
        let splits: Vec<_> = splits(slice::from_ref(&path), 10).unwrap().collect();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(length).unwrap();
        let context = context(0, 1, &JobMasterStub::new(splits));
        let error = run_source(&file_source(&[]), &context).unwrap_err();
        let end = if length < 10 { 10 } else { 19 };
        let expected = format!(
            "{} has become shorter: it ends at byte {length} and was to be read to byte {end}; run \
             the job when nobody changes the file",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
        assert!(!error.is_fatal());
    }
}

#[test]
fn a_file_may_grow_while_it_is_read() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    fs::write(&path, "one\ntwo").unwrap();
    let splits: Vec<_> = splits(slice::from_ref(&path), 5).unwrap().collect();
    fs::write(&path, "one\ntwofold\nthree\n").unwrap();
    assert_eq!(lines_of(splits), ["one", "twofold"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_shorter_than_it_tells_is_read_to_its_end() {
    // What is in `/sys` tells the length of a page of memory, whatever there is.
    let path = std::path::PathBuf::from("/sys/devices/system/cpu/online");
    let Ok(text) = fs::read_to_string(&path) else {
        return;
    };
    let splits = splits(slice::from_ref(&path), 1 << 30).unwrap();
    assert_eq!(lines_of(splits), lines_by_definition(text.as_bytes()));
}

#[test]
fn generated_lines_do_not_depend_on_who_makes_them() {
    let spec = OperatorSpec::new("generator-source")
        .with("count", 1000)
        .with("seed", 5);
    let lines = |parallelism: u32| {
        let subtasks = (0..parallelism).flat_map(|subtask| {
            let context = context(subtask, parallelism, &JobMasterStub::new(vec![]));
            run_source(&spec, &context).unwrap()
        });
        let mut lines: Vec<String> = subtasks.collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(1).len(), 1000);
    assert_eq!(lines(1), lines(3));
    assert_eq!(lines(1)[0].split(' ').count(), 10);
}

#[test]
fn texts_are_filtered_split_and_parsed() {
    let texts = ["an error", "all well", "err", ""].map(Record::text);
    let filter = |spec: OperatorSpec| -> Vec<String> {
        run(&spec, &texts)
            .unwrap()
            .into_iter()
            .map(|(_, value)| value)
            .collect()
    };
    let spec = OperatorSpec::new("filter");
    assert_eq!(
        filter(spec.clone().with("contains", "err")),
        ["an error", "err"]
    );
    assert_eq!(
        filter(spec.clone().with("contains", "err").with("invert", true)),
        ["all well", ""]
    );
    assert_eq!(
        filter(spec.clone().with("length_min", 4)),
        ["an error", "all well"]
    );
    assert_eq!(
        filter(spec.with("length_max", 3).with("contains", "r")),
        ["err"]
    );
    assert_eq!(filter(OperatorSpec::new("lower-case")).len(), 4);

    let parts = |spec: OperatorSpec| {
        let parts = run(&spec, &[record("k", Value::Text("a,,b"))]).unwrap();
        parts
            .into_iter()
            .map(|(key, value)| key + &value)
            .collect::<Vec<_>>()
    };
    let spec = OperatorSpec::new("split").with("separator", ",");
    assert_eq!(parts(spec.clone()), ["ka", "kb"]);
    assert_eq!(parts(spec.with("keep_empty", true)), ["ka", "k", "kb"]);
    let spec = OperatorSpec::new("field").with("separator", ",");
    assert_eq!(parts(spec.clone().with("index", 2)), ["kb"]);
    let error = run(&spec.with("index", 3), &[Record::text("a,,b")]).unwrap_err();
    assert_eq!(error.to_string(), "`field` finds no part 3 in `a,,b`");

    let parse = OperatorSpec::new("parse").with("as", "int");
    let parsed = run(&parse, &[record("k", Value::Text(" 12 "))]).unwrap();
    assert_eq!(parsed, [("k".into(), "12".into())]);
    let error = run(&parse, &[Record::text("twelve")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`parse` cannot read `twelve` as a number"
    );
    let error = run(&parse, &[record("", Value::Unit)]).unwrap_err();
    assert_eq!(error.to_string(), "`parse` takes texts, not nothing");
}

#[test]
fn keys_are_taken_from_values() {
    let keyed = |spec: &OperatorSpec, value| run(spec, &[record("", value)]).unwrap();
    let spec = OperatorSpec::new("key-by");
    assert_eq!(
        keyed(&spec, Value::Text("word")),
        [("word".into(), "word".into())]
    );
    assert_eq!(keyed(&spec, Value::Int(-4)), [("-4".into(), "-4".into())]);
    let spec = spec.with("separator", ";").with("index", 1);
    assert_eq!(
        keyed(&spec, Value::Text("a;b;c")),
        [("b".into(), "a;b;c".into())]
    );
}

fn reduced(spec: OperatorSpec, records: &[Record<'_>]) -> Vec<(String, String)> {
    run(&spec, records).unwrap()
}

#[test]
fn records_are_reduced_by_key() {
    let records = [("a", 3), ("b", 1), ("a", 5), ("", 7)];
    let records = records.map(|(key, number)| record(key, Value::Int(number)));
    let expect = |function: &str, expected: [i64; 3]| {
        let spec = OperatorSpec::new("reduce").with("function", function);
        let expected = ["a", "b", ""].map(String::from).into_iter().zip(expected);
        let expected: Vec<_> = expected
            .map(|(key, number)| (key, number.to_string()))
            .collect();
        assert_eq!(reduced(spec, &records), expected);
    };
    expect("count", [2, 1, 1]);
    expect("max", [5, 1, 7]);
    expect("min", [3, 1, 7]);
    expect("sum", [8, 1, 7]);
    let sum = OperatorSpec::new("reduce").with("function", "sum");
    let mixed = [record("a", Value::Int(1)), record("a", Value::Float(0.5))];
    assert_eq!(
        reduced(sum.clone(), &mixed),
        [("a".into(), "Float(1.5)".into())]
    );
    let too_large = [
        record("a", Value::Int(i64::MAX)),
        record("a", Value::Int(1)),
    ];
    let error = run(&sum, &too_large).unwrap_err().to_string();
    assert_eq!(
        error,
        "`reduce` takes numbers, and the value of `a` grows beyond 64 bits"
    );
    let error = run(&sum, &[record("a", Value::Text("1"))])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "`reduce` takes numbers, and the value of `a` is a text"
    );
}

#[test]
fn a_full_combiner_hands_on_and_begins_anew() {
    let mut random = fastrand::Rng::with_seed(9);
    let keys: Vec<String> = (0..20_000)
        .map(|_| "k".repeat(random.usize(..40)) + &random.u32(..3000).to_string())
        .collect();
    let mut expected = BTreeMap::new();
    keys.iter()
        .for_each(|key| *expected.entry(key.clone()).or_insert(0) += 1);
    let records: Vec<_> = keys.iter().map(|key| record(key, Value::Unit)).collect();
    let spec = OperatorSpec::new("reduce").with("function", "count");
    let partial = spec
        .clone()
        .with("partial", true)
        .with("memory_bytes_max", 10_000);
    let parts = reduced(partial, &records);
    assert!(parts.len() > expected.len());
    let mut sums = BTreeMap::new();
    for (key, count) in parts {
        *sums.entry(key).or_insert(0) += count.parse::<i32>().unwrap();
    }
    assert_eq!(sums, expected);
    let error = run(&spec.clone().with("memory_bytes_max", 10_000), &records).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`reduce` holds more than 10000 bytes (its option `memory_bytes_max`)"
    );
    let whole: BTreeMap<_, _> = reduced(spec, &records)
        .into_iter()
        .map(|(key, count)| (key, count.parse().unwrap()))
        .collect();
    assert_eq!(whole, expected);
}

#[test]
fn records_larger_than_a_chunk_are_kept() {
    let long = "x".repeat(3 << 20);
    let longer = "y".repeat(5 << 20);
    let keys = ["a", &long, "b", &longer, &long, "a"];
    let records = keys.map(|key| record(key, Value::Unit));
    let counts = reduced(
        OperatorSpec::new("reduce").with("function", "count"),
        &records,
    );
    let expected = [("a", "2"), (&long, "2"), ("b", "1"), (&longer, "1")];
    let expected = expected.map(|(key, count)| (key.to_string(), count.to_string()));
    assert!(counts == expected);
    let sorted = run(&OperatorSpec::new("sort"), &records).unwrap();
    let keys: Vec<_> = sorted.iter().map(|(key, _)| key.as_str()).collect();
    assert!(keys == ["a", "a", "b", &long, &long, &longer]);
}

#[test]
fn records_are_sorted_by_the_bytes_of_their_keys() {
    let mut random = fastrand::Rng::with_seed(4);
    let keys: Vec<String> = (0..5_000)
        .map(|_| {
            let shared = ["", "shared-prefix-", "é", "\0", "\0\0\0\0\0\0\0\0"];
            let (prefix, length) = (shared[random.usize(..5)], random.usize(..4));
            let rest = (0..length).map(|_| ['\0', 'a', 'b', 'ÿ'][random.usize(..4)]);
            prefix.chars().chain(rest).collect()
        })
        .collect();
    let records: Vec<_> = keys
        .iter()
        .zip(0..)
        .map(|(key, place)| record(key, Value::Int(place)))
        .collect();
    let mut expected: Vec<(String, i64)> = keys.iter().cloned().zip(0..).collect();
    expected.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(key, place)| (key, place.to_string()))
        .collect();
    assert_eq!(run(&OperatorSpec::new("sort"), &records).unwrap(), expected);
    let limited = OperatorSpec::new("sort").with("memory_bytes_max", 1000);
    let error = run(&limited, &records).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sort` holds more than 1000 bytes (its option `memory_bytes_max`)"
    );
}

fn sink_into(path: &std::path::Path) -> OperatorSpec {
    OperatorSpec::new("file-sink").with("path", path.to_str().unwrap())
}

fn names_in(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_appears_when_its_sink_finishes() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    fs::write(&path, "old").unwrap();
    let mut sink = operator(&sink_into(&path));
    let task = context(0, 1, &JobMasterStub::new(vec![]));
    sink.open(&task).unwrap();
    for (key, value) in [
        ("k", Value::Int(1)),
        ("", Value::Text("alone")),
        ("key", Value::Unit),
        ("f", Value::Float(0.5)),
    ] {
        sink.process(record(key, value), &mut Collected::default())
            .unwrap();
    }
    sink.flush(&mut Collected::default()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names_in(root.path()).len(), 2);
    sink.finish(&mut Collected::default()).unwrap();
    drop(sink);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "k\t1\nalone\nkey\nf\t0.5\n"
    );
    assert_eq!(names_in(root.path()), ["out"]);
    assert_eq!(task.io.snapshot().bytes_out, 20);
}

#[test]
fn a_sink_that_does_not_finish_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut sink = operator(&sink_into(&root.path().join("out")));
    sink.open(&context(0, 1, &JobMasterStub::new(vec![])))
        .unwrap();
    assert_eq!(names_in(root.path()).len(), 1);
    drop(sink);
    assert!(names_in(root.path()).is_empty());
}

/// The task of an attempt.
fn context_of(attempt: u32) -> OperatorContext {
    let mut context = context(0, 1, &JobMasterStub::new(vec![]));
    context.attempt.attempt = attempt;
    context
}

#[test]
fn the_next_attempt_of_a_sink_removes_what_a_killed_one_has_left() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    let none = &mut Collected::default();
    // Nobody drops what is killed; it may also live on, unknown to anyone.
    let mut killed = operator(&sink_into(&path));
    killed.open(&context_of(0)).unwrap();
    killed
        .process(record("", Value::Text("old")), none)
        .unwrap();
    let mut other = operator(&sink_into(&root.path().join("other")));
    let mut neighbour = context_of(0);
    neighbour.attempt.vertex = VertexId(1);
    other.open(&neighbour).unwrap();
    assert_eq!(names_in(root.path()).len(), 2);

    let mut next = operator(&sink_into(&path));
    next.open(&context_of(2)).unwrap();
    assert_eq!(names_in(root.path()).len(), 2);
    next.process(record("", Value::Text("new")), none).unwrap();
    // It has nothing to put in the place of what the next attempt writes, before or after.
    killed.finish(none).unwrap_err();
    assert!(!path.exists());
    next.finish(none).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    drop(killed);
    other.finish(none).unwrap();
    assert_eq!(names_in(root.path()), ["other", "out"]);
}

#[test]
fn the_next_attempt_of_a_sink_replaces_what_one_has_finished() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    for attempt in 0..2 {
        let mut sink = operator(&sink_into(&path));
        sink.open(&context_of(attempt)).unwrap();
        let line = record("", Value::Int(attempt.into()));
        sink.process(line, &mut Collected::default()).unwrap();
        sink.finish(&mut Collected::default()).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
    assert_eq!(names_in(root.path()), ["out"]);
}

#[cfg(unix)]
#[test]
fn what_a_pipe_has_taken_is_not_written_again() {
    let root = tempfile::tempdir().unwrap();
    let pipe = root.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let error = operator(&sink_into(&pipe)).open(&context_of(1));
    let error = error.unwrap_err();
    assert!(error.is_fatal());
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("before the restart"), "{cause}");
    let null = operator(&sink_into("/dev/null".as_ref())).open(&context_of(1));
    null.unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_wrong_with_a_device_or_a_socket_is_final() {
    let mut sink = operator(&sink_into("/dev/full".as_ref()));
    sink.open(&context_of(0)).unwrap();
    sink.process(record("", Value::Int(1)), &mut Collected::default())
        .unwrap();
    let full = sink.finish(&mut Collected::default()).unwrap_err();
    let root = tempfile::tempdir().unwrap();
    let socket = root.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let not_taken = operator(&sink_into(&socket)).open(&context_of(0));
    for (error, path, cause) in [
        (full, "/dev/full".as_ref(), "No space left on device"),
        (not_taken.unwrap_err(), socket.as_path(), "No such device"),
    ] {
        assert!(error.is_fatal());
        assert_eq!(
            error.to_string(),
            format!("cannot write {}", path.display())
        );
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.starts_with(cause), "{source}");
    }
}

#[test]
fn several_sinks_write_parts() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("deep/out");
    for subtask in 0..3 {
        let mut sink = operator(&sink_into(&folder));
        sink.open(&context(subtask, 3, &JobMasterStub::new(vec![])))
            .unwrap();
        sink.process(
            record("", Value::Int(subtask.into())),
            &mut Collected::default(),
        )
        .unwrap();
        sink.finish(&mut Collected::default()).unwrap();
    }
    assert_eq!(names_in(&folder), ["part-0", "part-1", "part-2"]);
    assert_eq!(fs::read_to_string(folder.join("part-2")).unwrap(), "2\n");
    let mut narrower = operator(&sink_into(&folder));
    let error = narrower
        .open(&context(0, 2, &JobMasterStub::new(vec![])))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot write {}", folder.display())
    );
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let root = tempfile::tempdir().unwrap();
    for path in [
        root.path().to_path_buf(),
        root.path().join("no/such/folder"),
    ] {
        let mut sink = operator(&sink_into(&path));
        let error = sink
            .open(&context(0, 1, &JobMasterStub::new(vec![])))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot write {}", path.display())
        );
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_written_to_and_links_stay_links() {
    use std::os::unix::fs::symlink;

    let mut sink = operator(&sink_into("/dev/null".as_ref()));
    let task: OperatorContext = context(0, 1, &JobMasterStub::new(vec![]));
    sink.open(&task).unwrap();
    sink.process(Record::text("x"), &mut Collected::default())
        .unwrap();
    sink.finish(&mut Collected::default()).unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());

    let root = tempfile::tempdir().unwrap();
    let (file, link) = (root.path().join("file"), root.path().join("link"));
    fs::write(&file, "old").unwrap();
    symlink(&file, &link).unwrap();
    let mut sink = operator(&sink_into(&link));
    sink.open(&task).unwrap();
    sink.process(Record::text("new"), &mut Collected::default())
        .unwrap();
    sink.finish(&mut Collected::default()).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&file).unwrap(), "new\n");
}

/// Writes one line by a sink of its own.
fn write_into(path: &std::path::Path) {
    let mut sink = operator(&sink_into(path));
    sink.open(&context(0, 1, &JobMasterStub::new(vec![])))
        .unwrap();
    sink.process(Record::text("new"), &mut Collected::default())
        .unwrap();
    sink.finish(&mut Collected::default()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_keeps_its_permissions() {
    use std::os::unix::fs::PermissionsExt;

    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    write_into(&path);
    assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_file_may_have_any_name_that_files_may_have() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("n".repeat(255));
    write_into(&path);
    assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
}

#[cfg(unix)]
#[test]
fn a_link_to_what_is_not_there_yet_stays_a_link() {
    use std::os::unix::fs::symlink;

    let root = tempfile::tempdir().unwrap();
    let (folder, link) = (root.path().join("folder"), root.path().join("link"));
    fs::create_dir(&folder).unwrap();
    symlink("folder/further", &link).unwrap();
    symlink("file", folder.join("further")).unwrap();
    write_into(&link);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "new\n");
}

#[test]
fn results_go_to_the_client() {
    let job_master: Arc<JobMasterStub> = JobMasterStub::new(vec![]);
    let mut sink = operator(&OperatorSpec::new("stdout-sink"));
    sink.open(&context(0, 1, &job_master)).unwrap();
    sink.process(record("k", Value::Int(1)), &mut Collected::default())
        .unwrap();
    assert_eq!(job_master.results(), "");
    sink.flush(&mut Collected::default()).unwrap();
    assert_eq!(job_master.results(), "k\t1\n");
    sink.process(record("l", Value::Int(2)), &mut Collected::default())
        .unwrap();
    sink.finish(&mut Collected::default()).unwrap();
    assert_eq!(job_master.results(), "k\t1\nl\t2\n");
}

#[test]
fn a_long_record_goes_to_the_client_in_pieces() {
    let job_master: Arc<JobMasterStub> = JobMasterStub::new(vec![]);
    let mut sink = operator(&OperatorSpec::new("stdout-sink"));
    sink.open(&context(0, 1, &job_master)).unwrap();
    let text = "long ".repeat(3_000_000);
    sink.process(Record::text(&text), &mut Collected::default())
        .unwrap();
    sink.finish(&mut Collected::default()).unwrap();
    assert!(job_master.results() == format!("{text}\n"));
    // Well below the limit of a frame.
    assert!(job_master.longest_piece() <= 1 << 20);
}
