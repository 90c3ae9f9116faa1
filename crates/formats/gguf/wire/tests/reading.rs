//! What a valid file says, and what a getter says of a key that is not what was asked for.

mod build;

use build::{File, array, f32_key, info, key, str_key, text, u32_key};
use lfmq_gguf_wire::{Array, Container, GgmlType, Split, Value, WireError};

fn file() -> Vec<u8> {
    let tokens: Vec<u8> = ["<|pad|>", "Ġthe", "é", "d", "e", "f", "g", "h", "i"].iter().flat_map(text).collect();
    let mut file = File {
        kv: vec![
            str_key("s", "LFM2 1.2B"),
            key("minus", 5, &(-7i32).to_le_bytes()),
            key("wide", 10, &(1u64 << 40).to_le_bytes()),
            f32_key("eps", 1e-5),
            key("yes", 7, &[1]),
            key("tokens", 9, &array(8, 9, &tokens)),
            key("counts", 9, &array(5, 3, &[0, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255])),
            u32_key("last", 9),
        ],
        infos: vec![info("m", &[64, 3, 2], 8, 0), info("v", &[4], 0, 416)],
        ..File::default()
    };
    file.data = vec![5; 68 * 6];
    file.data.resize(416, 0);
    file.data.extend([9; 16]);
    file.bytes()
}

#[test]
fn keys_keep_order_type_and_value() {
    let bytes = file();
    let c = Container::parse(&bytes).unwrap();
    let names: Vec<&str> = c.keys().map(|(k, _)| k).collect();
    assert_eq!(names, ["s", "minus", "wide", "eps", "yes", "tokens", "counts", "last"]);
    assert_eq!(c.get("minus"), Some(Value::I32(-7)));
    assert_eq!(c.get("nothing"), None);
    assert_eq!(c.read::<&str>("s").unwrap(), "LFM2 1.2B");
    assert_eq!(c.read::<u64>("wide").unwrap(), 1 << 40);
    assert_eq!(c.read::<i64>("minus").unwrap(), -7);
    assert_eq!(c.read::<f64>("eps").unwrap(), f64::from(1e-5f32));
    assert!(c.read::<bool>("yes").unwrap());
    let tokens: Vec<&str> = c.read::<Array<'_>>("tokens").unwrap().strings().unwrap().collect();
    assert_eq!(tokens[..3], ["<|pad|>", "Ġthe", "é"]);
    let counts: Vec<i128> = c.read::<Array<'_>>("counts").unwrap().ints().unwrap().collect();
    assert_eq!(counts, [0, 2, -1]);
    assert!(c.read::<Array<'_>>("counts").unwrap().strings().is_none());
    assert!(c.read::<Array<'_>>("tokens").unwrap().ints().is_none());
}

#[test]
fn values_for_people_are_short() {
    let bytes = file();
    let c = Container::parse(&bytes).unwrap();
    let show = |key| c.get(key).unwrap().to_string();
    assert_eq!(show("s"), "LFM2 1.2B");
    assert_eq!(show("counts"), "[0, 2, -1]");
    assert_eq!(show("tokens"), r#"["<|pad|>", "Ġthe", "é", "d", "e", "f", "g", "h", … 9 in all]"#);
}

#[test]
fn tensors_have_their_bytes() {
    let bytes = file();
    let c = Container::parse(&bytes).unwrap();
    let m = c.tensor("m").unwrap();
    assert_eq!((m.dims(), m.cols(), m.rows(), m.ty()), ([64, 3, 2].as_slice(), 64, 6, GgmlType::Q8_0));
    assert_eq!(m.data(), [5; 68 * 6]);
    assert_eq!(c.tensors()[1].data(), [9; 16]);
    assert_eq!(m.range().start as u64, c.data_start());
    assert!(c.tensor("w").is_none());
}

#[test]
fn getters_name_key_expected_and_found() {
    let bytes = file();
    let c = Container::parse(&bytes).unwrap();
    let says = |e: WireError| e.to_string();
    assert_eq!(says(c.read::<u32>("none").unwrap_err()), "key `none` is missing");
    assert_eq!(c.find::<u32>("none").unwrap(), None);
    assert_eq!(
        says(c.find::<u32>("minus").unwrap_err()),
        "key `minus` is i32 -7, expected an integer of 0 to 2^32 - 1"
    );
    assert_eq!(
        says(c.read::<u32>("wide").unwrap_err()),
        "key `wide` is u64 1099511627776, expected an integer of 0 to 2^32 - 1"
    );
    assert_eq!(says(c.read::<&str>("tokens").unwrap_err()), "key `tokens` is an array of 9 str, expected a string");
    assert_eq!(says(c.read::<f64>("last").unwrap_err()), "key `last` is u32 9, expected a float");
}

#[test]
fn parts_of_a_split_model() {
    let part = |no: u16, count: u16| {
        let mut file = File::default();
        file.kv.push(key("split.no", 2, &no.to_le_bytes()));
        file.kv.push(key("split.count", 2, &count.to_le_bytes()));
        file.kv.push(key("split.tensors.count", 5, &9i32.to_le_bytes()));
        file.bytes()
    };
    let split = |bytes: &[u8]| Split::of(&Container::parse(bytes).unwrap());
    assert_eq!(split(&File::default().bytes()), Ok(None));
    assert_eq!(split(&part(1, 3)), Ok(Some(Split { no: 1, count: 3, tensors: 9 })));
    assert!(split(&part(3, 3)).unwrap_err().to_string().contains("below split.count = 3"));
    let lone = File::with_key(key("split.no", 2, &[0, 0])).bytes();
    assert!(split(&lone).unwrap_err().to_string().contains("`split.count` is missing"));
}
