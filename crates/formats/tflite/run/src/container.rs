//! `.litertlm`: a header with a flatbuffer that tells the sections, each on a border of 16 KiB.

use crate::flat::{Budget, Read, Table, WireFault};
use std::ops::Range;

const MAGIC: &[u8] = b"LITERTLM";

/// Where the header's flatbuffer starts.
const META: usize = 32;

/// What a container has for us. Ranges are of the file.
#[derive(Debug, Default)]
pub(crate) struct Container {
    pub model: Range<usize>,
    /// `tokenizer.json`, with its length and as a zlib stream.
    pub tokenizer: Option<Range<usize>>,
    /// The serialized `LlmMetadata`.
    pub metadata: Option<Range<usize>>,
}

/// Kinds of sections.
const TFLITE: u8 = 3;
const METADATA: u8 = 5;
const TOKENIZER: u8 = 6;
const WEIGHTS: u8 = 7;

pub(crate) fn is_container(file: &[u8]) -> bool {
    file.starts_with(MAGIC)
}

/// Reads the header of `file`.
///
/// # Errors
/// When the header or a section does not lie in the file, or there is not exactly one model.
pub(crate) fn parse(file: &[u8]) -> Read<Container> {
    let number = |at: usize| file.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b));
    let major = number(8).ok_or(WireFault { at: 8, why: "the header is cut".into() })?;
    if major != 1 {
        return Err(WireFault { at: 8, why: format!("container version {major}, expected 1") });
    }
    let end = file.get(24..32).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b));
    let header = usize::try_from(end).ok().and_then(|end| file.get(META..end));
    let header = header.ok_or_else(|| WireFault { at: 24, why: format!("a header that ends at {end}") })?;
    let budget = Budget::new();
    sections(header, file.len(), &budget).map_err(|f| WireFault { at: f.at + META, ..f })
}

fn sections(header: &[u8], file: usize, budget: &Budget) -> Read<Container> {
    let root = Table::root(header, 0, budget)?;
    let mut found = Container::default();
    let mut models = 0;
    for section in root.table(1)?.map_or(Ok(Vec::new()), |t| t.tables(0))? {
        let (begin, end, kind) = (section.u64(1)?, section.u64(2)?, section.u8(3)?);
        let inside = begin <= end && end <= file as u64;
        let range = usize::try_from(begin).ok().zip(usize::try_from(end).ok()).filter(|_| inside);
        let Some((begin, end)) = range else {
            return section.fault(format!("a section of bytes {begin} to {end}, the file has {file}"));
        };
        match kind {
            TFLITE => {
                models += 1;
                found.model = begin..end;
            }
            METADATA => found.metadata = Some(begin..end),
            TOKENIZER => found.tokenizer = Some(begin..end),
            WEIGHTS => return section.fault("weights in a section of their own are not supported"),
            _ => {}
        }
    }
    if models == 1 { Ok(found) } else { root.fault(format!("{models} models in the container, expected one")) }
}

/// A field of a protobuf message.
enum Field<'a> {
    Number(u64),
    Block(&'a [u8]),
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
    None
}

/// Numbers and blocks of a message. Ends at whatever is no field.
fn fields(message: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    let mut rest = message;
    std::iter::from_fn(move || {
        loop {
            let key = varint(&mut rest)?;
            let skip = match key & 7 {
                0 => return Some((key >> 3, Field::Number(varint(&mut rest)?))),
                1 => 8,
                2 => usize::try_from(varint(&mut rest)?).ok()?,
                5 => 4,
                _ => return None,
            };
            let (field, after) = rest.split_at_checked(skip)?;
            rest = after;
            if key & 7 == 2 {
                return Some((key >> 3, Field::Block(field)));
            }
        }
    })
}

/// The chat template of an `LlmMetadata` message.
pub(crate) fn chat_template(metadata: &[u8]) -> Option<&str> {
    let text = fields(metadata).filter_map(|field| match field {
        (7, Field::Block(text)) => Some(text),
        _ => None,
    });
    std::str::from_utf8(text.last()?).ok().filter(|t| !t.is_empty())
}

/// The positions that an `LlmMetadata` message allows.
pub(crate) fn max_tokens(metadata: &[u8]) -> Option<usize> {
    let number = fields(metadata).filter_map(|field| match field {
        (5, Field::Number(n)) => Some(n),
        _ => None,
    });
    number.last().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0)
}
