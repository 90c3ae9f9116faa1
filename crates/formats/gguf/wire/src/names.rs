//! Tensor names of the `lfm2` and `lfm2moe` architectures. A stack of experts has one name; its experts are
//! slices of it along the slowest dimension.

use lfmq_core::{TensorId, TensorRole as R};

/// Name inside a layer (after `blk.N.`) by role; experts by their first.
const LAYER: [(R, &str); 22] = [
    (R::MixerNorm, "attn_norm.weight"),
    (R::FfnNorm, "ffn_norm.weight"),
    (R::ConvInProj, "shortconv.in_proj.weight"),
    (R::ConvKernel, "shortconv.conv.weight"),
    (R::ConvOutProj, "shortconv.out_proj.weight"),
    (R::ConvInBias, "shortconv.in_proj.bias"),
    (R::ConvKernelBias, "shortconv.conv.bias"),
    (R::ConvOutBias, "shortconv.out_proj.bias"),
    (R::AttnQ, "attn_q.weight"),
    (R::AttnK, "attn_k.weight"),
    (R::AttnV, "attn_v.weight"),
    (R::AttnOut, "attn_output.weight"),
    (R::AttnQNorm, "attn_q_norm.weight"),
    (R::AttnKNorm, "attn_k_norm.weight"),
    (R::FfnGate, "ffn_gate.weight"),
    (R::FfnUp, "ffn_up.weight"),
    (R::FfnDown, "ffn_down.weight"),
    (R::Router, "ffn_gate_inp.weight"),
    (R::RouterBias, "exp_probs_b.bias"),
    (R::ExpertGate(0), "ffn_gate_exps.weight"),
    (R::ExpertUp(0), "ffn_up_exps.weight"),
    (R::ExpertDown(0), "ffn_down_exps.weight"),
];

/// Names outside the layers. The final norm is called `token_embd_norm` in this architecture.
const GLOBAL: [(R, &str); 3] =
    [(R::Embedding, "token_embd.weight"), (R::FinalNorm, "token_embd_norm.weight"), (R::Head, "output.weight")];

/// The name under which a file stores `id`.
#[must_use]
pub fn tensor_name(id: TensorId) -> String {
    let find = |table: &[(R, &'static str)]| table.iter().find(|(r, _)| r.word() == id.role.word()).map(|(_, n)| *n);
    match id.layer {
        Some(layer) => format!("blk.{layer}.{}", find(&LAYER).unwrap_or_default()),
        None => find(&GLOBAL).unwrap_or_default().to_owned(),
    }
}

/// What a name stands for; a stack of experts is told as its expert 0.
#[must_use]
pub fn parse(name: &str) -> Option<TensorId> {
    if let Some((role, _)) = GLOBAL.iter().find(|(_, n)| *n == name) {
        return Some(TensorId::global(*role));
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let index: u16 = layer.parse().ok()?;
    // `blk.01.` and `blk.+1.` are other names.
    if index.to_string() != layer {
        return None;
    }
    LAYER.iter().find(|(_, n)| *n == rest).map(|(role, _)| TensorId::layer(index, *role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_roles_are_a_bijection() {
        for (role, _) in GLOBAL {
            let id = TensorId::global(role);
            assert_eq!(parse(&tensor_name(id)), Some(id));
        }
        for (role, _) in LAYER {
            let id = TensorId::layer(12, role);
            assert_eq!(parse(&tensor_name(id)), Some(id));
        }
        assert_eq!(parse("blk.01.attn_q.weight"), None);
        assert_eq!(tensor_name(TensorId::layer(3, R::ExpertUp(9))), "blk.3.ffn_up_exps.weight");
    }
}
