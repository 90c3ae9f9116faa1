//! 65 files, each damaged in one point, and the verdict on each. The left column of verdicts is that of llama.cpp's
//! reader and model loader; where ours differs it is stricter, and the line says so.

mod build;

use build::{File, array, info, key, str_key, text, u32_key};
use lfmq_gguf_wire::{Container, WireError};
use proptest::prelude::*;
use std::io::Write;

/// What llama.cpp does, what we do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// Both accept.
    Accept,
    /// Both refuse; the message holds these words.
    Refuse(&'static str),
    /// llama.cpp accepts, we do not.
    Stricter(&'static str),
    /// Refused for its values or meaning, which the container does not judge; the runner does.
    Later,
}

use Verdict::{Accept, Later, Refuse, Stricter};

/// The container, and what any reader of a model asks of it first.
fn open(bytes: &[u8]) -> Result<(), WireError> {
    let container = Container::parse(bytes)?;
    container.read::<&str>("general.architecture")?;
    container.find::<u32>("general.file_type")?;
    Ok(())
}

fn second(dims: &[u64], ty: u32, offset: u64) -> Vec<u8> {
    File::with_info(info("x", dims, ty, offset)).bytes()
}

fn extra(bytes: Vec<u8>) -> Vec<u8> {
    File::with_key(bytes).bytes()
}

fn aligned(value: u32, padding: usize) -> Vec<u8> {
    File { alignment: padding, ..File::with_key(u32_key("general.alignment", value)) }.bytes()
}

fn with_data(file: File, len: usize) -> Vec<u8> {
    let data = file.data.iter().copied().chain(std::iter::repeat(0)).take(len).collect();
    File { data, ..file }.bytes()
}

fn header_cases() -> Vec<(&'static str, Vec<u8>, Verdict)> {
    let ok = || File::default();
    let mut trailing = ok().bytes();
    trailing.extend(b"junk");
    let whole = ok().bytes();
    vec![
        ("ok", ok().bytes(), Accept),
        ("magic", File { magic: *b"GGUX", ..ok() }.bytes(), Refuse("not a GGUF file")),
        ("v1", File { version: 1, ..ok() }.bytes(), Refuse("version 1")),
        ("v2", File { version: 2, ..ok() }.bytes(), Accept),
        ("v4", File { version: 4, ..ok() }.bytes(), Refuse("version 4")),
        ("v3-bigendian-word", File { version: 3 << 24, ..ok() }.bytes(), Refuse("big-endian")),
        ("empty", vec![], Refuse("not a GGUF file")),
        ("magic-only", b"GGUF".to_vec(), Refuse("ends inside the header")),
        ("cut-kv", whole[..120].to_vec(), Refuse("the 96 bytes after it can hold")),
        ("cut-data", whole[..whole.len() - 4].to_vec(), Refuse("past the end of the file")),
        ("last-not-padded", with_data(File::with_info(info("x", &[250], 0, 32768)), 32768 + 1000), Accept),
        ("no-data", with_data(ok(), 0), Refuse("past the end of the file")),
        ("nk-huge", File { keys: Some(1 << 60), ..ok() }.bytes(), Refuse("1152921504606846976 keys")),
        ("nt-huge", File { tensors: Some(1 << 60), ..ok() }.bytes(), Refuse("1152921504606846976 tensors")),
        ("nt-minus1", File { tensors: Some(u64::MAX), ..ok() }.bytes(), Refuse("18446744073709551615 tensors")),
        ("trailing", trailing, Accept),
    ]
}

fn key_cases() -> Vec<(&'static str, Vec<u8>, Verdict)> {
    let long = |n: u64| [n.to_le_bytes().as_slice(), b"x"].concat();
    let no_arch = File { kv: File::default().kv[1..].to_vec(), ..File::default() };
    let mut arch_u32 = File::default();
    arch_u32.kv[0] = u32_key("general.architecture", 1);
    let odd_array = |ty: u32, n: u64, bytes: &[u8]| extra(key("x", 9, &array(ty, n, bytes)));
    let past_end = [(1u64 << 29).to_le_bytes().as_slice(), b"y"].concat();
    let nested = array(9, 1, &array(4, 0, &[]));
    let wide = File { alignment: 64, ..File::with_key(key("general.alignment", 10, &64u64.to_le_bytes())) };
    vec![
        ("key-1GiB", extra(long(1 << 30)), Refuse("ends inside a key")),
        ("key-2^63", extra(long(1 << 63)), Refuse("ends inside a key")),
        ("key-empty", extra(u32_key("", 1)), Refuse("key number 12 is empty")),
        ("key-dup", extra(u32_key("lfm2.block_count", 1)), Refuse("`lfm2.block_count` appears twice")),
        ("key-not-utf8", extra(key(b"\xff\xfe", 4, &[1, 0, 0, 0])), Stricter("not UTF-8")),
        ("key-64KiB+", extra(u32_key(&"a".repeat(65536), 1)), Stricter("at most 65535")),
        ("kv-type-13", extra(key("x", 13, &[0; 4])), Refuse("value type 13")),
        ("str-past-end", extra(key("x", 8, &past_end)), Refuse("ends inside a string value")),
        ("arr-of-arr", extra(key("x", 9, &nested)), Refuse("array of arrays")),
        ("arr-huge", odd_array(4, 1 << 62, &[]), Refuse("4611686018427387904 array elements")),
        ("arr-empty", odd_array(4, 0, &[]), Accept),
        ("arr-type-99", odd_array(99, 0, &[]), Refuse("value type 99")),
        ("bool-2", extra(key("x", 7, &[2])), Stricter("bool byte of 2")),
        ("align-0", aligned(0, 32), Refuse("alignment` is 0")),
        ("align-1", aligned(1, 1), Stricter("alignment` is 1")),
        ("align-33", aligned(33, 33), Refuse("alignment` is 33")),
        ("align-4", aligned(4, 4), Stricter("alignment` is 4")),
        ("align-64", aligned(64, 64), Accept),
        ("align-u64", wide.bytes(), Refuse("u64 64, expected u32")),
        ("align-str", extra(str_key("general.alignment", "32")), Refuse("str 32, expected u32")),
        ("align-2^31", aligned(1 << 31, 0), Refuse("past the end of the file")),
        ("filetype-str", extra(str_key("general.file_type", "x")), Refuse("`general.file_type` is str x")),
        ("arch-u32", arch_u32.bytes(), Refuse("`general.architecture` is u32 1, expected a string")),
        ("no-arch", no_arch.bytes(), Refuse("`general.architecture` is missing")),
    ]
}

fn tensor_cases() -> Vec<(&'static str, Vec<u8>, Verdict)> {
    let named = |name: &str| File::with_info(info(name, &[256], 0, 32768)).bytes();
    let swapped = vec![info("blk.0.ffn_up.weight", &[256, 32], 0, 1024), info("x", &[256], 0, 0)];
    let swapped = File { infos: swapped, ..File::default() };
    let endless = [text("x").as_slice(), &u32::MAX.to_le_bytes(), &1u64.to_le_bytes()].concat();
    let gap = File::with_info(info("x", &[256], 0, 32768 + 32));
    let no_extents = File::with_info(info("x", &[], 0, 32768));
    let zero = File::with_info(info("x", &[0], 0, 32768));
    let value_at_400 = |value: f32| {
        let mut file = File::default();
        file.data[400..404].copy_from_slice(&value.to_le_bytes());
        file.bytes()
    };
    vec![
        ("name-dup", named("blk.0.ffn_up.weight"), Refuse("`blk.0.ffn_up.weight` appears twice")),
        ("name-empty", named(""), Stricter("name of 0 bytes")),
        ("name-63", named(&"n".repeat(63)), Accept),
        ("name-64", named(&"n".repeat(64)), Refuse("name of 64 bytes")),
        ("dims-0", with_data(no_extents, 32768 + 32), Stricter("0 dimensions")),
        ("dims-5", second(&[256, 1, 1, 1, 1], 0, 32768), Refuse("5 dimensions")),
        ("dims-2^32-1", File::with_info(endless).bytes(), Refuse("4294967295 dimensions")),
        ("ne-0", with_data(zero, 32768), Stricter("extent of 0")),
        ("ne-minus1", second(&[u64::MAX], 0, 32768), Refuse("extent of 18446744073709551615")),
        ("ne-mul-overflow", second(&[1 << 32, 1 << 32], 0, 32768), Refuse("larger than any file")),
        ("ne-bytes-overflow", second(&[1 << 62], 0, 32768), Refuse("larger than any file")),
        ("ne-past-end", second(&[1 << 40], 0, 32768), Refuse("past the end of the file")),
        ("type-4-removed", second(&[256], 4, 32768), Refuse("removed from the format")),
        ("type-31-removed", second(&[256], 31, 32768), Refuse("removed from the format")),
        ("type-40", second(&[256], 40, 32768), Stricter("NVFP4")),
        ("type-43", second(&[256], 43, 32768), Refuse("no type of the format")),
        ("type-2^31", second(&[256], 1 << 31, 32768), Refuse("type number 2147483648")),
        ("row-not-block", second(&[48], 8, 32768), Refuse("a multiple of 32 for Q8_0")),
        ("off-gap", with_data(gap, 4 * (8192 + 256) + 32), Refuse("offset 32800, expected 32768")),
        ("off-overlap", second(&[256], 0, 0), Refuse("offset 0, expected 32768")),
        ("off-unaligned", second(&[256], 0, 32769), Refuse("offset 32769, expected 32768")),
        ("off-2^64-32", second(&[256], 0, u64::MAX - 31), Refuse("offset 18446744073709551584, expected 32768")),
        ("off-swapped", swapped.bytes(), Refuse("offset 1024, expected 0")),
        ("nan", value_at_400(f32::NAN), Later),
        ("inf", value_at_400(f32::INFINITY), Later),
    ]
}

#[test]
fn every_damaged_file_gets_its_verdict() {
    let cases: Vec<_> = [header_cases(), key_cases(), tensor_cases()].concat();
    assert_eq!(cases.len(), 65);
    for (name, bytes, verdict) in cases {
        let found = open(&bytes);
        match (verdict, &found) {
            (Accept | Later, Ok(())) => {}
            (Refuse(words) | Stricter(words), Err(e)) => {
                assert!(e.to_string().contains(words), "{name}: `{e}` does not say `{words}`");
            }
            _ => panic!("{name}: expected {verdict:?}, found {found:?}"),
        }
    }
}

/// The bytes are those that llama.cpp gave its verdict on; `LFMQ_LLAMA_GOLDEN` names a folder with them in `hostile/`.
#[test]
fn the_damaged_files_are_those_that_were_judged() {
    let Some(root) = std::env::var_os("LFMQ_LLAMA_GOLDEN").map(std::path::PathBuf::from) else {
        let said = "SKIPPED the_damaged_files_are_those_that_were_judged: LFMQ_LLAMA_GOLDEN is not set";
        return writeln!(std::io::stderr(), "{said}").unwrap_or_default();
    };
    for (name, bytes, _) in [header_cases(), key_cases(), tensor_cases()].concat() {
        let judged = std::fs::read(root.join("hostile").join(format!("{name}.gguf"))).unwrap();
        assert!(bytes == judged, "{name}: {} and {} bytes", bytes.len(), judged.len());
    }
}

#[test]
fn oddities_are_noted() {
    let note = |name: &str| {
        let (_, bytes, _) = header_cases().into_iter().find(|c| c.0 == name).unwrap();
        Container::parse(&bytes).unwrap().notes().to_vec()
    };
    assert_eq!(note("ok"), Vec::<String>::new());
    assert_eq!(note("trailing"), ["4 bytes follow the last tensor"]);
    assert_eq!(note("last-not-padded"), ["the last tensor is not padded to the alignment"]);
}

/// A valid file with every kind of value, so that mutations reach every branch.
fn rich() -> Vec<u8> {
    let mut file = File::default();
    let strings: Vec<u8> = ["a", "", "ĠThe"].iter().flat_map(text).collect();
    file.kv.push(key("tokens", 9, &array(8, 3, &strings)));
    file.kv.push(key("counts", 9, &array(5, 2, &[1, 0, 0, 0, 2, 0, 0, 0])));
    file.kv.push(key("flags", 9, &array(7, 2, &[1, 0])));
    file.kv.push(key("wide", 12, &1f64.to_le_bytes()));
    file.infos.push(info("q", &[64, 2, 2], 2, 32768 + 1024));
    file.data.extend([7; 4 * 36]);
    file.bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever few bytes change, or wherever the file ends: an answer, no panic, and no slice outside the file.
    #[test]
    fn damage_never_panics(
        edits in prop::collection::vec((0usize..1200, prop_oneof![any::<u8>(), Just(0), Just(0xff)]), 0..6),
        keep in prop_oneof![3 => Just(1.0f64), 1 => 0.0..1.0f64],
    ) {
        let mut bytes = rich();
        for (at, value) in edits {
            bytes[at] = value;
        }
        bytes.truncate((bytes.len() as f64 * keep) as usize);
        if let Ok(container) = Container::parse(&bytes) {
            for (_, value) in container.keys() {
                prop_assert!(value.to_string().len() <= 8 * bytes.len() + 256);
            }
            for tensor in container.tensors() {
                prop_assert_eq!(&bytes[tensor.range()], tensor.data());
                let row = tensor.ty().row_bytes(tensor.cols() as u64).unwrap();
                prop_assert_eq!(row * tensor.rows() as u64, tensor.data().len() as u64);
            }
        }
    }
}

#[test]
fn the_rich_file_is_valid() {
    let bytes = rich();
    let container = Container::parse(&bytes).unwrap();
    assert_eq!((container.keys().len(), container.tensors().len()), (16, 3));
    assert_eq!(container.notes().len(), 1);
}
