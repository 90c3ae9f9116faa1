//! Runs a GGUF file from its own bytes.
