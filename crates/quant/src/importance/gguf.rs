//! The GGUF form: `NAME.in_sum2` (`[columns, experts]`) beside `NAME.counts` (`[1, experts]`).

use super::{Importance, entry};
use crate::QuantError;
use lfmq_gguf_wire::{Array, Container, GgmlType, Tensor, WireError};
use std::collections::BTreeMap;

const SUMS: &str = ".in_sum2";
const COUNTS: &str = ".counts";

pub(super) fn parse(bytes: &[u8]) -> Result<Importance, QuantError> {
    let file = Container::parse(bytes).map_err(outside)?;
    let kind: &str = file.read("general.type").map_err(outside)?;
    if kind != "imatrix" {
        return Err(QuantError::Importance { why: format!("general.type is `{kind}`, expected `imatrix`") });
    }
    let datasets: Array<'_> = file.read("imatrix.datasets").map_err(outside)?;
    let dataset = datasets.strings().and_then(|mut names| names.next()).map(str::to_owned);
    let chunks: u32 = file.read("imatrix.chunk_count").map_err(outside)?;
    let _: u32 = file.read("imatrix.chunk_size").map_err(outside)?;
    let mut entries = BTreeMap::new();
    for tensor in file.tensors() {
        let bad = |why: &str| QuantError::ImportanceEntry { entry: tensor.name().to_owned(), why: why.to_owned() };
        if tensor.ty() != GgmlType::F32 {
            return Err(bad("it is not of type F32"));
        }
        if let Some(name) = tensor.name().strip_suffix(COUNTS) {
            file.tensor(&format!("{name}{SUMS}")).ok_or_else(|| bad("its sums are missing"))?;
            continue;
        }
        let name = tensor.name().strip_suffix(SUMS).ok_or_else(|| bad("it is neither sums nor counts"))?;
        let counts = file.tensor(&format!("{name}{COUNTS}")).ok_or_else(|| bad("its counts are missing"))?;
        if counts.elements() != tensor.rows() as u64 {
            return Err(bad(&format!("{} rows of sums for {} counts", tensor.rows(), counts.elements())));
        }
        entries.insert(name.to_owned(), entry(name, &floats(tensor), &floats(counts))?);
    }
    Ok(Importance::new(entries, dataset, chunks))
}

fn outside(why: WireError) -> QuantError {
    QuantError::Importance { why: why.to_string() }
}

fn floats(tensor: &Tensor<'_>) -> Vec<f32> {
    tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
