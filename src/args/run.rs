use super::verify::ActivationArg;
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct RunArgs {
    /// An artifact (file or folder) or a checkpoint folder.
    pub model: PathBuf,
    /// What the user says.
    #[arg(short, long)]
    pub prompt: String,
    /// System message.
    #[arg(short, long)]
    pub system: Option<String>,
    /// Feed the prompt as it is, without the chat template.
    #[arg(long, conflicts_with = "system")]
    pub raw: bool,
    /// Tokens to generate at most.
    #[arg(short = 'n', long, default_value_t = 256)]
    pub max_tokens: u32,
    /// Always take the most probable token.
    #[arg(long, conflicts_with = "temperature")]
    pub greedy: bool,
    /// Sampling temperature; the default is the model card's.
    #[arg(long)]
    pub temperature: Option<f32>,
    /// Keep tokens at least this fraction as probable as the best.
    #[arg(long)]
    pub min_p: Option<f32>,
    /// Keep the smallest set of tokens with this probability.
    #[arg(long)]
    pub top_p: Option<f32>,
    /// Keep this many tokens.
    #[arg(long)]
    pub top_k: Option<u32>,
    /// Divide the logits of tokens already there by this.
    #[arg(long)]
    pub repetition_penalty: Option<f32>,
    /// Seed of the sampler; the same seed gives the same text.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Activation arithmetic of the executor.
    #[arg(long, value_enum, default_value_t = ActivationArg::Runtime)]
    pub activations: ActivationArg,
}
