//! A decoder put together by hand: long feeds, cutting, and refusals. What the numbers should be is told by the
//! goldens of `lfmq-reference`.

use lfmq_core::{Activation, Session, Want};
use lfmq_kernels::Kernels;
use lfmq_ops::attention::Attention;
use lfmq_ops::conv::ShortConv;
use lfmq_ops::{
    Block32, BlockLinear, Blocks, Decoder, DecoderConfig, DenseFfn, F32Linear, Ffn, Gate, Layer, Linear, Mixer, Moe,
    OpsError, Routing,
};
use std::sync::Arc;

const HIDDEN: usize = 32;
const VOCAB: usize = 40;

fn noise(seed: &mut u32, n: usize, size: f32) -> Vec<f32> {
    let next = |_| {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((*seed >> 8) as f32 / (1 << 23) as f32 - 1.0) * size
    };
    (0..n).map(next).collect()
}

fn matrix(seed: &mut u32, rows: usize, cols: usize) -> Arc<F32Linear> {
    Arc::new(F32Linear::new(rows, cols, noise(seed, rows * cols, 2.0 / (cols as f32).sqrt())).unwrap())
}

fn ffn(seed: &mut u32, width: usize) -> DenseFfn<'static> {
    let mut m = |rows, cols| matrix(seed, rows, cols) as Arc<dyn Linear>;
    DenseFfn { gate: m(width, HIDDEN), up: m(width, HIDDEN), down: m(HIDDEN, width) }
}

fn config() -> DecoderConfig {
    DecoderConfig {
        vocab: VOCAB,
        hidden: HIDDEN,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        taps: 3,
        norm_eps: 1e-5,
        rope_theta: 1e4,
    }
}

fn layers(seed: &mut u32) -> Vec<Layer<'static>> {
    let norm = |seed: &mut u32, n| noise(seed, n, 0.2).iter().map(|x| 1.0 + x).collect::<Vec<f32>>();
    let conv = Layer {
        mixer_norm: norm(seed, HIDDEN),
        mixer: Mixer::Conv(ShortConv {
            in_proj: matrix(seed, 3 * HIDDEN, HIDDEN),
            in_bias: None,
            kernel: noise(seed, HIDDEN * 3, 1.0),
            kernel_bias: Some(noise(seed, HIDDEN, 0.1)),
            out_proj: matrix(seed, HIDDEN, HIDDEN),
            out_bias: None,
        }),
        ffn_norm: norm(seed, HIDDEN),
        ffn: Ffn::Dense(ffn(seed, 48)),
    };
    let attention = Layer {
        mixer_norm: norm(seed, HIDDEN),
        mixer: Mixer::Attention(Attention {
            heads: 4,
            kv_heads: 2,
            head_dim: 8,
            q: matrix(seed, 32, HIDDEN),
            k: matrix(seed, 16, HIDDEN),
            v: matrix(seed, 16, HIDDEN),
            out: matrix(seed, HIDDEN, 32),
            q_norm: norm(seed, 8),
            k_norm: norm(seed, 8),
        }),
        ffn_norm: norm(seed, HIDDEN),
        ffn: Ffn::Moe(Moe {
            router: matrix(seed, 6, HIDDEN),
            routing: Routing {
                gate: Gate::Sigmoid,
                top_k: 2,
                bias: Some(noise(seed, 6, 0.2)),
                norm_top_k: true,
                scale: 1.5,
            },
            experts: (0..6).map(|_| ffn(seed, 16)).collect(),
        }),
    };
    vec![conv, attention]
}

/// A decoder whose parts `spoil` may have touched.
fn decoder(spoil: impl FnOnce(&mut DecoderConfig, &mut Vec<Layer<'static>>)) -> Result<Decoder<'static>, OpsError> {
    let seed = &mut 7;
    let (mut config, mut layers) = (config(), layers(seed));
    let embedding = matrix(seed, VOCAB, HIDDEN);
    spoil(&mut config, &mut layers);
    Decoder::new(config, embedding.clone(), layers, vec![1.0; HIDDEN], embedding, Kernels::best())
}

/// Logit bits and routes of tokens fed in pieces.
fn run(decoder: &Decoder<'_>, pieces: &[usize], threads: usize) -> (Vec<u32>, Vec<Vec<Vec<u16>>>) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let total = pieces.iter().sum();
        let tokens: Vec<u32> = (0..total as u32).map(|i| i * i % VOCAB as u32).collect();
        let mut session = decoder.session(total);
        let (mut out, mut routes, mut at) = (vec![], vec![vec![]], 0);
        for piece in pieces {
            session.feed(&tokens[at..at + piece], Want::All, &mut out).unwrap();
            at += piece;
            for (all, new) in routes.iter_mut().zip(session.routes()) {
                all.extend_from_slice(new);
            }
        }
        (out.iter().map(|x| x.to_bits()).collect(), routes)
    })
}

#[test]
fn long_feeds_are_cut_without_a_trace() {
    // 600 tokens pass both the chunk of a feed (512) and many blocks of attention.
    let decoder = decoder(|_, _| ()).unwrap();
    let (expected, routes) = run(&decoder, &[1; 600], 1);
    assert_eq!((expected.len(), routes[0].len()), (600 * VOCAB, 600));
    for (pieces, threads) in [(&[600][..], 1), (&[600], 3), (&[511, 2, 87], 2), (&[17, 0, 583], 7)] {
        assert_eq!(run(&decoder, pieces, threads), (expected.clone(), routes.clone()), "{pieces:?}, {threads} threads");
    }
    let used: std::collections::BTreeSet<u16> = routes[0].iter().flatten().copied().collect();
    assert!(used.len() > 2, "a router that always chooses the same proves nothing");
}

/// Weights in blocks of 32, whose products are cut by tokens where there are many for the threads there are.
fn blocks(seed: &mut u32, rows: usize, cols: usize) -> Arc<BlockLinear> {
    let codes = noise(seed, rows * cols, 127.0).iter().map(|x| *x as i8).collect();
    let scales = noise(seed, rows * cols / 32, 0.004);
    let blocks = Blocks::B32(Block32 { rows, cols, codes, scales, mins: vec![] });
    Arc::new(BlockLinear::new(&blocks, Activation::Runtime, Kernels::best()).unwrap())
}

#[test]
fn quantized_layers_give_the_same_however_they_are_cut() {
    let decoder = decoder(|_, layers| {
        let mut seed = 3;
        let mut m = |rows, cols| blocks(&mut seed, rows, cols) as Arc<dyn Linear>;
        layers[0].ffn = Ffn::Dense(DenseFfn { gate: m(608, HIDDEN), up: m(608, HIDDEN), down: m(HIDDEN, 608) });
        if let Mixer::Conv(conv) = &mut layers[0].mixer {
            (conv.in_proj, conv.out_proj) = (m(3 * HIDDEN, HIDDEN), m(HIDDEN, HIDDEN));
        }
        if let Mixer::Attention(attention) = &mut layers[1].mixer {
            attention.q = m(32, HIDDEN);
        }
    });
    let decoder = decoder.unwrap();
    let expected = run(&decoder, &[1; 590], 1);
    assert!(expected.0.iter().all(|logit| f32::from_bits(*logit).is_finite()));
    // 590 tokens are 64 or more for each of up to 9 threads.
    for (pieces, threads) in [(&[590][..], 1), (&[590], 2), (&[590], 5), (&[590], 10), (&[300, 257, 33], 2)] {
        assert_eq!(run(&decoder, pieces, threads), expected, "{pieces:?}, {threads} threads");
    }
}

#[test]
fn wanted_positions_across_chunks() {
    let decoder = decoder(|_, _| ()).unwrap();
    let (all, _) = run(&decoder, &[600], 2);
    let tokens: Vec<u32> = (0..600).map(|i| i * i % VOCAB as u32).collect();
    let mut session = decoder.session(600);
    for (want, first) in [(Want::From(500), 500), (Want::From(530), 530), (Want::Last, 599), (Want::Nothing, 600)] {
        session.reset();
        let mut out = vec![];
        session.feed(&tokens, want, &mut out).unwrap();
        assert_eq!(out.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), all[first * VOCAB..], "{want:?}");
    }
}

#[test]
fn parts_that_do_not_fit_are_refused_by_name() {
    type Spoil = fn(&mut DecoderConfig, &mut Vec<Layer<'static>>);
    let cases: [(Spoil, &str); 9] = [
        (|c, _| c.vocab = 41, "embedding: expected [41, 32], found [40, 32]"),
        (|c, _| c.heads = 3, "heads: expected a multiple of 2 kv heads, found 3"),
        (|c, _| c.head_dim = 7, "head_dim: expected an even number, found 7"),
        (|c, _| c.kv_heads = 0, "kv_heads: expected at least 1, found 0"),
        (|c, _| c.taps = 4, "layer 0 conv_kernel: expected 128, found 96"),
        (|_, l| l[1].ffn_norm.truncate(3), "layer 1 ffn_norm: expected 32, found 3"),
        (
            |c, _| c.kv_heads = 4,
            "layer 1 attention: expected 4 heads, 4 kv heads, head_dim 8, found 4 heads, 2 kv heads",
        ),
        (
            |_, l| l[0].ffn = Ffn::Dense(DenseFfn { down: matrix(&mut 1, 32, 47), ..ffn(&mut 1, 48) }),
            "layer 0 ffn down: expected [32, 48]",
        ),
        (
            |_, l| {
                if let Ffn::Moe(moe) = &mut l[1].ffn {
                    moe.experts.truncate(5);
                }
            },
            "layer 1 router: expected [5, 32], found [6, 32]",
        ),
    ];
    for (spoil, expected) in cases {
        let error = decoder(spoil).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\n for {expected}");
    }
}
