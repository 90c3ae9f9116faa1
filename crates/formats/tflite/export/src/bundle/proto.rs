/// A protobuf message as it is written.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn varint(&mut self, mut v: u64) {
        while v >= 128 {
            self.0.push(v as u8 | 128);
            v >>= 7;
        }
        self.0.push(v as u8);
    }

    pub(super) fn int(mut self, field: u64, v: u64) -> Self {
        self.varint(field << 3);
        self.varint(v);
        self
    }

    pub(super) fn bytes(mut self, field: u64, v: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(v.len() as u64);
        self.0.extend(v);
        self
    }

    pub(super) fn text(self, field: u64, v: &str) -> Self {
        self.bytes(field, v.as_bytes())
    }

    pub(super) fn message(self, field: u64, v: &Self) -> Self {
        self.bytes(field, &v.0)
    }

    /// Integers side by side.
    pub(super) fn packed(self, field: u64, v: &[u64]) -> Self {
        let mut all = Self::new();
        v.iter().for_each(|v| all.varint(*v));
        self.bytes(field, &all.0)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn bytes_by_hand() {
        let inner = Message::new().packed(1, &[1, 300]);
        let all = Message::new().int(5, 4096).message(2, &inner).text(7, "é");
        assert_eq!(all.into_bytes(), [0x28, 0x80, 0x20, 0x12, 5, 0x0a, 3, 1, 0xac, 2, 0x3a, 2, 0xc3, 0xa9]);
    }
}
