//! Protocol buffers as bytes: a message is a run of numbered fields. Nothing is copied, nothing is allocated.

use std::ops::Range;

/// What is wrong with the bytes, and where in the file.
#[derive(Debug)]
pub(crate) struct WireFault {
    pub at: usize,
    pub why: String,
}

/// The value of one field.
pub(crate) enum Field<'a> {
    Varint(u64),
    /// Of no field that matters here.
    Fixed64,
    Fixed32([u8; 4]),
    /// A string, a sub-message or packed numbers.
    Block(Message<'a>),
}

/// The bytes of a message that are still to be read.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    bytes: &'a [u8],
    /// Where `bytes` begins in the file.
    at: usize,
}

impl<'a> Message<'a> {
    pub fn new(file: &'a [u8]) -> Self {
        Self { bytes: file, at: 0 }
    }

    /// Where in the file the bytes are that were not read yet.
    pub fn range(&self) -> Range<usize> {
        self.at..self.at + self.bytes.len()
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn text(&self) -> Result<&'a str, WireFault> {
        std::str::from_utf8(self.bytes).map_err(|_| self.fault("a name that is not UTF-8"))
    }

    pub fn fault(&self, why: impl Into<String>) -> WireFault {
        WireFault { at: self.at, why: why.into() }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], WireFault> {
        let (head, rest) = self
            .bytes
            .split_at_checked(n)
            .ok_or_else(|| self.fault(format!("a field of {n} bytes where {} are left", self.bytes.len())))?;
        self.bytes = rest;
        self.at += n;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireFault> {
        let fault = self.fault("the file ends inside a number");
        self.take(N).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(fault)
    }

    /// A number of seven bits a byte, lowest first.
    pub fn varint(&mut self) -> Result<u64, WireFault> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.fault("a number longer than 64 bits"))
    }

    /// The next field and its number, or `None` at the end of the message.
    pub fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, WireFault> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => self.take(8).map(|_| Field::Fixed64)?,
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| self.fault("a length beyond memory"))?;
                let at = self.at;
                Field::Block(Message { bytes: self.take(length)?, at })
            }
            5 => Field::Fixed32(self.array()?),
            other => return Err(self.fault(format!("wire type {other}"))),
        };
        if key >> 3 == 0 {
            return Err(self.fault("field number 0"));
        }
        Ok(Some((key >> 3, field)))
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_wire_type() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1D, 0, 0, 0x80, 0x3F, 0x21, 1, 0, 0, 0, 0, 0, 0, 0];
        let mut message = Message::new(&bytes);
        assert!(matches!(message.next(), Ok(Some((1, Field::Varint(150))))));
        let Ok(Some((2, Field::Block(block)))) = message.next() else { panic!("a block") };
        assert_eq!((block.text().unwrap(), block.range()), ("hi", 5..7));
        assert!(matches!(message.next(), Ok(Some((3, Field::Fixed32(b)))) if f32::from_le_bytes(b) == 1.0));
        assert!(matches!(message.next(), Ok(Some((4, Field::Fixed64)))));
        assert!(matches!(message.next(), Ok(None)));
    }

    #[test]
    fn what_is_cut_or_too_long_is_refused() {
        let cases: [(&[u8], &str); 7] = [
            (&[0x0A, 5, 1], "5 bytes where 1"),
            (&[0x08], "ends inside"),
            (&[0x08, 0xFF], "ends inside"),
            (&[0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02], "64 bits"),
            (&[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], "where 0 are left"),
            (&[0x0B], "wire type 3"),
            (&[0x00, 0x00], "field number 0"),
        ];
        for (bytes, why) in cases {
            let Err(fault) = Message::new(bytes).next() else { panic!("{bytes:?} passed") };
            assert!(fault.why.contains(why), "{bytes:?}: {}", fault.why);
        }
    }
}
