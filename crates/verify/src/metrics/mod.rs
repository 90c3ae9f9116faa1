//! What is measured about two models on the same tokens, one file a metric.

mod agreement;
mod divergence;
mod experts;
mod greedy;
mod perplexity;
mod probability;
mod routes;
mod token;

pub use agreement::{Agreement, agreement};
pub use divergence::{At, Divergence, Histogram, divergence};
pub use experts::{Conspicuous, LayerLoad};
pub use greedy::{Greedy, GreedyRun, argmax, first_divergence, greedy};
pub use perplexity::{Perplexity, perplexity};
pub use probability::{ProbabilityShift, probability_shift};
pub use routes::{LayerRoutes, RouterAgreement, RouterTally};
pub use token::{Scores, TokenScore, score};
