//! The operators, one small file a family. An operator is *built* once from its node, which may lay out constant
//! inputs, and then *runs* on values. Kernels, not operators, decide the order of sums, so no result depends on the
//! rung or the number of threads.
#![allow(clippy::indexing_slicing, reason = "every operator checks its shapes first, then indexes")]

mod layout;
mod node;

mod attend;
mod attention;
mod block_rows;
mod blocks;
mod cast;
mod compare;
mod concat;
mod conv;
mod elementwise;
mod experts;
mod gather;
mod gather_blocks;
mod generate;
mod group_query;
mod linear;
mod matmul;
mod matmul_integer;
mod matmul_nbits;
mod norm;
mod quantize;
mod reduce;
mod rotary;
mod scatter;
mod shape;
mod slice;
mod softmax;
mod topk;
mod transpose;
mod unary;

#[cfg(test)]
mod goldens;

pub(crate) use block_rows::BlockRows;
pub(crate) use concat::cut;
pub(crate) use node::{Build, Const, Context, Inputs, Node, Run};
pub(crate) use quantize::constant as dequantized;

const MS: &str = "com.microsoft";

/// The operator's builder: the table of all that this crate can run.
pub(crate) fn find(domain: &str, op: &str) -> Option<Build> {
    let onnx = matches!(domain, "" | "ai.onnx");
    let build: Build = match op {
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Min" | "Max" | "And" | "Or" | "Xor" if onnx => {
            elementwise::build
        }
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" if onnx => compare::build,
        "Where" if onnx => compare::select,
        "Abs" | "Ceil" | "Cos" | "Erf" | "Exp" | "Floor" | "Identity" | "Log" | "Neg" | "Not" | "Reciprocal"
        | "Relu" | "Round" | "Sigmoid" | "Sign" | "Sin" | "Sqrt" | "Swish" | "Tanh"
            if onnx =>
        {
            unary::build
        }
        "QuickGelu" if domain == MS => unary::build,
        "Clip" if onnx => unary::clip,
        "Cast" if onnx => cast::build,
        "Shape" | "Size" if onnx => shape::of,
        "Reshape" if onnx => shape::reshape,
        "Squeeze" if onnx => shape::squeeze,
        "Unsqueeze" if onnx => shape::unsqueeze,
        "Flatten" if onnx => shape::flatten,
        "Expand" if onnx => shape::expand,
        "Transpose" if onnx => transpose::build,
        "Concat" if onnx => concat::build,
        "Split" if onnx => concat::split,
        "Slice" if onnx => slice::build,
        "Gather" if onnx => gather::build,
        "GatherElements" if onnx => gather::elements,
        "ScatterElements" if onnx => scatter::elements,
        "Constant" if onnx => generate::constant,
        "ConstantOfShape" if onnx => generate::of_shape,
        "Range" if onnx => generate::range,
        "Trilu" if onnx => generate::trilu,
        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" if onnx => reduce::build,
        "CumSum" if onnx => reduce::cumulative,
        "TopK" if onnx => topk::build,
        "Softmax" if onnx => softmax::build,
        "MatMul" if onnx => matmul::build,
        "Gemm" if onnx => matmul::gemm,
        "Conv" if onnx => conv::build,
        "CausalConvWithState" if onnx || domain == MS => conv::causal,
        "SimplifiedLayerNormalization" | "RMSNormalization" if onnx => norm::rms,
        "SkipSimplifiedLayerNormalization" if domain == MS => norm::skip,
        "RotaryEmbedding" if onnx => rotary::standard,
        "RotaryEmbedding" if domain == MS => rotary::contrib,
        "Attention" if onnx => attention::build,
        "GroupQueryAttention" if domain == MS => group_query::build,
        "MatMulNBits" if domain == MS => matmul_nbits::build,
        "GatherBlockQuantized" if domain == MS => gather_blocks::build,
        "DequantizeLinear" if onnx || domain == MS => quantize::dequantize,
        "QuantizeLinear" if onnx || domain == MS => quantize::quantize,
        "DynamicQuantizeLinear" if onnx => quantize::dynamic,
        "MatMulInteger" if onnx => matmul_integer::build,
        "QMoE" if domain == MS => experts::build,
        _ => return None,
    };
    Some(build)
}
