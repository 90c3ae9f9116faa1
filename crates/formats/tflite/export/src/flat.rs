//! Flatbuffers, laid out from the root on: whatever refers to something lies before it, so an object made once may be
//! referred to from many places. Parts whose bytes come later (weights, scales) are left open; everything else is known
//! when the layout is, and nothing of the open parts is ever held in memory.

use std::collections::HashMap;

/// An object of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ref(usize);

/// A field of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    Byte(u8),
    Word(u32),
    /// A 64-bit number that is known only when the layout is: index into the list that [`Flat::encode`] takes.
    Late(usize),
    Ref(Ref),
}

impl Value {
    pub(crate) fn int(v: i32) -> Self {
        Self::Word(v.cast_unsigned())
    }

    pub(crate) fn float(v: f32) -> Self {
        Self::Word(v.to_bits())
    }

    pub(crate) fn bool(v: bool) -> Self {
        Self::Byte(v.into())
    }

    fn size(self) -> usize {
        match self {
            Self::Byte(_) => 1,
            Self::Word(_) | Self::Ref(_) => 4,
            Self::Late(_) => 8,
        }
    }
}

#[derive(Default)]
struct Object {
    bytes: Vec<u8>,
    /// Places of offsets and what they point to.
    links: Vec<(usize, Ref)>,
    /// Places of 64-bit numbers and which.
    late: Vec<(usize, usize)>,
    /// For tables.
    vtable: Option<usize>,
    /// Bytes left open at the end.
    open: u64,
    /// `lead` bytes into the object lies a multiple of `align`.
    align: u64,
    lead: u64,
}

/// A buffer under construction.
#[derive(Default)]
pub(crate) struct Flat {
    objects: Vec<Object>,
    /// Vectors without references, to be shared.
    leaves: HashMap<(u64, Vec<u8>), Ref>,
    vtables: Vec<Vec<u8>>,
    of_shape: HashMap<Vec<u8>, usize>,
}

/// Where every object lies.
pub(crate) struct Layout {
    objects: Vec<u64>,
    vtables: Vec<u64>,
    /// Bytes of the whole.
    pub(crate) size: u64,
    open: Vec<u64>,
}

impl Layout {
    /// Where the open part of `object` begins.
    pub(crate) fn open(&self, object: Ref) -> u64 {
        self.open.get(object.0).copied().unwrap_or_default()
    }
}

/// Offset of the root and the identifier.
const HEADER: u64 = 8;

impl Flat {
    fn push(&mut self, object: Object) -> Ref {
        self.objects.push(object);
        Ref(self.objects.len() - 1)
    }

    /// A table with these slots set.
    pub(crate) fn table(&mut self, fields: &[(u16, Value)]) -> Ref {
        let mut places: Vec<(u16, u16)> = Vec::new();
        let mut object = Object { bytes: vec![0; 4], align: 4, ..Object::default() };
        for size in [4, 8, 1] {
            for (slot, value) in fields.iter().filter(|(_, v)| v.size() == size) {
                let at = object.bytes.len().next_multiple_of(size);
                object.bytes.resize(at, 0);
                object.align = object.align.max(size as u64);
                match *value {
                    Value::Byte(v) => object.bytes.push(v),
                    Value::Word(v) => object.bytes.extend(v.to_le_bytes()),
                    Value::Late(which) => {
                        object.late.push((at, which));
                        object.bytes.extend([0; 8]);
                    }
                    Value::Ref(to) => {
                        object.links.push((at, to));
                        object.bytes.extend([0; 4]);
                    }
                }
                places.push((*slot, at as u16));
            }
        }
        let slots = places.iter().map(|(slot, _)| slot + 1).max().unwrap_or_default();
        let mut offsets = vec![0u16; usize::from(slots) + 2];
        let lengths = [offsets.len() * 2, object.bytes.len()].map(|n| n as u16);
        let filled = (0u16..).zip(lengths).chain(places.iter().map(|(slot, at)| (slot + 2, *at)));
        for (place, value) in filled {
            if let Some(offset) = offsets.get_mut(usize::from(place)) {
                *offset = value;
            }
        }
        let vtable: Vec<u8> = offsets.iter().flat_map(|v| v.to_le_bytes()).collect();
        let next = self.vtables.len();
        let index = *self.of_shape.entry(vtable.clone()).or_insert(next);
        if index == next {
            self.vtables.push(vtable);
        }
        object.vtable = Some(index);
        self.push(object)
    }

    /// A vector of `count` elements without references, the first on a multiple of `align`; shared with its equals.
    fn leaf(&mut self, count: usize, bytes: &[u8], end: &[u8], align: u64) -> Ref {
        let all: Vec<u8> = (count as u32).to_le_bytes().iter().chain(bytes).chain(end).copied().collect();
        if let Some(found) = self.leaves.get(&(align, all.clone())) {
            return *found;
        }
        let made = self.push(Object { bytes: all.clone(), align: align.max(4), lead: 4, ..Object::default() });
        self.leaves.insert((align, all), made);
        made
    }

    pub(crate) fn text(&mut self, text: &str) -> Ref {
        self.leaf(text.len(), text.as_bytes(), &[0], 4)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8], align: u64) -> Ref {
        self.leaf(bytes.len(), bytes, &[], align)
    }

    pub(crate) fn ints(&mut self, v: &[i32]) -> Ref {
        let bytes: Vec<u8> = v.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.leaf(v.len(), &bytes, &[], 4)
    }

    /// A vector of `count` 64-bit zeros.
    pub(crate) fn zeros(&mut self, count: usize) -> Ref {
        self.leaf(count, &vec![0; count * 8], &[], 8)
    }

    /// A vector of references.
    pub(crate) fn refs(&mut self, refs: &[Ref]) -> Ref {
        let mut bytes = (refs.len() as u32).to_le_bytes().to_vec();
        bytes.resize(4 + 4 * refs.len(), 0);
        let links = refs.iter().enumerate().map(|(i, to)| (4 + 4 * i, *to)).collect();
        self.push(Object { bytes, links, align: 4, lead: 0, ..Object::default() })
    }

    /// A vector of `count` elements of `size` bytes whose bytes come later, the first on a multiple of `align`.
    pub(crate) fn open(&mut self, count: usize, size: usize, align: u64) -> Ref {
        let open = count as u64 * size as u64;
        let bytes = (count as u32).to_le_bytes().to_vec();
        self.push(Object { bytes, open, align: align.max(4), lead: 4, ..Object::default() })
    }

    /// Fixes where everything lies. The object made last is the root.
    pub(crate) fn layout(&self) -> Layout {
        let mut at = HEADER;
        let mut vtables = Vec::with_capacity(self.vtables.len());
        for vtable in &self.vtables {
            vtables.push(at);
            at += vtable.len() as u64;
        }
        let mut objects = vec![0; self.objects.len()];
        let mut open = vec![0; self.objects.len()];
        let places = objects.iter_mut().zip(&mut open);
        for (object, (start, hole)) in self.objects.iter().zip(places).rev() {
            *start = (at + object.lead).next_multiple_of(object.align.max(1)) - object.lead;
            *hole = *start + object.bytes.len() as u64;
            at = *hole + object.open;
        }
        // The end is whole too, for what may be appended.
        Layout { objects, vtables, size: at.next_multiple_of(16), open }
    }

    /// The known bytes as runs, each with its place; what is missing between them is open.
    pub(crate) fn encode(&self, layout: &Layout, identifier: [u8; 4], late: &[u64]) -> Vec<(u64, Vec<u8>)> {
        let root = layout.objects.last().copied().unwrap_or_default();
        let mut header = (root as u32).to_le_bytes().to_vec();
        header.extend(identifier);
        let mut runs = Runs { done: Vec::new(), start: 0, bytes: header };
        for vtable in &self.vtables {
            runs.bytes.extend(vtable);
        }
        for (object, start) in self.objects.iter().zip(&layout.objects).rev() {
            runs.fill_to(*start);
            let mut bytes = object.bytes.clone();
            if let Some(vtable) = object.vtable.and_then(|v| layout.vtables.get(v)) {
                // Vtables lie in front, so the distance is positive.
                put(&mut bytes, 0, &((start - vtable) as i32).to_le_bytes());
            }
            for (at, to) in &object.links {
                let target = layout.objects.get(to.0).copied().unwrap_or_default();
                let distance = target.wrapping_sub(start + *at as u64) as u32;
                put(&mut bytes, *at, &distance.to_le_bytes());
            }
            for (at, which) in &object.late {
                put(&mut bytes, *at, &late.get(*which).copied().unwrap_or_default().to_le_bytes());
            }
            runs.bytes.extend(bytes);
            if object.open > 0 {
                runs.skip(object.open);
            }
        }
        runs.fill_to(layout.size);
        runs.skip(0);
        runs.done
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Bytes with open parts between them.
struct Runs {
    done: Vec<(u64, Vec<u8>)>,
    start: u64,
    bytes: Vec<u8>,
}

impl Runs {
    fn fill_to(&mut self, place: u64) {
        self.bytes.resize((place - self.start) as usize, 0);
    }

    /// Ends a run and begins another one after `open` bytes.
    fn skip(&mut self, open: u64) {
        let next = self.start + self.bytes.len() as u64 + open;
        self.done.push((self.start, std::mem::take(&mut self.bytes)));
        self.start = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn u32_at(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    /// Where field `slot` of the table at `table` lies.
    fn field(bytes: &[u8], table: usize, slot: usize) -> usize {
        let vtable = table - u32_at(bytes, table);
        let offset = vtable + 4 + 2 * slot;
        table + usize::from(u16::from_le_bytes([bytes[offset], bytes[offset + 1]]))
    }

    #[test]
    fn what_is_put_in_is_found_again() {
        let mut flat = Flat::default();
        let name = flat.text("name");
        let hole = flat.open(3, 4, 64);
        let fields = [(0, Value::Ref(name)), (2, Value::Byte(7)), (3, Value::Late(0)), (1, Value::Ref(hole))];
        let first = flat.table(&fields);
        let second = flat.table(&fields);
        let all = flat.refs(&[first, second]);
        flat.table(&[(4, Value::Ref(all)), (5, Value::int(-2))]);
        assert_eq!(flat.text("name"), name);

        let layout = flat.layout();
        let runs = flat.encode(&layout, *b"TEST", &[1 << 40]);
        assert_eq!(layout.open(hole) % 64, 0);
        assert_eq!(runs.len(), 2, "one open part");
        assert_eq!(runs[0].0 + runs[0].1.len() as u64, layout.open(hole));
        assert_eq!(runs[1].0, layout.open(hole) + 12);

        let mut bytes = vec![0xaa; layout.size as usize];
        for (at, run) in &runs {
            bytes[*at as usize..*at as usize + run.len()].copy_from_slice(run);
        }
        assert_eq!(&bytes[4..8], b"TEST");
        let root = u32_at(&bytes, 0);
        assert_eq!(u32_at(&bytes, field(&bytes, root, 5)) as u32, (-2i32).cast_unsigned());
        let vector = field(&bytes, root, 4);
        let vector = vector + u32_at(&bytes, vector);
        assert_eq!(u32_at(&bytes, vector), 2);
        for element in [vector + 4, vector + 8] {
            let table = element + u32_at(&bytes, element);
            assert_eq!(bytes[field(&bytes, table, 2)], 7);
            let wide = field(&bytes, table, 3);
            assert_eq!((wide % 8, &bytes[wide..wide + 8]), (0, &(1u64 << 40).to_le_bytes()[..]));
            let text = field(&bytes, table, 0);
            let text = text + u32_at(&bytes, text);
            assert_eq!(&bytes[text + 4..text + 9], b"name\0");
            let data = field(&bytes, table, 1);
            assert_eq!((data + u32_at(&bytes, data) + 4) as u64, layout.open(hole));
        }
    }
}
