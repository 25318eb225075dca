//! Decodes the elements of arrays.

use half::f16;

/// The kind of number that an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecg::format) enum Number {
    /// A whole number in two's complement.
    Signed,
    /// A whole number without a sign.
    Unsigned,
    /// A floating-point number of IEEE 754.
    Float,
}

/// The type of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecg::format) struct Element {
    number: Number,
    bytes: usize,
    big_endian: bool,
}

impl Element {
    /// Makes the type of a kind of number of a number of bytes. Returns nothing if there is none.
    pub(in crate::ecg::format) fn new(number: Number, bytes: usize, big_endian: bool) -> Option<Self> {
        let exists = matches!((number, bytes), (Number::Float, 2) | (Number::Signed | Number::Unsigned, 1 | 2))
            || matches!(bytes, 4 | 8);
        exists.then_some(Self { number, bytes, big_endian })
    }

    /// Returns the number of bytes of one element.
    pub(in crate::ecg::format) fn bytes(self) -> usize {
        self.bytes
    }

    /// Whether elements are whole numbers by their type.
    pub(super) fn is_whole(self) -> bool {
        self.number != Number::Float
    }

    /// Returns the number that stands for a missing sample: the least of 16 bits, WFDB's mark, which converters of its
    /// records keep.
    pub(super) fn missing(self) -> Option<f64> {
        (self.number == Number::Signed && self.bytes == 2).then_some(f64::from(i16::MIN))
    }

    /// Decodes one element. Whole numbers of 64 bits are rounded to the nearest f64.
    #[inline]
    pub(super) fn number(self, element: &[u8]) -> f64 {
        // The usual types without a copy of a length that is not known before: this runs for every sample of a recording.
        match (self.number, self.big_endian, element) {
            (Number::Float, false, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Number::Signed, false, &[a, b]) => f64::from(i16::from_le_bytes([a, b])),
            _ => self.number_of_any_type(element),
        }
    }

    fn number_of_any_type(self, element: &[u8]) -> f64 {
        let mut bytes = [0; 8];
        let bits = &mut bytes[..self.bytes];
        bits.copy_from_slice(element);
        if self.big_endian {
            bits.reverse();
        }
        let bits = u64::from_le_bytes(bytes);
        // The element's bits are the lowest: the casts drop zeros alone.
        match (self.number, self.bytes) {
            (Number::Unsigned, _) => bits as f64,
            (Number::Signed, bytes) => {
                let unused = 64 - 8 * bytes as u32;
                ((bits << unused) as i64 >> unused) as f64
            }
            (Number::Float, 2) => f16::from_bits(bits as u16).to_f64(),
            (Number::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Number::Float, _) => f64::from_bits(bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(number: Number, little_endian: &[u8]) -> f64 {
        let element = |big_endian| Element::new(number, little_endian.len(), big_endian).unwrap();
        let reversed: Vec<u8> = little_endian.iter().rev().copied().collect();
        let value = element(false).number(little_endian);
        assert_eq!(element(true).number(&reversed).to_bits(), value.to_bits());
        value
    }

    #[test]
    fn every_type_is_decoded_in_both_byte_orders() {
        assert_eq!(both(Number::Signed, &(-5i8).to_le_bytes()), -5.0);
        assert_eq!(both(Number::Signed, &i16::MIN.to_le_bytes()), -32768.0);
        assert_eq!(both(Number::Signed, &(-70_000i32).to_le_bytes()), -70_000.0);
        assert_eq!(both(Number::Signed, &i64::MIN.to_le_bytes()), i64::MIN as f64);
        assert_eq!(both(Number::Unsigned, &[255]), 255.0);
        assert_eq!(both(Number::Unsigned, &65_535u16.to_le_bytes()), 65_535.0);
        assert_eq!(both(Number::Unsigned, &u32::MAX.to_le_bytes()), f64::from(u32::MAX));
        assert_eq!(both(Number::Unsigned, &u64::MAX.to_le_bytes()), u64::MAX as f64);
        assert_eq!(both(Number::Float, &f16::from_f32(-1.5).to_le_bytes()), -1.5);
        assert_eq!(both(Number::Float, &0.1f32.to_le_bytes()), f64::from(0.1f32));
        assert_eq!(both(Number::Float, &0.1f64.to_le_bytes()), 0.1);
    }

    #[test]
    fn there_is_no_type_of_other_sizes() {
        for (number, bytes) in [(Number::Float, 1), (Number::Float, 16), (Number::Signed, 3), (Number::Unsigned, 0)] {
            assert_eq!(Element::new(number, bytes, false), None, "{number:?} of {bytes} bytes");
        }
    }
}
