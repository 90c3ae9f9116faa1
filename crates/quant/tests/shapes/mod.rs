//! The shapes of the released text models.

use lfmq_core::{Family, Ffn, LayerSpec, Mixer, ModelSpec, MoeSpec, TokenIds};

/// Hidden width, layers, heads, dense width, attention layers, vocabulary, (experts, width).
type Row = (usize, usize, usize, usize, Vec<usize>, usize, Option<(usize, usize)>);

/// The shape called `name`, e.g. `1.2B`.
pub fn released(name: &str) -> Option<ModelSpec> {
    let of_16 = || vec![2, 5, 8, 10, 12, 14];
    let of_30 = || vec![2, 5, 9, 13, 17, 21, 24, 27];
    let of_24 = || vec![2, 6, 10, 14, 18, 21];
    let row: Row = match name {
        "230M" => (1024, 14, 16, 2560, vec![2, 4, 6, 8, 10, 12], 65536, None),
        "350M" => (1024, 16, 16, 4608, of_16(), 65536, None),
        "700M" => (1536, 16, 24, 6912, of_16(), 65536, None),
        "1.2B" => (2048, 16, 32, 8192, of_16(), 65536, None),
        "2.6B" => (2048, 30, 32, 10752, of_30(), 65536, None),
        "2.5-2.6B" => (2048, 30, 32, 10752, of_30(), 128_000, None),
        "8B-A1B" => (2048, 24, 32, 7168, of_24(), 65536, Some((32, 1792))),
        "2.5-8B-A1B" => (2048, 24, 32, 7168, of_24(), 128_000, Some((32, 1792))),
        "24B-A2B" => (2048, 40, 32, 11776, (2..40).step_by(4).collect(), 65536, Some((64, 1536))),
        _ => return None,
    };
    Some(spec(row))
}

fn spec((hidden, layers, heads, ffn, attention, vocab, moe): Row) -> ModelSpec {
    let dense = moe.map_or(layers, |_| 2);
    let layer = |i| LayerSpec {
        mixer: if attention.contains(&i) { Mixer::Attention } else { Mixer::Conv },
        ffn: if i < dense { Ffn::Dense(ffn) } else { Ffn::Moe },
    };
    ModelSpec {
        family: if moe.is_some() { Family::Lfm2Moe } else { Family::Lfm2 },
        vocab,
        hidden,
        layers: (0..layers).map(layer).collect(),
        heads,
        kv_heads: 8,
        head_dim: hidden / heads,
        explicit_head_dim: false,
        conv_taps: 3,
        conv_bias: false,
        norm_eps: 1e-5,
        rope_theta: 1e6,
        max_positions: 128_000,
        ffn_width: ffn,
        dense_layers: if moe.is_some() { 2 } else { 0 },
        moe: moe.map(|(experts, width)| MoeSpec {
            experts,
            top_k: 4,
            width,
            use_bias: true,
            norm_top_k: true,
            scale: 1.0,
        }),
        tied: true,
        tokens: TokenIds::default(),
    }
}
