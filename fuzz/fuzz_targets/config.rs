//! Whatever configuration is accepted has a countable number of parameters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lfmq_checkpoint::spec_from_config;

fuzz_target!(|text: &[u8]| {
    if let Ok(config) = serde_json::from_slice(text)
        && let Ok(spec) = spec_from_config(&config)
    {
        assert!(spec.parameters() > 0);
    }
});
