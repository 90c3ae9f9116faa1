//! Whatever header is accepted describes exactly the file's bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lfmq_checkpoint::Header;
use std::path::Path;

fuzz_target!(|file: &[u8]| {
    if let Ok(header) = Header::parse(Path::new("fuzz"), file) {
        let ends = header.tensors.iter().map(|tensor| tensor.offset + tensor.bytes);
        assert!(ends.max().is_none_or(|end| end == file.len()));
    }
});
