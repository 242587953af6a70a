//! PyTorch files made to do harm: all are refused with a message, none costs much.

use std::path::Path;

use proptest::prelude::*;
use wick::weights::PyTorch;

use super::common::torch::zip;
use super::data;

/// A pickle of protocol 2 around `body`.
fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

fn open(content: &[u8]) -> Result<PyTorch, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    PyTorch::open_file(file.path()).map_err(|e| e.to_string())
}

/// The error of a zip whose pickle is `body` and whose storage `0` is eight bytes.
fn refusal(body: &[u8]) -> String {
    let content = zip(&[("a/data.pkl", &pickle(body)), ("a/data/0", &[0; 8])]);
    match open(&content) {
        Ok(_) => panic!("opened: {}", body.escape_ascii()),
        Err(e) => e,
    }
}

/// `{'w': a float tensor over storage 0 of two elements}` with this offset, shape and strides.
fn tensor(view: &[u8]) -> Vec<u8> {
    let head = b"}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage\
                 ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x02tQ";
    [&head[..], view, b"\x89)tRs"].concat()
}

#[test]
fn the_archive_of_these_tests_is_one_that_opens() {
    let body = tensor(b"K\x00K\x02\x85K\x01\x85");
    let content = zip(&[("a/data.pkl", &pickle(&body)), ("a/data/0", &[0; 8])]);
    assert!(open(&content).is_ok());
}

#[test]
fn code_is_not_run_and_the_name_is_told() {
    for (body, name) in [
        (&b"cos\nsystem\nX\x02\0\0\0id\x85R"[..], "os.system"),
        (b"cbuiltins\neval\nX\x01\0\0\x001\x85R", "builtins.eval"),
        (b"X\x05\0\0\0posixX\x06\0\0\0system\x93)R", "posix.system"),
        (b"ctorch\nload\n)R", "torch.load"),
        (
            b"ctorch._utils\n_rebuild_from_type_v2\n)R",
            "_rebuild_from_type_v2",
        ),
        (b"c__torch__\nModel\n)\x81", "__torch__.Model"),
    ] {
        let error = refusal(body);
        assert!(error.contains(name), "{error}");
    }
    // The old ways to call: INST, OBJ, extension registry, persistent id in text.
    for body in [
        &b"(ios\nsystem\n"[..],
        b"(cos\nsystem\no",
        b"\x82\x01",
        b"Pa\n",
    ] {
        let error = refusal(body);
        assert!(
            error.contains("no place in a checkpoint") || error.contains("os.system"),
            "{error}"
        );
    }
    // Names in messages cannot speak to the terminal.
    assert!(!refusal(b"cos\n\x1b[31m\n").contains('\x1b'));
    assert!(!refusal(b"}X\x05\0\0\0\x1b[31mNs").contains('\x1b'));
}

#[test]
fn calls_of_known_names_with_other_arguments_are_refused() {
    for body in [
        &b"ccollections\nOrderedDict\nK\x01\x85R"[..],
        b"ccollections\nOrderedDict\n]R",
        b"ccollections\nOrderedDict\n]N a\x85R",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R",
        b"ctorch._utils\n_rebuild_parameter\nN\x85R",
        b"ctorch\nFloatStorage\n)R",
        b"ctorch\nSize\nN\x85R",
        b"K\x01)R",
        b"NQ",
        b"X\x01\0\0\0aQ",
        b"K\x01}b",
    ] {
        refusal(body);
    }
}

#[test]
fn malformed_stacks_memos_and_lengths_are_refused() {
    for body in [
        &b""[..],
        b"0",
        b"1",
        b"t",
        b"(0",
        b"2",
        b"h\x07",
        b"q\x01",
        b"}(K\x01u",
        b"]K\x01K\x02s",
        b"}K\x01a",
        b"\x80\x09",
        b"X\xff\xff\xff\xffa",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fa",
        b"X\x02\0\0\0\xff\xff",
        b"\x8a\xff",
        b"cos",
        b"}K\x01Ns",
        b"}X\x01\0\0\0wNs",
        b"]",
    ] {
        refusal(body);
    }
}

#[test]
fn deep_and_cyclic_structures_end() {
    // A million lists in each other.
    let mut deep = b"]".repeat(1_000_000);
    deep.extend(b"a".repeat(999_999));
    refusal(&deep);
    refusal(&b"(".repeat(1_000_000));
    // A dict that is its own `model`.
    let error = refusal(b"}q\x00X\x05\0\0\0modelh\x00s");
    assert!(error.contains("without an end"), "{error}");
    // More values than any checkpoint has.
    let error = refusal(&b"K\x01".repeat(5_000_000));
    assert!(error.contains("more than"), "{error}");
    // A hundred copies of one list of 50 000 pairs.
    let mut copies = b"K\x01K\x01\x86q\x010]q\x00(".to_vec();
    copies.extend(b"h\x01".repeat(50_000));
    copies.extend(b"eccollections\nOrderedDict\nq\x02");
    copies.extend(b"h\x02h\x00\x85R0".repeat(100));
    let error = refusal(&copies);
    assert!(error.contains("more than"), "{error}");
}

#[test]
fn lists_of_plain_data_are_tensors_and_all_else_in_them_is_refused() {
    use wick::weights::Checkpoint;
    // {"a": [7, "nf4", (2, 3), None, True]}
    let list = b"}X\x01\0\0\0a](K\x07X\x03\0\0\0nf4(K\x02K\x03tN\x88es";
    let file = open(&zip(&[
        ("a/data.pkl", &pickle(list)),
        ("a/data/0", &[0; 8]),
    ]))
    .unwrap();
    let names: Vec<&str> = file.tensors().keys().map(String::as_str).collect();
    assert_eq!(names, ["a.0", "a.1", "a.2", "a.4"]);
    assert_eq!(*file.read("a.0").unwrap(), 7i64.to_le_bytes());
    assert_eq!(*file.read("a.1").unwrap(), *b"nf4");
    assert_eq!(file.tensors()["a.2"].shape, [2]);
    for body in [
        &b"}X\x01\0\0\0a](G\0\0\0\0\0\0\0\0es"[..], // a float
        b"}X\x01\0\0\0a](}es",                      // a dict
        b"}X\x01\0\0\0a](\x8a\x09\0\0\0\0\0\0\0\0\x01es", // 2^64
        b"}(X\x01\0\0\0a](K\x01eX\x03\0\0\0a.0](K\x01eX\x01\0\0\0bNu",
        b"}X\x01\0\0\0a]q\x01h\x01as", // a list in itself
    ] {
        refusal(body);
    }
    // A list of 64 of the same list of 64 … six deep.
    let mut nested = b"]q\x00(".to_vec();
    nested.extend(b"N".repeat(64));
    nested.push(b'e');
    for depth in 1..6u8 {
        nested.extend([b'0', b']', b'q', depth, b'(']);
        nested.extend([b'h', depth - 1].repeat(64));
        nested.push(b'e');
    }
    let mut body = nested;
    body.extend(b"0}X\x01\0\0\0ah\x05s");
    refusal(&body);
}

#[test]
fn what_lists_repeat_is_bounded() {
    let text = |n: usize| [b"X", &(n as u32).to_le_bytes()[..], &b"a".repeat(n)].concat();
    // One long text, 64 times.
    let long = [b"}X\x01\0\0\0a](", &text(1 << 20)[..], b"q\x00"].concat();
    let error = refusal(&[&long[..], &b"h\x00".repeat(63), b"es"].concat());
    assert!(error.contains("too long"), "{error}");
    // A list of 64 texts, 64 times in a list, 64 times in another, under a long name; and one of 64
    // numbers, a list deeper, under a short one.
    let texts = [b"](", &text(1)[..], b"q\x00", &b"h\x00".repeat(63), b"e"].concat();
    let numbers = [b"](", &b"K\x07".repeat(64)[..], b"e"].concat();
    for (list, name, depth) in [(texts, 1024, 2), (numbers, 1, 3)] {
        let mut body = [b"}", &text(name)[..]].concat();
        body.extend(b"](".repeat(depth));
        body.extend(list);
        for number in (1..).take(depth) {
            body.extend([b'q', number]);
            body.extend([b'h', number].repeat(63));
            body.push(b'e');
        }
        body.push(b's');
        let error = refusal(&body);
        assert!(error.contains("too long"), "{error}");
        assert!(error.len() < 300, "{error}");
    }
}

#[test]
fn views_outside_their_storage_are_refused() {
    for view in [
        &b"K\x00K\x03\x85K\x01\x85"[..],                 // three of two
        b"K\x01K\x02\x85K\x01\x85",                      // from the second
        b"K\x00K\x02\x85K\x02\x85",                      // every other
        b"K\x00J\xff\xff\xff\xff\x85K\x01\x85",          // −1 elements
        b"K\x01K\x02\x85J\xff\xff\xff\xff\x85",          // backwards
        b"J\xff\xff\xff\xffK\x02\x85K\x01\x85",          // before the start
        b"K\x00K\x02K\x02\x86K\x01\x85",                 // two dimensions, one stride
        b"K\x00\x8a\x08\0\0\0\0\0\0\0\x40\x85K\x00\x85", // 2^62 times one element
        b"K\x00J\xff\xff\xff\x7f\x85K\x00\x85",          // 2^31 times one element
        b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x02\x85K\x01\x85", // offset 2^63
        b"K\x00\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x02\x86K\x01K\x01\x86",
        b"K\x00K\x02\x85\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85",
    ] {
        let error = refusal(&tensor(view));
        assert!(!error.is_empty(), "{}", view.escape_ascii());
    }
    let body = tensor(b"K\x00K\x02\x85K\x01\x85");
    let short = zip(&[("a/data.pkl", &pickle(&body)), ("a/data/0", &[0; 7])]);
    assert!(
        open(&short)
            .err()
            .unwrap()
            .contains("does not fit its storage")
    );
    let none = zip(&[("a/data.pkl", &pickle(&body))]);
    assert!(open(&none).err().unwrap().contains("is not in the file"));
}

#[test]
fn archives_that_lie_are_refused() {
    let body = pickle(b"}");
    let good = zip(&[("a/data.pkl", &body)]);
    assert!(open(&good).is_ok());
    let central = good.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let end = good.len() - 22;
    for (at, value, why) in [
        (central + 10, &[8, 0][..], "deflated"),
        (central + 8, &[1, 0], "encrypted"),
        (central + 20, &[0xff, 0xff, 0xff, 0x7f], "packed size"),
        (central + 24, &[0xff, 0xff, 0xff, 0x7f], "size"),
        (central + 24, &[0xff; 4], "zip64 without its field"),
        (central + 42, &[0xff, 0xff, 0xff, 0x7f], "header offset"),
        (central + 28, &[0xff; 2], "name length"),
        (central + 30, &[0xff; 2], "extra length"),
        (end + 10, &[0xff, 0x7f], "entry count"),
        (end + 16, &[0xff; 4], "directory offset"),
        (end, &[0; 4], "no end record"),
    ] {
        let mut bad = good.clone();
        bad[at..at + value.len()].copy_from_slice(value);
        if why.ends_with("size") {
            // Both sizes agree on the lie.
            bad.copy_within(
                at..at + 4,
                if why == "size" {
                    central + 20
                } else {
                    central + 24
                },
            );
        }
        assert!(open(&bad).is_err(), "{why}");
    }
    let twice = zip(&[("a/data.pkl", &body), ("a/data.pkl", &body)]);
    assert!(open(&twice).is_err());
    let two = zip(&[("a/data.pkl", &body), ("b/data.pkl", &body)]);
    assert!(open(&two).is_err());
    let big = zip(&[("a/data.pkl", &body), ("a/byteorder", b"big")]);
    assert!(open(&big).err().unwrap().contains("big-endian"));
}

/// `archive` of one entry, with its sizes and offsets moved into zip64 records.
fn widened(archive: &[u8], lie: u64) -> Vec<u8> {
    let central = archive.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let end = archive.len() - 22;
    let size = u32::from_le_bytes(archive[central + 24..central + 28].try_into().unwrap());
    let mut out = archive[..end].to_vec();
    out[central + 20..central + 28].fill(0xff);
    out[central + 42..central + 46].fill(0xff);
    out[central + 30] = 28;
    // Size, packed size, header's offset.
    out.extend([1, 0, 24, 0]);
    for word in [u64::from(size) + lie, u64::from(size) + lie, 0] {
        out.extend(word.to_le_bytes());
    }
    let end_64 = out.len() as u64;
    let directory = [1, 1, end_64 - central as u64, central as u64];
    out.extend([b"PK\x06\x06".as_slice(), &44u64.to_le_bytes(), &[0; 12]].concat());
    out.extend(directory.map(u64::to_le_bytes).concat());
    out.extend(
        [
            b"PK\x06\x07".as_slice(),
            &[0; 4],
            &end_64.to_le_bytes(),
            &[1, 0, 0, 0],
        ]
        .concat(),
    );
    out.extend([b"PK\x05\x06".as_slice(), &[0; 4], &[0xff; 12], &[0; 2]].concat());
    out
}

#[test]
fn zip64_records_are_read_and_their_lies_refused() {
    let good = zip(&[("a/data.pkl", &pickle(b"}"))]);
    assert_eq!(open(&widened(&good, 0)).err(), None);
    for lie in [1 << 20, 1 << 63, u64::MAX - 40] {
        assert!(open(&widened(&good, lie)).is_err(), "{lie}");
    }
    // The locator points outside the file, or at something else.
    let mut bad = widened(&good, 0);
    let locator = bad.len() - 42;
    for offset in [u64::MAX, 0] {
        bad[locator + 8..locator + 16].copy_from_slice(&offset.to_le_bytes());
        assert!(open(&bad).is_err(), "{offset}");
    }
}

#[test]
fn every_cut_of_a_file_is_refused() {
    for name in ["zip.pt", "legacy.pt"] {
        let content = std::fs::read(data(name)).unwrap();
        for len in (1..content.len()).step_by(17) {
            assert!(open(&content[..len]).is_err(), "{name} cut to {len}");
        }
    }
}

fn read_all(path: &Path) {
    use wick::weights::Checkpoint;
    if let Ok(file) = PyTorch::open_file(path) {
        for name in file.tensors().keys() {
            let _ = file.read(name);
        }
    }
}

proptest! {
    #[test]
    fn damaged_files_never_panic(
        legacy: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let name = if legacy { "legacy.pt" } else { "zip.pt" };
        let mut content = std::fs::read(data(name)).unwrap();
        for (at, byte) in damage {
            let at = at.index(content.len());
            content[at] = byte;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &content).unwrap();
        read_all(file.path());
    }

    #[test]
    fn random_opcodes_never_panic(body in prop::collection::vec(
        prop::sample::select(b"()]}0123aelstdubRQqhjrNKJMX.\x80\x81\x85\x86\x87\x88\x8a\x8c\x8f\x90\x93\x94\x95\0\x01\x02w".to_vec()), 0..64)
    ) {
        let content = zip(&[("a/data.pkl", &pickle(&body)), ("a/data/0", &[0; 8])]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &content).unwrap();
        read_all(file.path());
    }
}
