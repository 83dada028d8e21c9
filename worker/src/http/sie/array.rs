//! Numbers of an answer in the type that was asked for: as lists in JSON, and in msgpack as the bytes of a `NumPy` array.
//!
//! msgpack has no arrays of numbers. SIE's clients read maps as the Python package msgpack-numpy writes them.

use half::f16;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};

/// The type of the numbers of an answer, as a request names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Dtype {
    /// 32-bit floats, which is the default.
    #[default]
    Float32,
    /// 16-bit floats.
    Float16,
    /// -127 to 127, where 127 stands for the largest number of its vector.
    Int8,
    /// 0 to 255, from the least number of its vector to the largest.
    Uint8,
    /// A bit for each number: 1 if it is above 0. Eight to a byte, the first in its highest bit.
    Binary,
}

impl TryFrom<String> for Dtype {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "float32" => Ok(Self::Float32),
            "float16" => Ok(Self::Float16),
            "int8" => Ok(Self::Int8),
            "uint8" => Ok(Self::Uint8),
            "binary" | "ubinary" => Ok(Self::Binary),
            _ => Err("expected `float32`, `float16`, `int8`, `uint8`, `binary` or `ubinary`"),
        }
    }
}

impl Dtype {
    /// The name in answers.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::Int8 => "int8",
            Self::Uint8 => "uint8",
            Self::Binary => "binary",
        }
    }

    /// The type of weights of words: a few of them do not make a scale, so they stay floats.
    pub(super) const fn of_weights(self) -> Self {
        match self {
            Self::Float16 => Self::Float16,
            _ => Self::Float32,
        }
    }
}

/// A vector, or vectors of equal length.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    values: Values,
    /// The number of vectors, where there may be several, and of values in each.
    shape: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Values {
    F32(Vec<f32>),
    F16(Vec<f16>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I32(Vec<i32>),
}

impl Array {
    /// One vector. `None` if a number is too large for the type.
    pub(super) fn vector(values: &[f32], dtype: Dtype) -> Option<Self> {
        let values = Values::of([values], dtype)?;
        Some(Self { shape: vec![values.len()], values })
    }

    /// Several vectors. `None` if a number is too large for the type.
    pub(super) fn vectors(rows: &[Vec<f32>], dtype: Dtype) -> Option<Self> {
        let values = Values::of(rows.iter().map(Vec::as_slice), dtype)?;
        Some(Self { shape: vec![rows.len(), values.len() / rows.len().max(1)], values })
    }

    /// Numbers of words in the vocabulary.
    pub(super) fn indices(words: impl Iterator<Item = u32>) -> Self {
        let values: Vec<i32> = words.map(|word| word as i32).collect();
        Self { shape: vec![values.len()], values: Values::I32(values) }
    }
}

impl Values {
    fn of<'a>(rows: impl IntoIterator<Item = &'a [f32]>, dtype: Dtype) -> Option<Self> {
        let rows = rows.into_iter();
        Some(match dtype {
            Dtype::Float32 => Self::F32(rows.flatten().copied().collect()),
            Dtype::Float16 => {
                let halves = rows.flatten().map(|value| Some(f16::from_f32(*value)).filter(|half| half.is_finite()));
                Self::F16(halves.collect::<Option<_>>()?)
            }
            Dtype::Int8 => Self::I8(rows.flat_map(signed).collect()),
            Dtype::Uint8 => Self::U8(rows.flat_map(unsigned).collect()),
            Dtype::Binary => Self::U8(rows.flat_map(bits).collect()),
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I32(values) => values.len(),
        }
    }

    /// `NumPy`'s name of the type, and the numbers in it, each with its lowest byte first.
    fn raw(&self) -> (&'static str, Vec<u8>) {
        match self {
            Self::F32(values) => ("<f4", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Self::F16(values) => ("<f2", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Self::I8(values) => ("|i1", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Self::U8(values) => ("|u1", values.clone()),
            Self::I32(values) => ("<i4", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        }
    }
}

fn signed(row: &[f32]) -> Vec<i8> {
    let largest = row.iter().fold(0_f32, |largest, value| largest.max(value.abs()));
    let scale = if largest == 0.0 { 1.0 } else { largest };
    row.iter().map(|value| (value / scale * 127.0).round_ties_even() as i8).collect()
}

fn unsigned(row: &[f32]) -> Vec<u8> {
    let least = row.iter().copied().fold(f32::INFINITY, f32::min);
    let range = row.iter().copied().fold(f32::NEG_INFINITY, f32::max) - least;
    let range = if range == 0.0 { 1.0 } else { range };
    row.iter().map(|value| ((value - least) / range * 255.0).round_ties_even() as u8).collect()
}

fn bits(row: &[f32]) -> Vec<u8> {
    let byte = |eight: &[f32]| {
        let set = eight.iter().enumerate().map(|(place, value)| u8::from(*value > 0.0) << (7 - place));
        set.fold(0, |byte, bit| byte | bit)
    };
    row.chunks(8).map(byte).collect()
}

impl Serialize for Array {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return match &self.values {
                Values::F32(values) => lists(values, &self.shape, to),
                Values::F16(values) => {
                    lists(&values.iter().map(|half| half.to_f32()).collect::<Vec<_>>(), &self.shape, to)
                }
                Values::I8(values) => lists(values, &self.shape, to),
                Values::U8(values) => lists(values, &self.shape, to),
                Values::I32(values) => lists(values, &self.shape, to),
            };
        }
        let (name, bytes) = self.values.raw();
        let mut map = to.serialize_map(Some(5))?;
        map.serialize_entry(&Bytes(b"nd"), &true)?;
        map.serialize_entry(&Bytes(b"type"), name)?;
        map.serialize_entry(&Bytes(b"kind"), &Bytes(b""))?;
        map.serialize_entry(&Bytes(b"shape"), &self.shape)?;
        map.serialize_entry(&Bytes(b"data"), &Bytes(&bytes))?;
        map.end()
    }
}

/// Writes a list of numbers, or a list of lists.
fn lists<S: Serializer, T: Serialize>(values: &[T], shape: &[usize], to: S) -> Result<S::Ok, S::Error> {
    let [rows, length] = shape else { return values.serialize(to) };
    let mut list = to.serialize_seq(Some(*rows))?;
    for row in 0..*rows {
        list.serialize_element(&values[row * length..(row + 1) * length])?;
    }
    list.end()
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &[f32] = &[0.5, -1.0, 0.25, 0.0, 1e-3, -0.0, 0.75, 0.1, 0.2];

    #[test]
    fn numbers_are_scaled_as_numpy_scales_them() {
        // np.round(row / max(abs(row)) * 127), np.round((row - min) / (max - min) * 255), np.packbits(row > 0).
        assert_eq!(signed(ROW), [64, -127, 32, 0, 0, 0, 95, 13, 25]);
        assert_eq!(unsigned(ROW), [219, 0, 182, 146, 146, 146, 255, 160, 175]);
        assert_eq!(bits(ROW), [0b1010_1011, 0b1000_0000]);
        assert_eq!((signed(&[0.0, 0.0]), unsigned(&[2.0, 2.0])), (vec![0, 0], vec![0, 0]));
    }

    #[test]
    fn a_number_that_16_bits_can_not_hold_is_noticed() {
        assert!(Array::vector(&[65504.0], Dtype::Float16).is_some());
        assert!(Array::vector(&[65536.0], Dtype::Float16).is_none());
    }

    #[test]
    fn json_has_lists_and_msgpack_has_bytes() {
        let array = Array::vectors(&[vec![1.0, 2.0], vec![3.0, 4.0]], Dtype::Float16).unwrap();
        assert_eq!(serde_json::to_string(&array).unwrap(), "[[1.0,2.0],[3.0,4.0]]");
        // What the SDK of SIE packs for np.array([[1, 2], [3, 4]], "<f2").
        let packed = b"\x85\xc4\x02nd\xc3\xc4\x04type\xa3<f2\xc4\x04kind\xc4\x00\xc4\x05shape\x92\x02\x02\xc4\x04data\xc4\x08\x00<\x00@\x00B\x00D";
        assert_eq!(rmp_serde::to_vec_named(&array).unwrap(), packed);
        assert_eq!(serde_json::to_string(&Array::vectors(&[], Dtype::Float32).unwrap()).unwrap(), "[]");
        assert_eq!(serde_json::to_string(&Array::indices([7, 9].into_iter())).unwrap(), "[7,9]");
    }
}
