//! The protobuf wire format, as much of it as an ONNX file needs.

/// A message under construction: fields are appended in the order of the calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

const VARINT: u64 = 0;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Seven bits a byte, lowest first; the top bit says that more follow.
    fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.0.push((v & 0x7f) as u8 | 0x80);
            v >>= 7;
        }
        self.0.push(v as u8);
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    /// An `int32`, `int64` or enum field; negative numbers take ten bytes.
    #[must_use]
    pub(crate) fn int(mut self, field: u64, v: i64) -> Self {
        self.key(field, VARINT);
        self.varint(v as u64);
        self
    }

    /// A `float` field.
    #[must_use]
    pub(crate) fn float(mut self, field: u64, v: f32) -> Self {
        self.key(field, FIXED32);
        self.0.extend(v.to_le_bytes());
        self
    }

    /// A `bytes` field.
    #[must_use]
    pub(crate) fn bytes(mut self, field: u64, v: &[u8]) -> Self {
        self.key(field, LENGTH);
        self.varint(v.len() as u64);
        self.0.extend(v);
        self
    }

    /// A `string` field.
    #[must_use]
    pub(crate) fn text(self, field: u64, v: &str) -> Self {
        self.bytes(field, v.as_bytes())
    }

    /// A field that is a message.
    #[must_use]
    pub(crate) fn message(self, field: u64, v: &Self) -> Self {
        self.bytes(field, &v.0)
    }

    /// A repeated message field.
    #[must_use]
    pub(crate) fn messages(self, field: u64, all: &[Self]) -> Self {
        all.iter().fold(self, |m, v| m.message(field, v))
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn fields_are_encoded_as_the_specification_shows() {
        // The examples of the protocol's own page on encoding.
        assert_eq!(Message::new().int(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().text(2, "testing").into_bytes(), b"\x12\x07testing");
        let inner = Message::new().int(1, 150);
        assert_eq!(Message::new().message(3, &inner).into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::new().int(1, -2).into_bytes(), b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        assert_eq!(Message::new().float(2, 1.0).into_bytes(), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(Message::new().int(20, 1).into_bytes(), [0xa0, 0x01, 0x01]);
    }
}
