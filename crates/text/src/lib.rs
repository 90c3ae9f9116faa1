//! Text to token ids and back, chat templates, sampling, and the loop that generates.
//!
//! Two tokenizers that must agree: [`Tokenizer::from_checkpoint`] reads the files beside a checkpoint,
//! [`Tokenizer::from_vocabulary`] the lists a GGUF file carries. Nothing here knows a model's weights.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod cards;
mod chat;
mod error;
mod generate;
mod random;
mod sampler;
mod tokenizer;

pub use cards::{Card, card_for, defaults_for};
pub use chat::{ChatTemplate, Message, Moment, Prompt, template_source};
pub use error::TextError;
pub use generate::{Generated, Stop, generate};
pub use random::SplitMix64;
pub use sampler::{Sampler, SamplerOptions};
pub use tokenizer::{Decoder, Tokenizer, Vocabulary};
