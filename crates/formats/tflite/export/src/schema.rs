//! Numbers of `schema.fbs` of TensorFlow Lite: types, operators and the slots of tables.

/// Element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    F32 = 0,
    F16 = 1,
    I32 = 2,
    Bool = 6,
    I8 = 9,
    I4 = 17,
}

/// Operators in use, by their builtin codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Op {
    Add = 0,
    Concatenation = 2,
    Dequantize = 6,
    EmbeddingLookup = 7,
    FullyConnected = 9,
    Logistic = 14,
    Mul = 18,
    Reshape = 22,
    Softmax = 25,
    Gather = 36,
    Transpose = 39,
    Mean = 40,
    Sub = 41,
    Div = 42,
    TopkV2 = 48,
    Split = 49,
    Cast = 53,
    Greater = 61,
    Slice = 65,
    Sin = 66,
    Sum = 74,
    Rsqrt = 76,
    ReduceMax = 82,
    OneHot = 85,
    Cos = 108,
    If = 118,
    BatchMatmul = 126,
    DynamicUpdateSlice = 151,
}

impl Op {
    /// Its name, for the names of values.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Concatenation => "concat",
            Self::Dequantize => "dequantize",
            Self::EmbeddingLookup => "embedding",
            Self::FullyConnected => "linear",
            Self::Logistic => "sigmoid",
            Self::Mul => "mul",
            Self::Reshape => "reshape",
            Self::Softmax => "softmax",
            Self::Gather => "gather",
            Self::Transpose => "transpose",
            Self::Mean => "mean",
            Self::Sub => "sub",
            Self::Div => "div",
            Self::TopkV2 => "top_k",
            Self::Split => "split",
            Self::Cast => "cast",
            Self::Greater => "greater",
            Self::Slice => "slice",
            Self::Sin => "sin",
            Self::Sum => "sum",
            Self::Rsqrt => "rsqrt",
            Self::ReduceMax => "max",
            Self::OneHot => "one_hot",
            Self::Cos => "cos",
            Self::If => "if",
            Self::BatchMatmul => "matmul",
            Self::DynamicUpdateSlice => "update",
        }
    }

    /// The table of its options in the union of all options; 0 for none.
    pub(crate) const fn options(self) -> u8 {
        match self {
            Self::FullyConnected => 8,
            Self::Softmax => 9,
            Self::Concatenation => 10,
            Self::Add => 11,
            Self::Reshape => 17,
            Self::Mul => 21,
            Self::Gather => 23,
            Self::Transpose => 26,
            Self::Mean | Self::Sum | Self::ReduceMax => 27,
            Self::Sub => 28,
            Self::Div => 29,
            Self::TopkV2 => 34,
            Self::Split => 35,
            Self::Cast => 37,
            Self::Dequantize => 38,
            Self::Greater => 44,
            Self::Slice => 48,
            Self::OneHot => 61,
            Self::Cos => 84,
            Self::If => 92,
            Self::BatchMatmul => 101,
            Self::DynamicUpdateSlice => 117,
            Self::EmbeddingLookup | Self::Logistic | Self::Sin | Self::Rsqrt => 0,
        }
    }

    /// The version of the operator that its use with such weights needs. Runtimes refuse versions they do not know.
    pub(crate) const fn version(self, weights: Coding) -> i32 {
        match (self, weights) {
            // Without a bias.
            (Self::FullyConnected, Coding::None) => 6,
            (Self::FullyConnected, Coding::Rows) => 12,
            // Says more than it must: runtimes that stop at 13 take blocks for something else and compute nonsense.
            (Self::FullyConnected, Coding::Blocks) => 14,
            (Self::EmbeddingLookup, Coding::Rows) => 4,
            (Self::EmbeddingLookup, Coding::Blocks) => 5,
            (Self::Dequantize, _) => 3,
            _ => 1,
        }
    }
}

/// How weights of 8 or 4 bits are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Coding {
    None,
    Rows,
    Blocks,
}

pub(crate) mod slot {
    //! Fields of tables by their place.
    pub(crate) mod model {
        pub(crate) const VERSION: u16 = 0;
        pub(crate) const OPERATOR_CODES: u16 = 1;
        pub(crate) const SUBGRAPHS: u16 = 2;
        pub(crate) const DESCRIPTION: u16 = 3;
        pub(crate) const BUFFERS: u16 = 4;
        pub(crate) const METADATA: u16 = 6;
        pub(crate) const SIGNATURES: u16 = 7;
    }
    pub(crate) mod subgraph {
        pub(crate) const TENSORS: u16 = 0;
        pub(crate) const INPUTS: u16 = 1;
        pub(crate) const OUTPUTS: u16 = 2;
        pub(crate) const OPERATORS: u16 = 3;
        pub(crate) const NAME: u16 = 4;
    }
    pub(crate) mod tensor {
        pub(crate) const SHAPE: u16 = 0;
        pub(crate) const TYPE: u16 = 1;
        pub(crate) const BUFFER: u16 = 2;
        pub(crate) const NAME: u16 = 3;
        pub(crate) const QUANTIZATION: u16 = 4;
        pub(crate) const HAS_RANK: u16 = 8;
    }
    pub(crate) mod quantization {
        pub(crate) const SCALE: u16 = 2;
        pub(crate) const ZERO_POINT: u16 = 3;
        pub(crate) const DETAILS_TYPE: u16 = 4;
        pub(crate) const DETAILS: u16 = 5;
        /// `BlockwiseQuantization` in the union of details.
        pub(crate) const BLOCKWISE: u8 = 2;
    }
    pub(crate) mod blockwise {
        pub(crate) const SCALES: u16 = 0;
        pub(crate) const ZERO_POINTS: u16 = 1;
        pub(crate) const BLOCK_SIZE: u16 = 2;
    }
    pub(crate) mod code {
        /// What readers from before 127 operators look at.
        pub(crate) const OLD_BUILTIN: u16 = 0;
        pub(crate) const VERSION: u16 = 2;
        pub(crate) const BUILTIN: u16 = 3;
    }
    pub(crate) mod operator {
        pub(crate) const CODE: u16 = 0;
        pub(crate) const INPUTS: u16 = 1;
        pub(crate) const OUTPUTS: u16 = 2;
        pub(crate) const OPTIONS_TYPE: u16 = 3;
        pub(crate) const OPTIONS: u16 = 4;
    }
    pub(crate) mod buffer {
        pub(crate) const DATA: u16 = 0;
        pub(crate) const OFFSET: u16 = 1;
        pub(crate) const SIZE: u16 = 2;
    }
    /// `Metadata` and `TensorMap` alike: a name and an index.
    pub(crate) mod named {
        pub(crate) const NAME: u16 = 0;
        pub(crate) const INDEX: u16 = 1;
    }
    pub(crate) mod signature {
        pub(crate) const INPUTS: u16 = 0;
        pub(crate) const OUTPUTS: u16 = 1;
        pub(crate) const KEY: u16 = 2;
        pub(crate) const SUBGRAPH: u16 = 4;
    }
}
