//! The arguments of many calls in one object, any of which is found by two small reads.

use serde_json::Value;

/// Bytes of an offset.
pub(super) const OFFSET: u64 = 8;

/// Inputs one after another, after the places where each starts and the last ends: so that any one
/// of ten thousand is found by two small reads.
pub(super) fn encode(inputs: &[Value]) -> Vec<u8> {
    let mut bytes = vec![0; (inputs.len() + 1) * OFFSET as usize];
    for (index, input) in inputs.iter().enumerate() {
        let start = bytes.len() as u64;
        set_offset(&mut bytes, index, start);
        serde_json::to_writer(&mut bytes, input).expect("JSON is written to memory");
    }
    let end = bytes.len() as u64;
    set_offset(&mut bytes, inputs.len(), end);
    bytes
}

fn set_offset(bytes: &mut [u8], index: usize, value: u64) {
    let at = index * OFFSET as usize;
    bytes[at..at + OFFSET as usize].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn offset(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + OFFSET as usize).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_le_bytes).unwrap_or_default()
}

/// The `size` inputs of which `bytes` are.
pub(super) fn decode(bytes: &[u8], size: u64) -> serde_json::Result<Vec<Value>> {
    (0..size as usize)
        .map(|index| {
            let at = index * OFFSET as usize;
            let (start, end) = (offset(bytes, at), offset(bytes, at + OFFSET as usize));
            serde_json::from_slice(bytes.get(start as usize..end as usize).unwrap_or_default())
        })
        .collect()
}
