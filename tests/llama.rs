//! The trained fixtures through every preset: the whole files that llama.cpp's converter and quantizer made of them.

mod support;

use support::{fixture, fixture_arg, lfmq, scratch};

#[test]
fn artifacts_are_the_files_that_llama_cpp_writes() {
    let golden = fixture("golden/llama.cpp");
    let list = std::fs::read_to_string(golden.join("SHA256SUMS")).expect("the hashes");
    let folder = scratch();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for line in list.lines() {
        let (want, file) = line.split_once("  ").expect("hash and name");
        let stem = file.strip_suffix(".gguf").expect("a .gguf file");
        let (stem, importance) = stem.strip_suffix(".im").map_or((stem, false), |s| (s, true));
        let (model, recipe) = stem.rsplit_once('-').expect("model and recipe");
        let (input, recipe) = (fixture_arg(model), recipe.to_uppercase());
        // The file records the importance file's path as typed, and theirs was typed like this.
        let imatrix = format!("{model}.imatrix.gguf");
        std::fs::copy(golden.join(&imatrix), folder.path().join(&imatrix)).expect("the importance file");
        let mut args = vec!["quantize", &input, "--recipe", &recipe, "--out", file, "--no-verify", "--quiet"];
        if importance {
            args.extend(["--imatrix", &imatrix]);
        }
        lfmq(folder.path(), &args).expect(0);
        let made =
            std::fs::read(folder.path().join(file).join(format!("{model}-{recipe}.gguf"))).expect("the artifact");
        if lfmq_testkit::sha256_hex(&made) != want {
            wrong.push(file);
        }
        std::fs::remove_dir_all(folder.path().join(file)).expect("remove");
        seen += 1;
    }
    assert!(seen >= 30, "only {seen} hashes in the list");
    assert!(wrong.is_empty(), "{} of {seen} files differ from llama.cpp's: {wrong:?}", wrong.len());
}
