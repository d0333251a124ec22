//! Writes boxes of ISO/IEC 14496-12 into memory, and reads the ones inside of a small one. Pure.

/// Appends a box (§4.2) whose content `fill` writes.
pub fn boxed(out: &mut Vec<u8>, kind: &[u8; 4], fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind);
    fill(out);
    let size = u32::try_from(out.len() - start).expect("headers are smaller than 4 GiB");
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends a full box (§4.2): one with a version and flags.
pub fn full(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    boxed(out, kind, |out| {
        number(out, u32::from(version) << 24 | flags);
        fill(out);
    });
}

/// Appends a number.
pub fn number(out: &mut Vec<u8>, number: u32) {
    out.extend(number.to_be_bytes());
}

/// Appends several numbers.
pub fn numbers(out: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|each| number(out, *each));
}

/// The boxes that fill `bytes`, each with its content. What doesn't fit is left out.
pub fn inside(mut bytes: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut boxes = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
        let [a, b, c, d, kind @ ..] = *head;
        let length = (u32::from_be_bytes([a, b, c, d]) as usize).checked_sub(8);
        let Some((body, after)) = length.and_then(|length| rest.split_at_checked(length)) else {
            break;
        };
        boxes.push((kind, body));
        bytes = after;
    }
    boxes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut out = Vec::new();
        boxed(&mut out, b"moov", |out| {
            full(out, b"mehd", 0, 1, |out| number(out, 7));
            boxed(out, b"free", |_| {});
        });
        let [(moov, body)] = inside(&out).try_into().unwrap();
        assert_eq!(&moov, b"moov");
        let inner = inside(body);
        assert_eq!(inner, [(*b"mehd", &[0, 0, 0, 1, 0, 0, 0, 7][..]), (*b"free", &[][..])]);
    }

    #[test]
    fn a_box_that_is_too_long_or_too_short_ends_the_reading() {
        assert!(inside(&[0, 0, 0, 9, b'f', b'r', b'e', b'e']).is_empty());
        assert!(inside(&[0, 0, 0, 0, b'f', b'r', b'e', b'e']).is_empty());
        assert!(inside(&[0, 0]).is_empty());
    }
}
