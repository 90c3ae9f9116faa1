//! Synthetic checkpoints and golden loaders for tests.
