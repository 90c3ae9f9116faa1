//! The `lfmq` program.

fn main() {}
