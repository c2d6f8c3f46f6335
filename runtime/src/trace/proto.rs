//! As much of protobuf's wire format as a trace needs: varints, fixed 64-bit numbers, and fields with a
//! length (<https://protobuf.dev/programming-guides/encoding/>).

/// A message that is being written. Nested ones are written to a buffer of their own, and then put in.
#[derive(Debug, Default)]
pub(crate) struct Message(Vec<u8>);

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;

/// Writes a number, seven bits at a time, the lowest first.
pub(crate) fn varint(to: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        to.push(n as u8 | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

impl Message {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn tag(&mut self, field: u32, kind: u32) {
        varint(&mut self.0, u64::from(field << 3 | kind));
    }

    /// A number, an enum or a bool.
    pub(crate) fn number(&mut self, field: u32, n: u64) {
        self.tag(field, VARINT);
        varint(&mut self.0, n);
    }

    pub(crate) fn fixed64(&mut self, field: u32, n: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    /// Text, bytes, or another message.
    pub(crate) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, LENGTH);
        varint(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn message(&mut self, field: u32, message: &Message) {
        self.bytes(field, &message.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification_come_out() {
        let mut m = Message::default();
        m.number(1, 150);
        m.bytes(2, b"testing");
        assert_eq!(m.as_bytes(), b"\x08\x96\x01\x12\x07testing");
        let mut outer = Message::default();
        outer.message(3, &m);
        outer.fixed64(47, 1);
        assert_eq!(
            outer.as_bytes(),
            b"\x1a\x0c\x08\x96\x01\x12\x07testing\xf9\x02\x01\0\0\0\0\0\0\0"
        );
        m.clear();
        m.number(8, u64::MAX);
        assert_eq!(
            m.as_bytes(),
            b"\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
        );
    }
}
