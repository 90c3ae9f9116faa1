//! Tokenizer, chat template, sampling.
