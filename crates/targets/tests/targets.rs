//! The targets that ship: complete, valid by an independent validator of the committed schema, and about recipes that
//! exist. What the schema refuses, the loader refuses.

use lfmq_targets::{Format, Target, TargetError, built_in, find, from_file};
use serde_json::Value;

const SCHEMA: &str = include_str!("../../../configs/schema/target.schema.json");

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/targets")
}

/// A verdict of `boon` on a document.
fn schema_accepts(document: &Value) -> bool {
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("schema.json", serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let mut schemas = boon::Schemas::new();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    schemas.validate(document, index).is_ok()
}

fn as_json(toml: &str) -> Value {
    toml::from_str(toml).unwrap()
}

#[test]
fn the_nine_are_there_under_their_names() {
    let names: Vec<String> = built_in().unwrap().into_iter().map(|t| t.name).collect();
    assert_eq!(
        names,
        [
            "desktop-x86",
            "desktop-apple",
            "android-arm64",
            "ios-arm64",
            "raspberry-pi5",
            "iot-small",
            "browser-wasm",
            "browser-webgpu",
            "server-cpu"
        ]
    );
    for name in &names {
        assert_eq!(find(name).unwrap(), from_file(&folder().join(format!("{name}.toml"))).unwrap());
    }
}

#[test]
fn every_file_of_the_folder_is_listed_and_matches_the_schema() {
    let listed = built_in().unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(schema_accepts(&as_json(&text)), "{}", path.display());
        let target = from_file(&path).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), target.name);
        assert!(listed.contains(&target), "{} is not built in", path.display());
        files += 1;
    }
    assert_eq!(files, listed.len());
}

#[test]
fn recipes_exist_and_every_target_can_be_served_today() {
    for target in built_in().unwrap() {
        for build in &target.builds {
            assert!(lfmq_quant::Recipe::named(&build.recipe).is_ok(), "{}: {}", target.name, build.recipe);
        }
        assert_eq!(target.build(&["gguf"]).unwrap().format, Format::Gguf, "{}", target.name);
    }
    let web = find("browser-webgpu").unwrap();
    assert_eq!(web.build(&["gguf", "onnx"]).unwrap().format, Format::Onnx);
    assert_eq!(web.build(&["mlx"]), None);
}

#[test]
fn schema_and_loader_refuse_the_same_mistakes() {
    let good = std::fs::read_to_string(folder().join("iot-small.toml")).unwrap();
    assert!(schema_accepts(&as_json(&good)) && Target::parse("x", &good).is_ok());
    for (from, to, part) in [
        ("name = \"iot-small\"", "name = \"IoT small\"", "name"),
        ("arch = \"aarch64\"", "arch = \"riscv64\"", "riscv64"),
        ("os = \"linux\"", "os = \"linux\"\nsoc = \"x\"", "soc"),
        ("runtime_min = \"b6709\"\n", "", "runtime_min"),
        ("format = \"gguf\"", "format = \"pte\"", "pte"),
        ("activations = \"q8-0-blocks\"", "activations = \"int4\"", "int4"),
        ("minimum = \"neon\"", "minimum = \"mmx\"", "mmx"),
        ("ram_mib = 350.0", "ram_mib = 0.0", "ram_mib"),
        ("context = 1024", "context = 0", "context"),
        ("kld_mean_max = 0.25\n", "", "kld_mean_max"),
        ("kld_p99_max = 2.5", "kld_max = 2.5", "kld_max"),
        ("same_top_min = 0.78", "same_top_min = 78.0", "same_top_min"),
        ("sqnr_min_db = 14.0", "sqnr_min_db = -1.0", "sqnr_min_db"),
        ("is_device = false", "is_device = \"no\"", "is_device"),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        assert!(!schema_accepts(&as_json(&bad)), "the schema takes {to}");
        let error = Target::parse("x", &bad).unwrap_err().to_string();
        assert!(error.contains(part), "{to}: {error}");
    }
}

#[test]
fn what_the_schema_cannot_say() {
    let good = std::fs::read_to_string(folder().join("iot-small.toml")).unwrap();
    for (from, to, part) in [
        ("minimum = \"neon\"", "minimum = \"avx2\"", "isa.minimum"),
        ("minimum = \"neon\"", "minimum = \"neon-dotprod\"", "above"),
        ("ram_mib = 350.0", "ram_mib = inf", "ram_mib"),
    ] {
        let error = Target::parse("x", &good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(part), "{to}: {error}");
    }
}

#[test]
fn ones_own_file_and_unknown_names() {
    let folder_of_mine = tempfile::tempdir().unwrap();
    let mine = folder_of_mine.path().join("kiosk.toml");
    let text = std::fs::read_to_string(folder().join("iot-small.toml")).unwrap().replace("iot-small", "kiosk");
    std::fs::write(&mine, text).unwrap();
    assert_eq!(find(mine.to_str().unwrap()).unwrap().name, "kiosk");

    let unknown = find("toaster").unwrap_err();
    assert!(matches!(&unknown, TargetError::Unknown { known, .. } if known.contains("iot-small")), "{unknown}");
    let absent = folder_of_mine.path().join("absent.toml");
    assert!(matches!(from_file(&absent), Err(TargetError::Read { path, .. }) if path == absent));
}

#[test]
fn gates_and_sizes() {
    let target = find("iot-small").unwrap();
    let shared = target.gate_file(false);
    assert!(shared.contains("kld_mean_max = 0.25\n") && !shared.contains("decode_ms_max"), "{shared}");
    let device = target.gate_file(true);
    assert!(device.contains("decode_ms_max = 250.0\n") && device.contains("peak_mib_max = 350.0\n"), "{device}");
    let table = as_json(&device);
    assert_eq!((table["all"]["weights"].as_str(), table["all"]["sqnr_min_db"].as_f64()), (Some("replay"), Some(14.0)));

    assert_eq!(target.too_large(219_000_000), None);
    assert!(target.too_large(400 << 20).unwrap().contains("storage"));
    // browser-webgpu grants less storage than memory, raspberry-pi5 the other way round.
    assert!(find("raspberry-pi5").unwrap().too_large(3000 << 20).unwrap().contains("memory"));
}
