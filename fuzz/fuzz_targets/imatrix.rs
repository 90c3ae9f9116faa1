//! No importance file makes the parser panic or allocate more than its size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lfmq_quant::Importance;

fuzz_target!(|file: &[u8]| {
    let _ = Importance::parse(file);
});
