//! Runs a checkpoint in f32: the yardstick.
