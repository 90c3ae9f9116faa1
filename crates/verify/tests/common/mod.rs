//! Models made of tables.
#![allow(dead_code, reason = "each test binary uses its part")]

use lfmq_core::{
    DType, ExecError, Executor, Facts, Family, Fault, Ffn, LayerSpec, Mixer, ModelSpec, Session, SourceError,
    SourceTensor, StoredTensor, TensorId, TensorRole, TensorSource, TokenIds, Want, Weights,
};
use std::ops::Range;

/// Logits as a function of position and token.
pub type Logits = Box<dyn Fn(usize, u32) -> Vec<f32> + Send + Sync>;
/// Routes `[layer][K]` as a function of position and token.
pub type Routes = Box<dyn Fn(usize, u32) -> Vec<Vec<u16>> + Send + Sync>;

/// An executor whose logits are a function.
pub struct Table {
    facts: Facts,
    logits: Logits,
    routes: Option<Routes>,
}

impl Table {
    pub fn new(vocab: usize, logits: impl Fn(usize, u32) -> Vec<f32> + Send + Sync + 'static) -> Self {
        let facts = Facts {
            what: "table".into(),
            vocab,
            layers: 1,
            context: 64,
            weight_bytes: 90,
            parameters: 160,
            rung: "scalar",
            threads: 1,
            ..Facts::default()
        };
        Self { facts, logits: Box::new(logits), routes: None }
    }

    pub fn routed(mut self, routes: impl Fn(usize, u32) -> Vec<Vec<u16>> + Send + Sync + 'static) -> Self {
        self.facts.experts = 4;
        self.routes = Some(Box::new(routes));
        self
    }
}

impl Executor for Table {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn session(&self, positions: usize) -> Result<Box<dyn Session + '_>, Fault> {
        Ok(Box::new(TableSession { table: self, position: 0, limit: positions, routes: Vec::new() }))
    }
}

struct TableSession<'a> {
    table: &'a Table,
    position: usize,
    limit: usize,
    routes: Vec<Vec<Vec<u16>>>,
}

impl Session for TableSession<'_> {
    fn feed(&mut self, tokens: &[u32], want: Want, out: &mut Vec<f32>) -> Result<(), ExecError> {
        if self.position + tokens.len() > self.limit {
            return Err(ExecError::Full { position: self.limit, limit: self.limit });
        }
        let first = match want {
            Want::Nothing => tokens.len(),
            Want::Last => tokens.len().saturating_sub(1),
            Want::All => 0,
            Want::From(first) => first,
        };
        self.routes.clear();
        for (i, token) in tokens.iter().enumerate() {
            if i >= first {
                out.extend((self.table.logits)(self.position + i, *token));
            }
            if let Some(routes) = &self.table.routes {
                for (layer, chosen) in routes(self.position + i, *token).into_iter().enumerate() {
                    if self.routes.len() == layer {
                        self.routes.push(Vec::new());
                    }
                    self.routes[layer].push(chosen);
                }
            }
        }
        self.position += tokens.len();
        Ok(())
    }

    fn position(&self) -> usize {
        self.position
    }

    fn reset(&mut self) {
        self.position = 0;
    }

    fn routes(&self) -> &[Vec<Vec<u16>>] {
        &self.routes
    }
}

/// A number in -1..1 that looks random.
pub fn noise(seed: u64) -> f32 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// Tensors in memory, both as a checkpoint and as an artifact.
#[derive(Clone)]
pub struct Memory {
    pub spec: ModelSpec,
    pub source: Vec<SourceTensor>,
    pub stored: Vec<StoredTensor>,
    pub values: Vec<Vec<f32>>,
}

impl Memory {
    /// Checkpoint tensors with values that look random, a little larger in each next tensor.
    pub fn new(tensors: &[(TensorId, usize, usize)], scheme: &str) -> Self {
        let mut memory = Self { spec: spec(), source: Vec::new(), stored: Vec::new(), values: Vec::new() };
        for (i, (id, rows, cols)) in tensors.iter().enumerate() {
            let name = format!("t{i}");
            memory.source.push(SourceTensor {
                id: *id,
                name: name.clone(),
                shard: 0,
                dtype: DType::F32,
                rows: *rows,
                cols: *cols,
            });
            let scheme = if id.role.quantizable() { scheme } else { "f32" };
            let stored = StoredTensor {
                id: Some(*id),
                name,
                scheme: scheme.into(),
                rows: *rows,
                cols: *cols,
                bytes: (rows * cols) as u64,
            };
            memory.stored.push(stored);
            memory.values.push((0..rows * cols).map(|k| noise((i * 1_000_003 + k) as u64)).collect());
        }
        memory
    }
}

pub fn spec() -> ModelSpec {
    ModelSpec {
        family: Family::Lfm2,
        vocab: 8,
        hidden: 64,
        layers: vec![LayerSpec { mixer: Mixer::Conv, ffn: Ffn::Dense(64) }],
        heads: 1,
        kv_heads: 1,
        head_dim: 64,
        explicit_head_dim: false,
        conv_taps: 3,
        conv_bias: false,
        norm_eps: 1e-5,
        rope_theta: 1e6,
        max_positions: 64,
        ffn_width: 64,
        dense_layers: 0,
        moe: None,
        tied: true,
        tokens: TokenIds::default(),
    }
}

impl TensorSource for Memory {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn name(&self) -> &str {
        "memory"
    }

    fn tensors(&self) -> &[SourceTensor] {
        &self.source
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), SourceError> {
        let cols = self.source[index].cols;
        out.copy_from_slice(&self.values[index][rows.start * cols..rows.end * cols]);
        Ok(())
    }

    fn sidecar(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

impl Weights for Memory {
    fn tensors(&self) -> &[StoredTensor] {
        &self.stored
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<(), Fault> {
        let cols = self.stored[index].cols;
        out.copy_from_slice(&self.values[index][rows.start * cols..rows.end * cols]);
        Ok(())
    }
}

/// A small set of tensors: a norm, a square matrix, two experts and an embedding.
pub fn tensors() -> Vec<(TensorId, usize, usize)> {
    use TensorRole as R;
    vec![
        (TensorId::global(R::Embedding), 8, 64),
        (TensorId::layer(0, R::MixerNorm), 1, 64),
        (TensorId::layer(0, R::ConvOutProj), 64, 64),
        (TensorId::layer(0, R::FfnUp), 96, 64),
        (TensorId::layer(0, R::ExpertUp(0)), 32, 64),
        (TensorId::layer(0, R::ExpertUp(1)), 32, 64),
    ]
}
