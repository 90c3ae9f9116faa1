use crate::RunError;
use crate::model::Model;
use crate::plan::{Plan, Port};
use crate::session::{OnnxSession, Role};
use crate::stored::Files;
use crate::tensor::{Kind, Tensor, elements};
use lfmq_core::{Activation, Executor, Facts, Fault, Mapped, Session, StoredTensor, Weights};
use lfmq_interpreter::Bank;
use lfmq_kernels::Kernels;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Elements of one state before the first token, at most.
const STATE_LIMIT: usize = 1 << 28;

/// How to run a file.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Activations in f32, or as ONNX Runtime's CPU provider rounds them where a node asks for it (accuracy level 4).
    pub activation: Activation,
    /// The kernels to run on.
    pub kernels: &'static Kernels,
}

/// An opened ONNX model: all operators known, all weights laid out that every run uses. The graph's first output must be its logits
/// `[batch, tokens, vocab]`; every further output `present..` comes back in the next run as the input `past..`.
pub struct Onnx {
    pub(crate) plan: Plan,
    pub(crate) roles: Vec<Role>,
    pub(crate) options: Options,
    pub(crate) facts: Facts,
    path: PathBuf,
    states: Vec<Tensor>,
    pub(crate) tensors: Vec<StoredTensor>,
}

impl Onnx {
    /// Opens the `.onnx` file at `path`, and the files its tensors lie in, beside it.
    ///
    /// # Errors
    /// See [`RunError`]; the file and the tensor or node are named.
    pub fn open(path: &Path, options: Options) -> Result<Self, RunError> {
        Self::open_within(path, options, Bank::ROOM)
    }

    /// The same with other room than 2 GiB for the weights of nodes that may have nothing to do, as experts have that no
    /// token was sent to. What is more stays in its file, and is laid out when it is used. Changes no result.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_within(path: &Path, options: Options, room: u64) -> Result<Self, RunError> {
        let map = Mapped::open(path).map_err(|source| RunError::Open { path: path.to_owned(), source })?;
        let map = Arc::new(map);
        let wire =
            |fault: crate::wire::WireFault| RunError::Wire { path: path.to_owned(), at: fault.at, why: fault.why };
        let model = Model::parse(&map).map_err(wire)?;
        let graph = |why: String| RunError::Graph { path: path.to_owned(), why };
        if !(3..=14).contains(&model.ir_version) {
            return Err(graph(format!("IR version {} is not supported", model.ir_version)));
        }
        let mut files = Files::new(map.clone());
        let plan = Plan::new(path, &model, &mut files, options, &Arc::new(Bank::new(room)))?;
        let roles = roles(&plan).map_err(graph)?;
        let states = empty_states(&plan, &roles).map_err(graph)?;
        let facts = facts(&plan, &roles, options).map_err(graph)?;
        let tensors = plan.held.iter().map(|held| held.tensor.clone()).collect();
        Ok(Self { plan, roles, options, facts, path: path.to_owned(), states, tensors })
    }

    pub(crate) fn fault(&self, why: impl Into<String>) -> RunError {
        RunError::Graph { path: self.path.clone(), why: why.into() }
    }

    pub(crate) fn empty_states(&self) -> Vec<Tensor> {
        self.states.clone()
    }
}

/// What each input is, by the names that all known exporters use.
fn roles(plan: &Plan) -> Result<Vec<Role>, String> {
    let role = |port: &Port| match port.name.as_str() {
        "input_ids" => Ok(Role::Tokens),
        "attention_mask" => Ok(Role::Mask),
        "position_ids" => Ok(Role::Positions),
        "num_logits_to_keep" => Ok(Role::Keep),
        past => {
            let from = plan.outputs.iter().position(|output| pasts(&output.name).iter().any(|p| p == past));
            from.map(|from| Role::State { from }).ok_or_else(|| format!("no output to feed the input `{past}` from"))
        }
    };
    let roles: Vec<Role> = plan.inputs.iter().map(role).collect::<Result<_, _>>()?;
    match plan.outputs.first() {
        Some(_) if !roles.contains(&Role::Tokens) => Err("no input `input_ids`".into()),
        Some(output) if roles.contains(&Role::State { from: 0 }) => Err(format!("`{}` are no logits", output.name)),
        Some(_) => Ok(roles),
        None => Err("no output".into()),
    }
}

/// The inputs that the output `present` may feed.
fn pasts(present: &str) -> [String; 3] {
    let rest = present.strip_prefix("present").unwrap_or(present);
    let after_dot = rest.strip_prefix('.').unwrap_or(rest);
    [format!("past{rest}"), format!("past_key_values.{after_dot}"), format!("past.{after_dot}")]
}

/// Zeros for every state: a batch of one, open extents 0.
fn empty_states(plan: &Plan, roles: &[Role]) -> Result<Vec<Tensor>, String> {
    let states = plan.inputs.iter().zip(roles).filter(|(_, role)| matches!(role, Role::State { .. }));
    states
        .map(|(port, _)| {
            let dims = port.dims.as_ref().ok_or_else(|| format!("input `{}` does not tell its shape", port.name))?;
            let extent = |(i, dim): (usize, &Result<usize, String>)| match dim {
                Ok(n) => *n,
                Err(_) if i == 0 => 1,
                Err(_) => 0,
            };
            let shape: Vec<usize> = dims.iter().enumerate().map(extent).collect();
            let n = elements(&shape, STATE_LIMIT).map_err(|why| format!("input `{}`: {why}", port.name))?;
            match port.kind {
                Kind::F32 | Kind::F16 => Ok(Tensor::floats_of(port.kind, shape, vec![0.0; n])),
                other => Err(format!("input `{}` is of {other:?}", port.name)),
            }
        })
        .collect()
}

fn facts(plan: &Plan, roles: &[Role], options: Options) -> Result<Facts, String> {
    let logits = plan.outputs.first().and_then(|port| port.dims.as_ref()?.last());
    let vocab = match logits {
        Some(Ok(vocab)) => *vocab,
        _ => return Err("the first output does not tell how many logits a token has".into()),
    };
    // States are named after the layer they belong to.
    let names = plan.inputs.iter().zip(roles).filter(|(_, role)| matches!(role, Role::State { .. }));
    let layers: BTreeSet<&str> =
        names.filter_map(|(port, _)| port.name.split('.').find(|part| part.parse::<u32>().is_ok())).collect();
    Ok(Facts {
        what: "onnx".into(),
        vocab,
        layers: layers.len(),
        context: plan.positions.unwrap_or(usize::MAX),
        weight_bytes: plan.weight_bytes,
        parameters: plan.parameters,
        activation: options.activation,
        rung: options.kernels.name,
        threads: rayon::current_num_threads(),
        experts: 0,
    })
}

impl Executor for Onnx {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn divisible(&self) -> bool {
        self.plan.divisible
    }

    fn weights(&self) -> Option<&dyn Weights> {
        Some(self)
    }

    fn exact(&self) -> bool {
        !self.plan.rounds
    }

    fn trace(&self, tokens: &[u32], seen: &mut dyn FnMut(&str, &[f32])) -> Result<bool, Fault> {
        OnnxSession::new(self, tokens.len()).trace(tokens, seen)?;
        Ok(true)
    }

    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
        Ok(Box::new(OnnxSession::new(self, positions.min(self.facts.context))))
    }
}
