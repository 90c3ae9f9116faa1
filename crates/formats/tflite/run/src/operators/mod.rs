//! The operators, one small file a family. An operator is *built* once from its node, with all shapes known, which may lay
//! out constant inputs, and then *runs* on values. Kernels, not operators, decide the order of sums, so no result depends
//! on the rung or the number of threads.
#![allow(clippy::indexing_slicing, reason = "every operator checks its shapes while it is built, then indexes")]

mod attention;
mod elementwise;
mod layout;
mod make;
mod moving;
mod node;
mod product;
mod reduce;
mod shape;
mod unary;

pub(crate) use attention::attend;
pub(crate) use node::{Build, Built, Const, Hint, Inputs, Job, Node, Operand, Place, Run, View, Work};

use crate::tensor::Why;

/// The operator's name and builder: the table of all that this crate can run.
pub(crate) fn find(code: i32) -> Option<(&'static str, Build)> {
    Some(match code {
        0 => ("ADD", elementwise::arithmetic as Build),
        2 => ("CONCATENATION", moving::concat),
        4 => ("DEPTHWISE_CONV_2D", product::depthwise),
        6 => ("DEQUANTIZE", shape::dequantize),
        7 => ("EMBEDDING_LOOKUP", product::lookup),
        9 => ("FULLY_CONNECTED", product::fully_connected),
        14 => ("LOGISTIC", unary::build),
        18 => ("MUL", elementwise::arithmetic),
        19 => ("RELU", unary::build),
        22 => ("RESHAPE", shape::reshape),
        25 => ("SOFTMAX", reduce::softmax),
        28 => ("TANH", unary::build),
        36 => ("GATHER", moving::gather_rows),
        39 => ("TRANSPOSE", moving::transpose),
        40 => ("MEAN", reduce::build),
        41 => ("SUB", elementwise::arithmetic),
        42 => ("DIV", elementwise::arithmetic),
        43 => ("SQUEEZE", shape::squeeze),
        45 => ("STRIDED_SLICE", moving::strided_slice),
        47 => ("EXP", unary::build),
        48 => ("TOPK_V2", reduce::top),
        49 => ("SPLIT", moving::split),
        53 => ("CAST", make::cast),
        55 => ("MAXIMUM", elementwise::arithmetic),
        57 => ("MINIMUM", elementwise::arithmetic),
        58 => ("LESS", elementwise::compare),
        59 => ("NEG", unary::build),
        61 => ("GREATER", elementwise::compare),
        62 => ("GREATER_EQUAL", elementwise::compare),
        63 => ("LESS_EQUAL", elementwise::compare),
        65 => ("SLICE", moving::slice),
        66 => ("SIN", unary::build),
        70 => ("EXPAND_DIMS", shape::expand_dims),
        71 => ("EQUAL", elementwise::compare),
        72 => ("NOT_EQUAL", elementwise::compare),
        73 => ("LOG", unary::build),
        74 => ("SUM", reduce::build),
        75 => ("SQRT", unary::build),
        76 => ("RSQRT", unary::build),
        77 => ("SHAPE", shape::of),
        82 => ("REDUCE_MAX", reduce::build),
        83 => ("PACK", moving::pack),
        84 => ("LOGICAL_OR", elementwise::logical),
        85 => ("ONE_HOT", make::one_hot),
        86 => ("LOGICAL_AND", elementwise::logical),
        87 => ("LOGICAL_NOT", unary::not),
        89 => ("REDUCE_MIN", reduce::build),
        92 => ("SQUARE", unary::build),
        94 => ("FILL", make::fill),
        99 => ("SQUARED_DIFFERENCE", elementwise::arithmetic),
        101 => ("ABS", unary::build),
        102 => ("SPLIT_V", moving::split_v),
        108 => ("COS", unary::build),
        118 => ("IF", branch),
        123 => ("SELECT_V2", elementwise::select),
        126 => ("BATCH_MATMUL", product::batch),
        130 => ("BROADCAST_TO", moving::broadcast_to),
        151 => ("DYNAMIC_UPDATE_SLICE", moving::update),
        206 => ("STABLEHLO_COMPOSITE", composite),
        _ => return None,
    })
}

/// Index of a subgraph, not yet known to exist.
fn subgraph(index: i32) -> Result<usize, Why> {
    usize::try_from(index).map_err(|_| format!("subgraph {index}"))
}

/// IF: one of two subgraphs, by one boolean.
fn branch(node: &Node<'_>) -> Result<Built, Why> {
    const OPTIONS: u16 = 92;
    if node.expect(0, crate::tensor::Kind::Bool)?.len() != 1 {
        return Err(format!("a condition of shape {:?}", node.shape(0)?));
    }
    let (then, otherwise) = (node.option(OPTIONS, |t| t.i32(0))?, node.option(OPTIONS, |t| t.i32(1))?);
    let work = Work::Branch { then: subgraph(then)?, otherwise: subgraph(otherwise)? };
    Ok(Built { outputs: Vec::new(), work })
}

/// STABLEHLO_COMPOSITE: what its decomposition computes.
fn composite(node: &Node<'_>) -> Result<Built, Why> {
    let index = node.option(crate::model::SECOND + 21, |t| t.i32(1))?;
    Ok(Built { outputs: Vec::new(), work: Work::Inline(subgraph(index)?) })
}
