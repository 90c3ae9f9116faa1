//! FlatBuffers written by hand, field by field, for files that no builder would write.

/// A table: fields by number.
pub type Table = Vec<(usize, Field)>;

#[derive(Clone)]
pub enum Field {
    U8(u8),
    I32(i32),
    U64(u64),
    Ints(Vec<i32>),
    Bytes(Vec<u8>),
    Text(&'static str),
    Table(Table),
    Tables(Vec<Table>),
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    out.extend_from_slice(bytes);
    out.len() - bytes.len()
}

/// Points the offset at `at` to the end of `out`.
fn point(out: &mut [u8], at: usize) {
    let offset = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&offset.to_le_bytes());
}

fn table(out: &mut Vec<u8>, fields: &Table, from: usize) {
    let slots = fields.iter().map(|(id, _)| id + 1).max().unwrap_or(0);
    while out.len() % 8 != 4 {
        out.push(0);
    }
    let (size, mut offsets) = (4 + 8 * fields.len(), vec![0_u16; slots]);
    for (i, (id, _)) in fields.iter().enumerate() {
        offsets[*id] = (4 + 8 * i) as u16;
    }
    let vtable = put(out, &((4 + 2 * slots) as u16).to_le_bytes());
    put(out, &(size as u16).to_le_bytes());
    for offset in offsets {
        put(out, &offset.to_le_bytes());
    }
    point(out, from);
    let at = put(out, &((out.len() - vtable) as i32).to_le_bytes());
    out.resize(at + size, 0);
    for (i, (_, field)) in fields.iter().enumerate() {
        let place = at + 4 + 8 * i;
        match field {
            Field::U8(v) => out[place] = *v,
            Field::I32(v) => out[place..place + 4].copy_from_slice(&v.to_le_bytes()),
            Field::U64(v) => out[place..place + 8].copy_from_slice(&v.to_le_bytes()),
            Field::Ints(v) => vector(out, place, v.len(), &v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>()),
            Field::Bytes(v) => vector(out, place, v.len(), v),
            Field::Text(v) => vector(out, place, v.len(), v.as_bytes()),
            Field::Table(t) => table(out, t, place),
            Field::Tables(all) => {
                vector(out, place, all.len(), &vec![0; 4 * all.len()]);
                let first = out.len() - 4 * all.len();
                all.iter().enumerate().for_each(|(i, t)| table(out, t, first + 4 * i));
            }
        }
    }
}

fn vector(out: &mut Vec<u8>, from: usize, len: usize, bytes: &[u8]) {
    point(out, from);
    put(out, &(len as u32).to_le_bytes());
    put(out, bytes);
}

/// A whole file with this root.
pub fn file(root: &Table) -> Vec<u8> {
    let mut out = b"\0\0\0\0TFL3".to_vec();
    table(&mut out, root, 0);
    out
}
