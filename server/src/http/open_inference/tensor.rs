//! Tensors: their data types, shapes, and numbers.

use half::f16;
use serde_json::Value;

use super::INPUT;
use crate::http::{
    failure::{Failure, Outcome},
    numbers_json::{Numbers, RESERVED},
};

/// The data types that the input may have. The network computes in 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datatype {
    Fp16,
    Fp32,
    Fp64,
}

impl Datatype {
    /// Returns the data type of a name of the protocol.
    ///
    /// # Errors
    /// 422: the input cannot have it.
    pub fn of(name: &Value) -> Outcome<Self> {
        match name.as_str() {
            Some("FP16") => Ok(Self::Fp16),
            Some("FP32") => Ok(Self::Fp32),
            Some("FP64") => Ok(Self::Fp64),
            _ => {
                let cause = format!("the input '{INPUT}' has another datatype than the model");
                Err(Failure::invalid(cause, "give FP32, FP64, or FP16 as binary data"))
            }
        }
    }

    /// Returns the bytes of a number.
    fn size(self) -> usize {
        match self {
            Self::Fp16 => 2,
            Self::Fp32 => 4,
            Self::Fp64 => 8,
        }
    }
}

/// Returns the shape of the input.
///
/// # Errors
/// 422: it is none of three dimensions, or one of them is empty.
pub fn shape(value: &Value) -> Outcome<[usize; 3]> {
    let sides = value.as_array().map(|sides| sides.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>());
    let sides: Option<[u64; 3]> = sides.flatten().and_then(|sides| sides.try_into().ok());
    let sides = sides.and_then(|[a, b, c]| Some([a.try_into().ok()?, b.try_into().ok()?, c.try_into().ok()?]));
    let count = |sides: &[usize; 3]| sides.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    sides.filter(|sides| count(sides).is_some_and(|count| count > 0)).ok_or_else(|| {
        let cause = format!("the shape of the input '{INPUT}' is not that of the model");
        Failure::invalid(cause, "give [batch, leads, samples], each at least 1")
    })
}

/// Checks the numbers of JSON against the shape of their tensor.
///
/// # Errors
/// 422: there are more or fewer, or they are nested in another way.
pub fn from_json(numbers: Numbers, shape: [usize; 3]) -> Outcome<Numbers> {
    let count = numbers.values.len() - RESERVED;
    let agrees = if numbers.batched { numbers.shape == shape } else { count == shape.iter().product::<usize>() };
    if agrees {
        return Ok(Numbers { shape, batched: true, ..numbers });
    }
    let found = if numbers.batched { format!("data of shape {:?}", numbers.shape) } else { format!("{count} numbers") };
    Err(Failure::invalid(format!("{found} for an input of shape {shape:?}"), "let shape and data agree"))
}

/// Decodes binary data: little-endian numbers in row-major order.
///
/// # Errors
/// 422: there are more or fewer bytes than the shape has, or the place of a number that is not finite.
pub fn from_bytes(bytes: &[u8], datatype: Datatype, shape: [usize; 3]) -> Outcome<Numbers> {
    let count = shape.iter().product::<usize>();
    let expected = count.checked_mul(datatype.size());
    if expected != Some(bytes.len()) {
        let cause = format!("{} bytes of binary data for an input of shape {shape:?}", bytes.len());
        return Err(Failure::invalid(cause, format!("give {} bytes per number", datatype.size())));
    }
    let mut values = Vec::with_capacity(RESERVED + count);
    values.resize(RESERVED, 0.0);
    match datatype {
        Datatype::Fp16 => values.extend(words(bytes).map(|word| f16::from_le_bytes(word).to_f32())),
        Datatype::Fp32 => values.extend(words(bytes).map(f32::from_le_bytes)),
        Datatype::Fp64 => values.extend(words(bytes).map(|word| f64::from_le_bytes(word) as f32)),
    }
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let at = at - RESERVED;
        let [_, rows, columns] = shape;
        let place = format!("{INPUT}[{}][{}][{}]", at / columns / rows, at / columns % rows, at % columns);
        let remedy = "give finite numbers: cut the recording there or interpolate the gap";
        return Err(Failure::invalid(format!("{place} is not finite in 32 bits"), remedy));
    }
    Ok(Numbers { shape, batched: true, values })
}

fn words<const SIZE: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; SIZE]> + '_ {
    bytes.as_chunks::<SIZE>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_datatype_gives_the_same_numbers() {
        let expected = [0.5f32, -2.0, 0.0, 1024.0];
        let shape = [1, 2, 2];
        let wide: Vec<u8> = expected.iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
        let usual: Vec<u8> = expected.iter().flat_map(|value| value.to_le_bytes()).collect();
        let half: Vec<u8> = expected.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        for (datatype, bytes) in [(Datatype::Fp64, &wide), (Datatype::Fp32, &usual), (Datatype::Fp16, &half)] {
            let numbers = from_bytes(bytes, datatype, shape).unwrap();
            assert_eq!(numbers.values[RESERVED..], expected, "{datatype:?}");
            assert!(from_bytes(&bytes[1..], datatype, shape).unwrap_err().text().contains("bytes of binary data"));
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_named_by_its_place() {
        let mut values = [0f64; 12];
        for bad in [f64::NAN, f64::INFINITY, 1e39] {
            values[7] = bad;
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let text = from_bytes(&bytes, Datatype::Fp64, [2, 3, 2]).unwrap_err().text();
            assert!(text.contains("ecg[1][0][1] is not finite"), "{text}");
        }
    }

    #[test]
    fn shapes_have_three_sides_that_are_not_empty() {
        assert_eq!(shape(&json!([2, 12, 1000])).unwrap(), [2, 12, 1000]);
        for bad in [
            json!([12, 1000]),
            json!([1, 12, 0]),
            json!([1, 12, -1]),
            json!([1, 12, 10.5]),
            json!([u64::MAX, 12, 1000]),
            json!("1"),
            json!([[1], 12, 1000]),
        ] {
            assert!(shape(&bad).unwrap_err().text().contains("[batch, leads, samples]"), "{bad}");
        }
    }
}
