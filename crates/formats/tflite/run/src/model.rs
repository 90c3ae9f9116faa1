//! The tables of a `.tflite` file that a graph is made of, as `schema.fbs` numbers them. Texts and weights stay in the
//! file.

use crate::flat::{Budget, Read, Table, Vector, WireFault};
use std::ops::Range;

/// Dimensions of a tensor, at most.
const RANK: usize = 8;

/// The flatbuffer ends here at the latest; weights may lie behind.
const LONGEST: usize = (1 << 31) - 1;

pub(crate) struct Model<'a> {
    pub operators: Vec<OperatorCode<'a>>,
    pub subgraphs: Vec<SubGraph<'a>>,
    /// Where the bytes of each buffer lie in the file.
    pub buffers: Vec<Range<usize>>,
    pub signatures: Vec<Signature<'a>>,
}

pub(crate) struct OperatorCode<'a> {
    pub code: i32,
    pub custom: &'a str,
    pub version: i32,
}

pub(crate) struct SubGraph<'a> {
    pub name: &'a str,
    pub tensors: Vec<TensorProto<'a>>,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    pub nodes: Vec<NodeProto<'a>>,
}

pub(crate) struct TensorProto<'a> {
    pub name: &'a str,
    pub dtype: u8,
    pub dims: Vec<i32>,
    pub buffer: usize,
    pub quantization: Quantization<'a>,
}

/// How integers stand for numbers.
#[derive(Clone, Copy)]
pub(crate) enum Quantization<'a> {
    None,
    /// One scale, or one for each index of dimension `axis`. Scales are f32, zeros i64.
    Affine {
        scales: Vector<'a>,
        zeros: Vector<'a>,
        axis: i32,
    },
    /// Scales in tensor `scales` of the same subgraph, one for each `block` elements of a row.
    Blocks {
        scales: i32,
        zeros: i32,
        block: i32,
    },
    /// Another kind of the union.
    Other(u8),
}

pub(crate) struct NodeProto<'a> {
    pub operator: usize,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    /// Kind and table of the options; the second union counts from 1000.
    pub options: Option<(u16, Table<'a>)>,
}

/// Where the second union of options starts to count.
pub(crate) const SECOND: u16 = 1000;

pub(crate) struct Signature<'a> {
    pub key: &'a str,
    pub subgraph: usize,
    /// Names and tensors.
    pub inputs: Vec<(&'a str, usize)>,
    pub outputs: Vec<(&'a str, usize)>,
}

impl<'a> Model<'a> {
    /// Reads the tables of `file`, which starts `start` bytes into what is mapped; buffers are told as places there.
    ///
    /// # Errors
    /// Whatever does not lie in the file or is not what it must be.
    pub fn parse(file: &'a [u8], start: usize, budget: &'a Budget) -> Read<Self> {
        if file.get(4..8) != Some(b"TFL3") {
            return Err(WireFault { at: 4, why: "no TFL3 stands here: this is not a TFLite file".into() });
        }
        let tables = file.get(..file.len().min(LONGEST)).unwrap_or_default();
        let root = Table::root(tables, 0, budget)?;
        let version = root.u32(0)?;
        if version != 3 {
            return root.fault(format!("schema version {version}, expected 3"));
        }
        if !root.vector(9, 4)?.bytes.is_empty() {
            return root.fault("weights in other files (external buffers) are not supported");
        }
        let model = Self {
            operators: root.tables(1)?.into_iter().map(operator).collect::<Read<_>>()?,
            subgraphs: root.tables(2)?.into_iter().map(subgraph).collect::<Read<_>>()?,
            buffers: root.tables(4)?.into_iter().map(|b| buffer(b, file.len(), start)).collect::<Read<_>>()?,
            signatures: root.tables(7)?.into_iter().map(signature).collect::<Read<_>>()?,
        };
        match model.buffers.first() {
            Some(first) if !first.is_empty() => root.fault("buffer 0 is not empty"),
            _ => Ok(model),
        }
    }
}

fn operator(table: Table<'_>) -> Read<OperatorCode<'_>> {
    // Codes that one byte cannot hold stand in a field of their own.
    let code = table.i32(3)?.max(i32::from(table.u8(0)?.cast_signed()));
    Ok(OperatorCode { code, custom: table.text(1)?, version: table.i32_or(2, 1)? })
}

fn subgraph(table: Table<'_>) -> Read<SubGraph<'_>> {
    Ok(SubGraph {
        tensors: table.tables(0)?.into_iter().map(tensor).collect::<Read<_>>()?,
        inputs: table.i32s(1)?,
        outputs: table.i32s(2)?,
        nodes: table.tables(3)?.into_iter().map(node).collect::<Read<_>>()?,
        name: table.text(4)?,
    })
}

fn tensor(table: Table<'_>) -> Read<TensorProto<'_>> {
    let dims = table.i32s(0)?;
    let open = table.i32s(7)?;
    if dims.len() > RANK {
        return table.fault(format!("a tensor of {} dimensions", dims.len()));
    }
    // Where a signature of the shape tells of open extents, the shape itself is only an example.
    let dims = if open.iter().any(|d| *d < 0) { open } else { dims };
    Ok(TensorProto {
        name: table.text(3)?,
        dtype: table.u8(1)?,
        dims,
        buffer: table.u32(2)? as usize,
        quantization: table.table(4)?.map_or(Ok(Quantization::None), quantization)?,
    })
}

fn quantization(table: Table<'_>) -> Read<Quantization<'_>> {
    let kind = table.u8(4)?;
    if kind != 0 {
        let Some(details) = table.table(5)? else { return table.fault("quantization details that are not there") };
        return Ok(match kind {
            2 => Quantization::Blocks { scales: details.i32(0)?, zeros: details.i32(1)?, block: details.i32(2)? },
            other => Quantization::Other(other),
        });
    }
    let (scales, zeros, axis) = (table.vector(2, 4)?, table.vector(3, 8)?, table.i32(6)?);
    if scales.bytes.is_empty() {
        return Ok(Quantization::None);
    }
    if !zeros.bytes.is_empty() && zeros.bytes.len() / 8 != scales.bytes.len() / 4 {
        return table.fault(format!("{} zero points for {} scales", zeros.bytes.len() / 8, scales.bytes.len() / 4));
    }
    Ok(Quantization::Affine { scales, zeros, axis })
}

fn node(table: Table<'_>) -> Read<NodeProto<'_>> {
    let options = match (table.u8(3)?, table.u8(11)?) {
        (0, 0) => None,
        (0, kind) => table.table(12)?.map(|t| (u16::from(kind) + SECOND, t)),
        (kind, _) => table.table(4)?.map(|t| (u16::from(kind), t)),
    };
    Ok(NodeProto { operator: table.u32(0)? as usize, inputs: table.i32s(1)?, outputs: table.i32s(2)?, options })
}

fn buffer(table: Table<'_>, file: usize, start: usize) -> Read<Range<usize>> {
    let (inside, offset, size) = (table.vector(0, 1)?, table.u64(1)?, table.u64(2)?);
    // An offset of 0 or 1 is what writers put where there is none yet.
    if offset <= 1 {
        return Ok(start + inside.at..start + inside.at + inside.bytes.len());
    }
    if !inside.bytes.is_empty() {
        return table.fault("a buffer both inside the flatbuffer and behind it");
    }
    let at = |n: u64| usize::try_from(n).ok();
    let range = at(offset).zip(offset.checked_add(size).and_then(at)).map(|(from, to)| from..to);
    match range.filter(|r| r.end <= file) {
        Some(range) => Ok(start + range.start..start + range.end),
        None => table.fault(format!("a buffer of bytes {offset}+{size}, the file has {file}")),
    }
}

fn signature(table: Table<'_>) -> Read<Signature<'_>> {
    let names = |id| -> Read<Vec<(&str, usize)>> {
        table.tables(id)?.into_iter().map(|t| Ok((t.text(0)?, t.u32(1)? as usize))).collect()
    };
    Ok(Signature { inputs: names(0)?, outputs: names(1)?, key: table.text(2)?, subgraph: table.u32(4)? as usize })
}
