use lfmq_core::MoeSpec;
use lfmq_ops::{Gate, Routing};

/// A mistake that exporters and runtimes have made with the routers of this family. The text still reads well, so it has
/// to be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misrouting {
    /// A softmax stands for the sigmoid.
    Softmax,
    /// The selection bias is in the weights, too.
    BiasWeighs,
    /// There is no selection bias.
    NoBias,
    /// The weights are not divided by their sum.
    NotNormalised,
    /// The factor after it is left out.
    Unscaled,
}

impl Misrouting {
    /// Those that would change what a model with this mixture computes.
    #[must_use]
    pub fn possible(moe: &MoeSpec) -> Vec<Self> {
        [
            (Self::Softmax, true),
            (Self::BiasWeighs, moe.use_bias),
            (Self::NoBias, moe.use_bias),
            (Self::NotNormalised, moe.norm_top_k),
            (Self::Unscaled, moe.scale != 1.0),
        ]
        .into_iter()
        .filter_map(|(mistake, possible)| possible.then_some(mistake))
        .collect()
    }

    /// The field of the model it is about, what the checkpoint says of it, and what the mistake makes of it.
    #[must_use]
    pub fn words(self, moe: &MoeSpec) -> [String; 3] {
        let [field, expected, found] = match self {
            Self::Softmax => ["moe.gate", "a sigmoid", "a softmax"],
            Self::BiasWeighs => ["moe.expert_bias", "for the selection only", "in the weights, too"],
            Self::NoBias => ["moe.expert_bias", "for the selection only", "left out"],
            Self::NotNormalised => ["moe.norm_top_k", "true", "false"],
            Self::Unscaled => return ["moe.scale".to_owned(), moe.scale.to_string(), "1".to_owned()],
        };
        [field, expected, found].map(str::to_owned)
    }

    /// The mistake as a change of the rule.
    pub(crate) fn rule(self) -> fn(Routing) -> Routing {
        match self {
            Self::Softmax => |r| Routing { gate: Gate::Softmax, ..r },
            Self::BiasWeighs => |r| Routing { gate: Gate::BiasedSigmoid, ..r },
            Self::NoBias => |r| Routing { bias: None, ..r },
            Self::NotNormalised => |r| Routing { norm_top_k: false, ..r },
            Self::Unscaled => |r| Routing { scale: 1.0, ..r },
        }
    }
}
