//! Which signature of a file does what, by the names that LiteRT-LM looks for.

use crate::RunError;
use crate::lower::Lowering;
use crate::model::{Model, Signature, SubGraph};
use crate::operators::View;
use crate::stored::shape;
use crate::tensor::{Kind, Type};

/// A signature ready to run: so many tokens at once.
pub(crate) struct Entry {
    pub program: usize,
    pub tokens: usize,
    /// Where tokens, positions and mask go.
    pub inputs: [View; 3],
    /// Whether the mask is of booleans, true where a position may be seen.
    pub boolean: bool,
    /// Where each state comes out.
    pub states: Vec<View>,
    /// Logits of the last token.
    pub logits: Option<View>,
}

/// The signatures of a file.
pub(crate) struct Entries {
    /// One token, logits.
    pub decode: Entry,
    /// Several tokens, only states; most tokens first.
    pub prefills: Vec<Entry>,
    pub states: Vec<(String, Type)>,
    /// Positions that a mask covers.
    pub positions: usize,
    pub vocab: usize,
}

const NAMES: [[&str; 2]; 3] = [["tokens", "token_ids"], ["input_pos", "positions"], ["mask", "attn_mask"]];
const LOGITS: &str = "logits";

/// A signature with its tensors looked up.
struct Found<'m> {
    signature: &'m Signature<'m>,
    graph: &'m SubGraph<'m>,
    /// Tensors of tokens, positions and mask.
    fixed: [usize; 3],
    tokens: usize,
    positions: usize,
    boolean: bool,
}

/// Finds and lowers the signatures of `model`.
///
/// # Errors
/// When no signature decodes, or one takes what nobody gives it.
pub(crate) fn entries(model: &Model<'_>, lowering: &mut Lowering<'_>) -> Result<Entries, RunError> {
    let path = lowering.path.clone();
    let fault = |why: String| RunError::Graph { path: path.clone(), why };
    let mut found = Vec::new();
    for signature in &model.signatures {
        if let Some(one) = find(model, signature).map_err(&fault)? {
            found.push(one);
        }
    }
    let gives = |f: &Found<'_>| f.signature.outputs.iter().any(|(name, _)| *name == LOGITS);
    let decode = found.iter().position(|f| f.tokens == 1 && gives(f));
    let decode = found.swap_remove(decode.ok_or_else(|| fault(missing(model)))?);
    let states = states(&decode).map_err(&fault)?;
    let logits = decode.signature.outputs.iter().find(|(name, _)| *name == LOGITS);
    let vocab = logits.and_then(|(_, i)| Some(*decode.graph.tensors.get(*i)?.dims.last()?));
    let vocab = vocab.and_then(|v| usize::try_from(v).ok()).filter(|v| *v > 0);
    let vocab = vocab.ok_or_else(|| fault("`logits` do not tell how many a token has".into()))?;
    let (positions, mut prefills) = (decode.positions, Vec::new());
    let decode = entry(&decode, &states, vocab, lowering)?;
    for one in found.iter().filter(|f| f.tokens > 1) {
        if one.positions != positions || self::states(one).map_err(&fault)? != states {
            return Err(fault(format!("signature `{}` has other states than `decode`", one.signature.key)));
        }
        prefills.push(entry(one, &states, 0, lowering)?);
    }
    prefills.sort_by_key(|e| std::cmp::Reverse(e.tokens));
    Ok(Entries { decode, prefills, states, positions, vocab })
}

fn missing(model: &Model<'_>) -> String {
    let keys: Vec<&str> = model.signatures.iter().map(|s| s.key).collect();
    format!("no signature turns one of `tokens` into `logits`; there are: {}", keys.join(", "))
}

/// The signature, if it takes tokens.
fn find<'m>(model: &'m Model<'m>, signature: &'m Signature<'m>) -> Result<Option<Found<'m>>, String> {
    let graph = model.subgraphs.get(signature.subgraph);
    let graph = graph.ok_or_else(|| format!("signature `{}`: subgraph {}", signature.key, signature.subgraph))?;
    let of = |names: &[&str; 2]| signature.inputs.iter().find(|(name, _)| names.contains(name)).map(|(_, i)| *i);
    let [Some(tokens), positions, mask] = NAMES.each_ref().map(of) else { return Ok(None) };
    let named = |what| format!("signature `{}` has no input `{what}`", signature.key);
    let fixed = [tokens, positions.ok_or_else(|| named("input_pos"))?, mask.ok_or_else(|| named("mask"))?];
    let of = |i: usize| -> Result<Type, String> {
        let tensor = graph.tensors.get(i).ok_or_else(|| format!("signature `{}`: tensor {i}", signature.key))?;
        let of = Kind::of(tensor.dtype).and_then(|kind| Ok(Type::new(kind, shape(&tensor.dims)?)));
        of.map_err(|why| format!("signature `{}`: `{}`: {why}", signature.key, tensor.name))
    };
    let (tokens, positions, mask) = (of(fixed[0])?, of(fixed[1])?, of(fixed[2])?);
    let n = tokens.len();
    let fits = tokens.kind == Kind::I32
        && positions == Type::new(Kind::I32, vec![n])
        && matches!(mask.kind, Kind::F32 | Kind::Bool)
        && mask.shape.len() == 4
        && mask.shape.starts_with(&[1, 1, n]);
    if !fits || n == 0 {
        let shapes = [&tokens.shape, &positions.shape, &mask.shape];
        return Err(format!("signature `{}`: tokens, positions and mask of shapes {shapes:?}", signature.key));
    }
    let positions = mask.shape.last().copied().unwrap_or(0);
    Ok(Some(Found { signature, graph, fixed, tokens: n, positions, boolean: mask.kind == Kind::Bool }))
}

/// Names and types of all other inputs: each must come back as an output of its name.
fn states(found: &Found<'_>) -> Result<Vec<(String, Type)>, String> {
    let others = found.signature.inputs.iter().filter(|(_, i)| !found.fixed.contains(i));
    let mut states = Vec::new();
    for (name, index) in others {
        if !found.signature.outputs.iter().any(|(output, _)| output == name) {
            return Err(format!("signature `{}`: nobody gives the input `{name}`", found.signature.key));
        }
        let tensor = found.graph.tensors.get(*index).ok_or_else(|| format!("`{name}`: tensor {index}"))?;
        let of = Kind::of(tensor.dtype).and_then(|kind| Ok(Type::new(kind, shape(&tensor.dims)?)));
        let of = of.map_err(|why| format!("`{name}`: {why}"))?;
        if of.kind != Kind::F32 {
            return Err(format!("`{name}` is of {:?}: only states of F32 are supported", of.kind));
        }
        states.push(((*name).to_owned(), of));
    }
    states.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(states)
}

/// Lowers a signature; with `vocab`, its logits are wanted too.
fn entry(
    found: &Found<'_>,
    states: &[(String, Type)],
    vocab: usize,
    lowering: &mut Lowering<'_>,
) -> Result<Entry, RunError> {
    let path = lowering.path.clone();
    let fault = |why: String| RunError::Graph { path: path.clone(), why };
    let of = |all: &[(&str, usize)], name: &str| all.iter().find(|(n, _)| *n == name).map(|(_, i)| *i);
    let lost = |name: &str| fault(format!("signature `{}` lacks `{name}`", found.signature.key));
    let (mut inputs, mut places) = (found.fixed.to_vec(), vec![None; 3]);
    let mut outputs = Vec::new();
    for (at, (name, _)) in states.iter().enumerate() {
        inputs.push(of(&found.signature.inputs, name).ok_or_else(|| lost(name))?);
        places.push(Some(at));
        outputs.push(of(&found.signature.outputs, name).ok_or_else(|| lost(name))?);
    }
    if vocab > 0 {
        outputs.push(of(&found.signature.outputs, LOGITS).ok_or_else(|| lost(LOGITS))?);
    }
    let program = lowering.signature(found.signature.subgraph, &inputs, &outputs, &places)?;
    let (given, mut results) = lowering.views(program);
    let [tokens, positions, mask, ..] = *given.as_slice() else { return Err(lost("tokens")) };
    let logits = if vocab > 0 { results.pop() } else { None };
    for ((name, of), view) in states.iter().zip(&results) {
        if view.len != of.len() {
            return Err(fault(format!("`{name}` goes in with {} elements and comes out with {}", of.len(), view.len)));
        }
    }
    let logits = logits.map(|view| View { start: view.start + view.len - vocab.min(view.len), len: vocab, ..view });
    let (tokens, boolean) = ((found.tokens, [tokens, positions, mask]), found.boolean);
    Ok(Entry { program, tokens: tokens.0, inputs: tokens.1, boolean, states: results, logits })
}
