//! A fault that only some requests meet: one row of a table in the weights is made unusable.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Overwrites one row of a tensor in a safetensors file with numbers that are not numbers.
pub fn poison_row(file: &mut [u8], tensor: &str, row: usize) -> Result<()> {
    let range = row_range(file, tensor, row)?;
    // All bits set is NaN in every floating-point type of the format.
    file.get_mut(range).context("the file is shorter than its header says")?.fill(0xFF);
    Ok(())
}

/// The bytes of one row of a tensor.
pub fn row<'a>(file: &'a [u8], tensor: &str, row: usize) -> Result<&'a [u8]> {
    file.get(row_range(file, tensor, row)?).context("the file is shorter than its header says")
}

/// Number of a token in a tokenizer.json with a vocabulary of whole words.
pub fn token_id(tokenizer: &[u8], token: &str) -> Result<usize> {
    let tokenizer: Value = serde_json::from_slice(tokenizer).context("tokenizer.json is not JSON")?;
    let id = tokenizer["model"]["vocab"][token].as_u64();
    Ok(usize::try_from(id.with_context(|| format!("{token:?} is no token of its own"))?)?)
}

fn row_range(file: &[u8], tensor: &str, row: usize) -> Result<Range<usize>> {
    let (length, rest) = file.split_first_chunk::<8>().context("shorter than a header")?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let header: Value = serde_json::from_slice(rest.get(..length).context("the header is cut off")?)?;
    let info = &header[tensor];
    let numbers = |field: &str| -> Result<Vec<usize>> {
        let list = info[field].as_array().with_context(|| format!("no tensor {tensor}"))?;
        list.iter().map(|n| Ok(usize::try_from(n.as_u64().context("not a number")?)?)).collect()
    };
    let (offsets, shape) = (numbers("data_offsets")?, numbers("shape")?);
    let (&[start, end], &[rows, _]) = (offsets.as_slice(), shape.as_slice()) else {
        anyhow::bail!("{tensor} is no table: {info}");
    };
    ensure!(row < rows && start <= end, "{tensor} has {rows} rows, not row {row}");
    let width = (end - start) / rows;
    let begin = 8 + length + start + row * width;
    Ok(begin..begin + width)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let header = r#"{"a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[3,2],"data_offsets":[4,28]}}"#;
        let mut file = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend([0; 28]);
        file
    }

    #[test]
    fn only_the_row_is_poisoned() {
        let (before, mut after) = (file(), file());
        poison_row(&mut after, "b", 1).unwrap();
        let data = before.len() - 28;
        let changed: Vec<_> = (0..after.len()).filter(|i| after[*i] != before[*i]).map(|i| i - data).collect();
        assert_eq!(changed, (12..20).collect::<Vec<_>>());
        let value = f32::from_le_bytes(after[data + 12..data + 16].try_into().unwrap());
        assert!(value.is_nan());
    }

    #[test]
    fn a_row_or_a_tensor_that_is_not_there_is_an_error() {
        assert!(poison_row(&mut file(), "b", 3).is_err());
        assert!(poison_row(&mut file(), "c", 0).is_err());
        assert!(poison_row(&mut file()[..20], "a", 0).is_err());
    }

    #[test]
    fn tokens_are_found_in_the_vocabulary() {
        let tokenizer = br#"{"model": {"vocab": {"[PAD]": 0, "zebra": 29145}}}"#;
        assert_eq!(token_id(tokenizer, "zebra").unwrap(), 29145);
        assert!(token_id(tokenizer, "quagga").is_err());
    }
}
