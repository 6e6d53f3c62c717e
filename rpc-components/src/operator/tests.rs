use std::fs;
use std::future::{pending, poll_fn};
use std::path::PathBuf;
use std::slice;
use std::task::Poll;
use std::thread;

use super::*;
use crate::gateway::FileSplit;
use crate::job_graph::{OperatorCatalog, OperatorKind, OperatorSpec, OptionValue};

fn decode(buffer: &[u8]) -> Result<Vec<Record<'_>>, DecodeError> {
    let mut reader = RecordReader::new(buffer);
    let mut records = Vec::new();
    while let Some(record) = reader.next()? {
        records.push(record);
    }
    Ok(records)
}

#[test]
fn records_come_back_as_they_were() {
    let long = "x".repeat(70_000);
    let keys = ["", "k", "ключ", &"y".repeat(127), &"z".repeat(128), &long];
    let values = [
        Value::Unit,
        Value::Int(0),
        Value::Int(-1),
        Value::Int(63),
        Value::Int(64),
        Value::Int(i64::MAX),
        Value::Int(i64::MIN),
        Value::Float(-0.5),
        Value::Float(f64::INFINITY),
        Value::Text(""),
        Value::Text("straße"),
        Value::Text(&long),
        Value::Bytes(&[0, 255, 128]),
    ];
    let records: Vec<Record<'_>> = keys
        .iter()
        .flat_map(|key| values.map(|value| Record { key, value }))
        .collect();
    let mut buffer = Vec::new();
    records
        .iter()
        .for_each(|record| encode_record(*record, &mut buffer));
    assert_eq!(decode(&buffer).unwrap(), records);
}

#[test]
fn every_cut_of_a_record_is_an_error() {
    let mut buffer = Vec::new();
    let (key, value) = ("key", Value::Text("value"));
    encode_record(Record { key, value }, &mut buffer);
    for length in 1..buffer.len() {
        assert_eq!(decode(&buffer[..length]), Err(DecodeError::Truncated));
    }
}

#[test]
fn malformed_records_are_errors() {
    assert_eq!(decode(&[9, 0]), Err(DecodeError::Kind { kind: 9 }));
    assert_eq!(
        decode(&[0, 1, 0xff]),
        Err(DecodeError::NotUtf8 { part: "key" })
    );
    assert_eq!(
        decode(&[3, 0, 1, 0xff]),
        Err(DecodeError::NotUtf8 { part: "value" })
    );
    let too_many_digits = [&[1, 0][..], &[0xff; 10], &[0]].concat();
    assert_eq!(decode(&too_many_digits), Err(DecodeError::Overflow));
    let too_large = [&[1, 0][..], &[0xff; 9], &[2]].concat();
    assert_eq!(decode(&too_large), Err(DecodeError::Overflow));
    let longer_than_memory = [&[0][..], &[0xff; 9], &[1]].concat();
    assert_eq!(decode(&longer_than_memory), Err(DecodeError::Truncated));
}

#[test]
fn garbage_never_panics() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200_000 {
        let length = random.usize(..40);
        let garbage: Vec<u8> = (0..length)
            .map(|_| {
                if random.bool() {
                    random.u8(..6)
                } else {
                    random.u8(..)
                }
            })
            .collect();
        // Whatever comes out must go in again.
        if let Ok(records) = decode(&garbage) {
            let mut buffer = Vec::new();
            records
                .iter()
                .for_each(|record| encode_record(*record, &mut buffer));
            assert_eq!(
                format!("{:?}", decode(&buffer).unwrap()),
                format!("{records:?}")
            );
        }
    }
}

#[test]
fn names_are_registered_once() {
    let mut registry = OperatorRegistry::new();
    let error = registry
        .register_sink("words", |_| Ok(Nothing))
        .unwrap_err();
    assert_eq!(error.to_string(), "there is an operator `words` already");
    registry.register_sink("nothing", |_| Ok(Nothing)).unwrap();
    registry
        .register_transform("nothing", |_| Ok(Nothing))
        .unwrap_err();
    assert_eq!(
        registry.kind(&OperatorSpec::new("nothing")),
        Ok(OperatorKind::Sink)
    );
    assert_eq!(
        registry.kind(&OperatorSpec::new("words")),
        Ok(OperatorKind::Transform)
    );
    let source = OperatorSpec::new("generator-source");
    assert_eq!(registry.kind(&source), Ok(OperatorKind::Source));
}

struct Nothing;

impl Operator for Nothing {
    fn process(&mut self, _: Record<'_>, _: &mut dyn Collector) -> Result<(), OperatorError> {
        Ok(())
    }
}

#[test]
fn a_whole_number_is_a_number_however_large() {
    for (number, expected) in [
        (-3_000_000_000_i64, -3e9),
        (0, 0.0),
        (1 << 62, 2_f64.powi(62)),
    ] {
        let spec = OperatorSpec::new("any").with("rate", number);
        assert_eq!(Options::new(&spec).required("rate"), Ok(expected));
    }
}

#[test]
fn options_are_typed() {
    let spec = OperatorSpec::new("op")
        .with("bool", true)
        .with("float", 0.5)
        .with("int", -3)
        .with("text", "t")
        .with("texts", OptionValue::Texts(vec!["u".into()]));
    let mut options = Options::new(&spec);
    assert_eq!(options.optional::<bool>("bool"), Ok(Some(true)));
    assert_eq!(options.optional::<f64>("float"), Ok(Some(0.5)));
    assert_eq!(options.optional::<f64>("int"), Ok(Some(-3.0)));
    assert_eq!(options.optional::<i64>("int"), Ok(Some(-3)));
    assert_eq!(options.optional::<String>("text"), Ok(Some("t".into())));
    assert_eq!(
        options.optional::<Vec<String>>("text"),
        Ok(Some(vec!["t".into()]))
    );
    assert_eq!(
        options.optional::<Vec<String>>("texts"),
        Ok(Some(vec!["u".into()]))
    );
    assert_eq!(options.optional::<String>("none"), Ok(None));
    assert_eq!(
        options.optional::<u64>("int").unwrap_err().to_string(),
        "option `int` of operator `op` is -3, not a whole number that is not negative"
    );
    assert_eq!(
        options.required::<bool>("none").unwrap_err().to_string(),
        "operator `op` needs the option `none`"
    );
    options.finish().unwrap();
}

#[test]
fn a_thread_that_waits_is_cancelled() {
    let cancellation = Cancellation::new();
    let own = cancellation.clone();
    let waiting = thread::spawn(move || own.block_on(pending::<()>()));
    cancellation.cancel();
    assert_eq!(waiting.join().unwrap(), Err(Canceled));
    assert_eq!(cancellation.block_on(async { 1 }), Err(Canceled));
}

#[test]
fn a_thread_that_waits_is_woken() {
    let (wakers, woken) = std::sync::mpsc::channel();
    let cancellation = Cancellation::new();
    let waiting = thread::spawn(move || {
        let mut polls = 0;
        let third = poll_fn(|context| {
            polls += 1;
            wakers.send(context.waker().clone()).unwrap();
            if polls < 4 {
                Poll::Pending
            } else {
                Poll::Ready(polls)
            }
        });
        cancellation.block_on(third)
    });
    // The first poll is the one that hopes to need no waker; every wake makes one more.
    woken.iter().for_each(|waker| waker.wake());
    assert_eq!(waiting.join().unwrap(), Ok(4));
}

#[test]
fn files_and_folders_are_split() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::create_dir_all(at("folder/b/c")).unwrap();
    fs::write(at("folder/z"), "12345").unwrap();
    fs::write(at("folder/b/c/x"), "123").unwrap();
    fs::write(at("folder/a"), "1").unwrap();
    fs::write(at("folder/empty"), "").unwrap();
    fs::write(at("folder/.hidden"), "1").unwrap();
    fs::write(at(".named"), "12").unwrap();
    let split = |name: &str, start, length| FileSplit {
        path: at(name),
        start,
        length,
    };
    let expected = [
        split("folder/a", 0, 1),
        split("folder/b/c/x", 0, 2),
        split("folder/b/c/x", 2, 1),
        split("folder/empty", 0, u64::MAX),
        split("folder/z", 0, 2),
        split("folder/z", 2, 2),
        split("folder/z", 4, 1),
        split(".named", 0, 2),
    ];
    let paths = [at("folder"), at(".named")];
    let cut: Vec<_> = splits(&paths, 2).unwrap().collect();
    assert_eq!(cut, expected);
    let operator = OperatorSpec::new("file-source")
        .with("path", at("folder/a").to_str().unwrap())
        .with("split_bytes", 10);
    let cut: Vec<_> = file_splits(&operator).unwrap().unwrap().collect();
    assert_eq!(cut, [split("folder/a", 0, 1)]);
    assert_eq!(file_splits(&OperatorSpec::new("words")).unwrap(), None);
}

#[test]
fn a_file_may_have_more_splits_than_memory_has_room_for() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("large");
    let length = 1 << 40;
    fs::File::create(&path).unwrap().set_len(length).unwrap();
    let mut splits = splits(slice::from_ref(&path), 1).unwrap();
    let starts: Vec<u64> = splits.by_ref().take(3).map(|split| split.start).collect();
    assert_eq!(starts, [0, 1, 2]);
}

#[test]
fn a_file_that_does_not_tell_its_length_is_read_to_its_end() {
    let root = tempfile::tempdir().unwrap();
    let grows = root.path().join("grows");
    fs::write(&grows, "").unwrap();
    let splits = splits(slice::from_ref(&grows), 2).unwrap();
    // As in /proc, where a file has no length and yet something in it.
    fs::write(&grows, "one\ntwo\nthree").unwrap();
    let task = testing::context(0, 1, &testing::JobMasterStub::new(splits));
    let source = OperatorSpec::new("file-source").with("path", "handed out as splits");
    let lines = testing::run_source(&source, &task).unwrap();
    assert_eq!(lines, ["one", "two", "three"]);
}

#[test]
fn a_path_that_cannot_be_read_is_named() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("missing");
    let error = splits(slice::from_ref(&missing), 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot read {}", missing.display())
    );
    let device = PathBuf::from("/dev/null");
    let error = splits(&[device], 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/dev/null is neither a file nor a folder"
    );
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_round_in_circles() {
    use std::os::unix::fs::symlink;

    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("folder");
    fs::create_dir_all(folder.join("inner")).unwrap();
    fs::write(folder.join("inner/file"), "1").unwrap();
    symlink(&folder, folder.join("inner/up")).unwrap();
    symlink(folder.join("inner"), folder.join("twice")).unwrap();
    let paths: Vec<PathBuf> = splits(slice::from_ref(&folder), 9)
        .unwrap()
        .map(|split| split.path)
        .collect();
    assert_eq!(
        paths,
        [folder.join("inner/file"), folder.join("twice/file")]
    );
    symlink("nowhere", folder.join("broken")).unwrap();
    let error = splits(slice::from_ref(&folder), 9).unwrap_err();
    let expected = format!("cannot read {}", folder.join("broken").display());
    assert_eq!(error.to_string(), expected);
}
