//! Safetensors shards and config.json as a Checkpoint and a ModelSpec.
