//! Whether the parts of a decoder fit together. Checked once, so that the forward pass need not.

use crate::attention::Attention;
use crate::conv::ShortConv;
use crate::decoder::{Decoder, DecoderConfig, Mixer};
use crate::error::expect;
use crate::{DenseFfn, Ffn, Linear, Moe, OpsError};

pub(crate) fn check(decoder: &Decoder<'_>) -> Result<(), OpsError> {
    let config = decoder.config();
    numbers(config)?;
    let embedding = decoder.embedding();
    shape("embedding", (config.vocab, config.hidden), (embedding.vocab(), embedding.hidden()))?;
    linear("head", decoder.head(), config.vocab, config.hidden)?;
    vector("final_norm", decoder.final_norm(), config.hidden)?;
    for (index, layer) in decoder.layers().iter().enumerate() {
        let name = |part: &str| format!("layer {index} {part}");
        vector(&name("mixer_norm"), &layer.mixer_norm, config.hidden)?;
        vector(&name("ffn_norm"), &layer.ffn_norm, config.hidden)?;
        match &layer.mixer {
            Mixer::Conv(conv) => self::conv(conv, config, &name)?,
            Mixer::Attention(attention) => self::attention(attention, config, &name)?,
        }
        match &layer.ffn {
            Ffn::Dense(ffn) => dense(ffn, config, &name("ffn"))?,
            Ffn::Moe(moe) => mixture(moe, config, &name)?,
        }
    }
    Ok(())
}

fn numbers(c: &DecoderConfig) -> Result<(), OpsError> {
    let positive = [
        ("hidden", c.hidden),
        ("heads", c.heads),
        ("kv_heads", c.kv_heads),
        ("head_dim", c.head_dim),
        ("taps", c.taps),
    ];
    for (what, value) in positive {
        if value == 0 {
            return Err(OpsError::shape(what, "at least 1", value));
        }
    }
    if !c.heads.is_multiple_of(c.kv_heads) {
        return Err(OpsError::shape("heads", format!("a multiple of {} kv heads", c.kv_heads), c.heads));
    }
    if !c.head_dim.is_multiple_of(2) {
        return Err(OpsError::shape("head_dim", "an even number", c.head_dim));
    }
    Ok(())
}

fn conv(conv: &ShortConv<'_>, c: &DecoderConfig, name: &dyn Fn(&str) -> String) -> Result<(), OpsError> {
    linear(&name("conv_in"), &*conv.in_proj, 3 * c.hidden, c.hidden)?;
    linear(&name("conv_out"), &*conv.out_proj, c.hidden, c.hidden)?;
    vector(&name("conv_kernel"), &conv.kernel, c.hidden * c.taps)?;
    let biases = [
        ("conv_in_bias", &conv.in_bias, 3 * c.hidden),
        ("conv_kernel_bias", &conv.kernel_bias, c.hidden),
        ("conv_out_bias", &conv.out_bias, c.hidden),
    ];
    for (what, bias, len) in biases {
        if let Some(bias) = bias {
            vector(&name(what), bias, len)?;
        }
    }
    Ok(())
}

fn attention(a: &Attention<'_>, c: &DecoderConfig, name: &dyn Fn(&str) -> String) -> Result<(), OpsError> {
    let numbers = |heads, kv_heads, head_dim| format!("{heads} heads, {kv_heads} kv heads, head_dim {head_dim}");
    expect(|| name("attention"), numbers(c.heads, c.kv_heads, c.head_dim), numbers(a.heads, a.kv_heads, a.head_dim))?;
    let (q, kv) = (a.heads * a.head_dim, a.kv_heads * a.head_dim);
    linear(&name("attn_q"), &*a.q, q, c.hidden)?;
    linear(&name("attn_k"), &*a.k, kv, c.hidden)?;
    linear(&name("attn_v"), &*a.v, kv, c.hidden)?;
    linear(&name("attn_out"), &*a.out, c.hidden, q)?;
    vector(&name("attn_q_norm"), &a.q_norm, a.head_dim)?;
    vector(&name("attn_k_norm"), &a.k_norm, a.head_dim)
}

fn dense(ffn: &DenseFfn<'_>, c: &DecoderConfig, name: &str) -> Result<(), OpsError> {
    let width = ffn.gate.rows();
    linear(&format!("{name} gate"), &*ffn.gate, width, c.hidden)?;
    linear(&format!("{name} up"), &*ffn.up, width, c.hidden)?;
    linear(&format!("{name} down"), &*ffn.down, c.hidden, width)
}

fn mixture(moe: &Moe<'_>, c: &DecoderConfig, name: &dyn Fn(&str) -> String) -> Result<(), OpsError> {
    let experts = moe.experts.len();
    linear(&name("router"), &*moe.router, experts, c.hidden)?;
    if let Some(bias) = &moe.routing.bias {
        vector(&name("router_bias"), bias, experts)?;
    }
    if moe.routing.top_k > experts || experts > usize::from(u16::MAX) {
        let expected = format!("at most {experts} of at most {}", u16::MAX);
        return Err(OpsError::shape(name("experts per token"), expected, moe.routing.top_k));
    }
    for (e, expert) in moe.experts.iter().enumerate() {
        dense(expert, c, &name(&format!("expert {e}")))?;
    }
    Ok(())
}

fn linear(what: &str, w: &dyn Linear, rows: usize, cols: usize) -> Result<(), OpsError> {
    shape(what, (rows, cols), (w.rows(), w.cols()))
}

fn vector(what: &str, v: &[f32], len: usize) -> Result<(), OpsError> {
    expect(|| what.to_owned(), len, v.len())
}

fn shape(what: &str, expected: (usize, usize), found: (usize, usize)) -> Result<(), OpsError> {
    let show = |(r, c)| format!("[{r}, {c}]");
    expect(|| what.to_owned(), show(expected), show(found))
}
