//! No container makes the parser panic or allocate more than its size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lfmq_gguf_wire::Container;

fuzz_target!(|file: &[u8]| {
    let _ = Container::parse(file);
});
