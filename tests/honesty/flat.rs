//! As much of a TFLite flatbuffer as it takes to find what is to be damaged, written from the schema.

use std::ops::Range;

/// A file and where its parts lie.
pub struct Model<'a>(pub &'a mut Vec<u8>);

/// Where a table or a vector lies.
type At = usize;

impl Model<'_> {
    fn u32(&self, at: At) -> usize {
        u32::from_le_bytes(self.0[at..at + 4].try_into().expect("four bytes")) as usize
    }

    fn u64(&self, at: At) -> usize {
        u64::from_le_bytes(self.0[at..at + 8].try_into().expect("eight bytes")) as usize
    }

    fn follow(&self, at: At) -> At {
        at + self.u32(at)
    }

    /// Where field `slot` of a table lies, if it is there.
    fn field(&self, table: At, slot: usize) -> Option<At> {
        let distance = i32::from_le_bytes(self.0[table..table + 4].try_into().expect("four bytes"));
        let vtable = (table as i64 - i64::from(distance)) as usize;
        let length = usize::from(u16::from_le_bytes([self.0[vtable], self.0[vtable + 1]]));
        let place = 4 + 2 * slot;
        if place + 2 > length {
            return None;
        }
        let offset = u16::from_le_bytes([self.0[vtable + place], self.0[vtable + place + 1]]);
        (offset != 0).then(|| table + usize::from(offset))
    }

    /// The tables of a vector in field `slot`.
    fn tables(&self, table: At, slot: usize) -> Vec<At> {
        let Some(vector) = self.field(table, slot).map(|at| self.follow(at)) else { return Vec::new() };
        (0..self.u32(vector)).map(|i| self.follow(vector + 4 + 4 * i)).collect()
    }

    /// Where the numbers of a vector in field `slot` lie.
    fn numbers(&self, table: At, slot: usize, size: usize) -> Range<usize> {
        let Some(vector) = self.field(table, slot).map(|at| self.follow(at)) else { return 0..0 };
        vector + 4..vector + 4 + size * self.u32(vector)
    }

    fn root(&self) -> At {
        self.follow(0)
    }

    /// Subgraph `index`; the first is a step of one token.
    pub fn subgraph(&self, index: usize) -> At {
        self.tables(self.root(), 2)[index]
    }

    fn name(&self, tensor: At) -> &str {
        let range = self.numbers(tensor, 3, 1);
        std::str::from_utf8(&self.0[range]).expect("a name")
    }

    /// The tensor called `name`, in whichever subgraph.
    fn tensor(&self, name: &str) -> At {
        let all = self.tables(self.root(), 2).into_iter().flat_map(|s| self.tables(s, 0));
        let found: Vec<At> = all.filter(|t| self.name(*t) == name).collect();
        *found.first().unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// The bytes of a tensor's buffer.
    fn bytes_of(&self, tensor: At) -> Range<usize> {
        let index = self.field(tensor, 2).map_or(0, |at| self.u32(at));
        let buffer = self.tables(self.root(), 4)[index];
        match (self.field(buffer, 1), self.field(buffer, 2)) {
            (Some(offset), Some(size)) => self.u64(offset)..self.u64(offset) + self.u64(size),
            _ => self.numbers(buffer, 0, 1),
        }
    }

    /// The bytes of the weights called `name`.
    pub fn weights(&self, name: &str) -> Range<usize> {
        self.bytes_of(self.tensor(name))
    }

    /// The scales of its rows.
    pub fn scales(&self, name: &str) -> Range<usize> {
        let quantization = self.field(self.tensor(name), 4).map(|at| self.follow(at)).expect("scales");
        self.numbers(quantization, 2, 4)
    }

    /// The operators of a subgraph with this builtin code.
    pub fn of(&self, subgraph: At, code: usize) -> Vec<At> {
        let codes: Vec<usize> =
            self.tables(self.root(), 1).iter().map(|c| self.field(*c, 3).map_or(0, |at| self.u32(at))).collect();
        let operators = self.tables(subgraph, 3).into_iter();
        operators.filter(|o| codes[self.field(*o, 0).map_or(0, |at| self.u32(at))] == code).collect()
    }

    /// Indices of an operator's inputs (slot 1) or outputs (slot 2).
    pub fn ports(&self, operator: At, slot: usize) -> Vec<usize> {
        self.numbers(operator, slot, 4).step_by(4).map(|at| self.u32(at)).collect()
    }

    /// Puts other indices in their place.
    pub fn rewire(&mut self, operator: At, slot: usize, ports: &[usize]) {
        let range = self.numbers(operator, slot, 4);
        assert_eq!(range.len(), 4 * ports.len());
        let bytes: Vec<u8> = ports.iter().flat_map(|p| (*p as u32).to_le_bytes()).collect();
        self.0[range].copy_from_slice(&bytes);
    }

    /// The bytes of tensor `index` of a subgraph.
    pub fn constant(&self, subgraph: At, index: usize) -> Range<usize> {
        self.bytes_of(self.tables(subgraph, 0)[index])
    }

    /// The name of tensor `index` of a subgraph.
    pub fn called(&self, subgraph: At, index: usize) -> &str {
        self.name(self.tables(subgraph, 0)[index])
    }

    /// The operator that gives tensor `index` of a subgraph.
    pub fn maker(&self, subgraph: At, index: usize) -> At {
        let mut all = self.tables(subgraph, 3).into_iter();
        all.find(|o| self.ports(*o, 2).contains(&index)).unwrap_or_else(|| panic!("nothing gives tensor {index}"))
    }

    /// What a subgraph is called.
    pub fn title(&self, index: usize) -> &str {
        let range = self.numbers(self.subgraph(index), 4, 1);
        std::str::from_utf8(&self.0[range]).expect("a name")
    }

    /// Where number `field` of an operator's options lies.
    pub fn option(&self, operator: At, field: usize) -> Range<usize> {
        let options = self.field(operator, 4).map(|at| self.follow(at)).expect("options");
        let at = self.field(options, field).expect("an option");
        at..at + 4
    }

    /// The number there.
    pub fn number(&self, at: &Range<usize>) -> usize {
        self.u32(at.start)
    }

    /// Puts an operator of builtin `code` in the place of another of a subgraph, with the same inputs and outputs, and one
    /// option, which is number `value` of the union's `kind`.
    pub fn replace(&mut self, subgraph: At, operator: At, code: usize, (kind, value): (u8, u32)) {
        let codes: Vec<usize> =
            self.tables(self.root(), 1).iter().map(|c| self.field(*c, 3).map_or(0, |at| self.u32(at))).collect();
        let index = codes.iter().position(|c| *c == code).expect("the file has such an operator");
        let [inputs, outputs] = [1, 2].map(|slot| self.ports(operator, slot));
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let base = self.0.len();
        // A vtable and its table; then the same for the options; then both vectors.
        let [table, options, first] = [base + 16, base + 48, base + 56];
        let second = first + 4 + 4 * inputs.len();
        let mut bytes: Vec<u8> = [14_u16, 24, 4, 8, 12, 16, 20, 0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let to = |target: usize, place: usize| (target - place) as u32;
        let words =
            [16, index as u32, to(first, table + 8), to(second, table + 12), u32::from(kind), to(options, table + 20)];
        bytes.extend(words.iter().flat_map(|v| v.to_le_bytes()));
        bytes.extend([6_u16, 8, 4, 0].iter().flat_map(|v| v.to_le_bytes()));
        bytes.extend([8, value].iter().flat_map(|v| v.to_le_bytes()));
        for ports in [&inputs, &outputs] {
            bytes.extend((ports.len() as u32).to_le_bytes());
            bytes.extend(ports.iter().flat_map(|p| (*p as u32).to_le_bytes()));
        }
        self.0.extend(bytes);
        let vector = self.field(subgraph, 3).map(|at| self.follow(at)).expect("operators");
        let at = self.tables(subgraph, 3).iter().position(|o| *o == operator).expect("one of them");
        let place = vector + 4 + 4 * at;
        self.0[place..place + 4].copy_from_slice(&to(table, place).to_le_bytes());
    }
}
