use std::fmt;

/// What a tensor *is* in the model, whatever a file calls it. Recipes speak roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TensorRole {
    /// Token embedding `[vocab, hidden]`; also the head when the model is tied.
    Embedding,
    /// Separate head `[vocab, hidden]`, only in untied models.
    Head,
    /// The norm after the last layer `[hidden]` (named `embedding_norm` in checkpoints).
    FinalNorm,
    /// Norm before the mixer `[hidden]`.
    MixerNorm,
    /// Norm before the feed-forward `[hidden]`.
    FfnNorm,
    /// Short convolution input projection `[3 * hidden, hidden]`, rows B, C, x.
    ConvInProj,
    /// Depthwise taps `[hidden, taps]`, newest tap last.
    ConvKernel,
    /// Short convolution output projection `[hidden, hidden]`.
    ConvOutProj,
    /// Bias of the input projection `[3 * hidden]`.
    ConvInBias,
    /// Bias of the depthwise convolution `[hidden]`.
    ConvKernelBias,
    /// Bias of the output projection `[hidden]`.
    ConvOutBias,
    /// Query projection `[heads * head_dim, hidden]`.
    AttnQ,
    /// Key projection `[kv_heads * head_dim, hidden]`.
    AttnK,
    /// Value projection `[kv_heads * head_dim, hidden]`.
    AttnV,
    /// Attention output projection `[hidden, heads * head_dim]`.
    AttnOut,
    /// Per-head query norm `[head_dim]`.
    AttnQNorm,
    /// Per-head key norm `[head_dim]`.
    AttnKNorm,
    /// Dense gate `w1` `[ffn, hidden]`.
    FfnGate,
    /// Dense up `w3` `[ffn, hidden]`.
    FfnUp,
    /// Dense down `w2` `[hidden, ffn]`.
    FfnDown,
    /// Router `[experts, hidden]`.
    Router,
    /// Selection bias of the router `[experts]`, always f32.
    RouterBias,
    /// Gate of one expert `[expert_ffn, hidden]`.
    ExpertGate(u16),
    /// Up of one expert `[expert_ffn, hidden]`.
    ExpertUp(u16),
    /// Down of one expert `[hidden, expert_ffn]`.
    ExpertDown(u16),
}

impl TensorRole {
    /// The word that recipes and `--set` use; experts of one kind share it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Head => "head",
            Self::FinalNorm => "final_norm",
            Self::MixerNorm => "mixer_norm",
            Self::FfnNorm => "ffn_norm",
            Self::ConvInProj => "conv_in",
            Self::ConvKernel => "conv_kernel",
            Self::ConvOutProj => "conv_out",
            Self::ConvInBias => "conv_in_bias",
            Self::ConvKernelBias => "conv_kernel_bias",
            Self::ConvOutBias => "conv_out_bias",
            Self::AttnQ => "attn_q",
            Self::AttnK => "attn_k",
            Self::AttnV => "attn_v",
            Self::AttnOut => "attn_out",
            Self::AttnQNorm => "attn_q_norm",
            Self::AttnKNorm => "attn_k_norm",
            Self::FfnGate => "ffn_gate",
            Self::FfnUp => "ffn_up",
            Self::FfnDown => "ffn_down",
            Self::Router => "router",
            Self::RouterBias => "router_bias",
            Self::ExpertGate(_) => "expert_gate",
            Self::ExpertUp(_) => "expert_up",
            Self::ExpertDown(_) => "expert_down",
        }
    }

    /// The words that may stand left of `=` in `--set role=scheme`.
    pub const QUANTIZABLE: [&'static str; 14] = [
        "embedding",
        "head",
        "conv_in",
        "conv_out",
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_out",
        "ffn_gate",
        "ffn_up",
        "ffn_down",
        "expert_gate",
        "expert_up",
        "expert_down",
    ];

    /// True for the matrices that a recipe may put on a coarser grid. Norms, taps, biases and the router
    /// stay in float in every format.
    #[must_use]
    pub fn quantizable(self) -> bool {
        Self::QUANTIZABLE.contains(&self.word())
    }

    /// The expert this tensor belongs to.
    #[must_use]
    pub const fn expert(self) -> Option<u16> {
        match self {
            Self::ExpertGate(e) | Self::ExpertUp(e) | Self::ExpertDown(e) => Some(e),
            _ => None,
        }
    }
}

/// One tensor of a model: its role and, for tensors inside a layer, which layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId {
    /// Layer index from 0; `None` for embedding, head and final norm.
    pub layer: Option<u16>,
    /// What it is.
    pub role: TensorRole,
}

impl TensorId {
    /// A tensor outside the layers.
    #[must_use]
    pub const fn global(role: TensorRole) -> Self {
        Self { layer: None, role }
    }

    /// A tensor of layer `layer`.
    #[must_use]
    pub const fn layer(layer: u16, role: TensorRole) -> Self {
        Self { layer: Some(layer), role }
    }
}

impl fmt::Display for TensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(layer) = self.layer {
            write!(f, "layer {layer} ")?;
        }
        f.write_str(self.role.word())?;
        match self.role.expert() {
            Some(e) => write!(f, "[{e}]"),
            None => Ok(()),
        }
    }
}
