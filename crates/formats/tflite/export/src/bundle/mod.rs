//! `.litertlm`: the model with its tokenizer and all that LiteRT-LM has to know, in one file of sections. Format 1.7.0.

mod metadata;
mod proto;
mod template;

use crate::TfliteExportError;
use crate::flat::{Flat, Ref, Value};
use lfmq_core::ExportJob;

/// Oldest LiteRT-LM that bundles are tested with.
pub(crate) const MIN_RUNTIME: &str = "0.18.1";

/// Sections begin on a multiple of this, so that each can be mapped by itself.
const PAGE: u64 = 16_384;
/// The bytes before the flatbuffer that lists the sections.
const HEADER: u64 = 32;

/// What a section holds.
#[derive(Clone, Copy)]
enum Kind {
    Model = 3,
    LlmMetadata = 5,
    Tokenizer = 6,
    ExecutorMetadata = 9,
}

/// All of a bundle but the model.
pub(crate) struct Bundle {
    /// Known bytes, each with its place; what lies between is zero.
    pub(crate) parts: Vec<(u64, Vec<u8>)>,
    /// Where the model begins. It comes last.
    pub(crate) model: u64,
}

impl Bundle {
    /// The bundle around a model of `size` bytes that keeps `context` positions in caches of `room`.
    pub(crate) fn new(job: &ExportJob<'_>, size: u64, context: usize, room: usize) -> Result<Self, TfliteExportError> {
        let sections = [
            (Kind::LlmMetadata, metadata::llm(job, context)?),
            (Kind::ExecutorMetadata, metadata::executor(job.source.spec(), room)),
            (Kind::Tokenizer, tokenizer(job)?),
        ];
        let mut lengths: Vec<(Kind, u64)> = sections.iter().map(|(kind, bytes)| (*kind, bytes.len() as u64)).collect();
        lengths.push((Kind::Model, size));
        // Branches run on processors only.
        let index = index(&lengths.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), job.source.spec().moe.is_some());
        let layout = index.layout();
        let end = HEADER + layout.size;
        let (mut starts, mut late, mut at) = (Vec::new(), Vec::new(), end);
        for (_, length) in &lengths {
            let start = at.next_multiple_of(PAGE);
            starts.push(start);
            at = start + length;
            late.extend([start, at]);
        }
        let mut header = b"LITERTLM".to_vec();
        header.extend([1u32, 7, 0, 0].iter().flat_map(|v| v.to_le_bytes()));
        header.extend(end.to_le_bytes());
        // Nothing is left open in this flatbuffer: it is one run.
        header.extend(index.encode(&layout, [0; 4], &late).into_iter().flat_map(|(_, bytes)| bytes));
        let model = starts.last().copied().unwrap_or_default();
        let known = starts.into_iter().zip(sections).map(|(start, (_, bytes))| (start, bytes));
        Ok(Self { parts: std::iter::once((0, header)).chain(known).collect(), model })
    }
}

/// `LiteRTLMMetaData`: begin and end of section `n` are late numbers `2n` and `2n + 1`.
fn index(kinds: &[Kind], processors_only: bool) -> Flat {
    let mut flat = Flat::default();
    let mut objects = Vec::new();
    for (n, kind) in kinds.iter().enumerate() {
        let mut items = Vec::new();
        if matches!(kind, Kind::Model) {
            items.push(item(&mut flat, "model_type", "tf_lite_prefill_decode"));
            if processors_only {
                items.push(item(&mut flat, "backend_constraint", "cpu"));
            }
        }
        let items = flat.refs(&items);
        objects.push(flat.table(&[
            (0, Value::Ref(items)),
            (1, Value::Late(2 * n)),
            (2, Value::Late(2 * n + 1)),
            (3, Value::Byte(*kind as u8)),
        ]));
    }
    let objects = flat.refs(&objects);
    let sections = flat.table(&[(0, Value::Ref(objects))]);
    let entries = flat.refs(&[]);
    let system = flat.table(&[(0, Value::Ref(entries))]);
    flat.table(&[(0, Value::Ref(system)), (1, Value::Ref(sections))]);
    flat
}

/// `KeyValuePair` with a `StringValue`.
fn item(flat: &mut Flat, key: &str, value: &str) -> Ref {
    const STRING: u8 = 9;
    let (key, text) = (flat.text(key), flat.text(value));
    let value = flat.table(&[(0, Value::Ref(text))]);
    flat.table(&[(0, Value::Ref(key)), (1, Value::Byte(STRING)), (2, Value::Ref(value))])
}

/// `tokenizer.json` behind its length, as a zlib stream.
fn tokenizer(job: &ExportJob<'_>) -> Result<Vec<u8>, TfliteExportError> {
    const FILE: &str = "tokenizer.json";
    let missing = || TfliteExportError::Sidecar { file: FILE, why: "the checkpoint has none".to_owned() };
    let json = job.source.sidecar(FILE).ok_or_else(missing)?;
    let mut out = (json.len() as u64).to_le_bytes().to_vec();
    out.extend(zlib(json));
    Ok(out)
}

/// A zlib stream of stored blocks: a percent of a bundle is not worth a compressor.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    out.extend((b << 16 | a).to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::zlib;

    #[test]
    fn stored_blocks() {
        // From Python: zlib.compress(b"abc", 0).
        let expected = [0x78, 0x01, 0x01, 3, 0, 0xfc, 0xff, b'a', b'b', b'c', 0x02, 0x4d, 0x01, 0x27];
        assert_eq!(zlib(b"abc"), expected);
        let long = zlib(&vec![7; 70_000]);
        assert_eq!((long.len(), long[2], long[2 + 5 + 65_535]), (2 + 2 * 5 + 70_000 + 4, 0, 1));
    }
}
