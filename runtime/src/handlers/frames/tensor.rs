//! Frames as arrays: NumPy's file format, and the orders and types that readers expect. Pure.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::args::{Dtype, Layout};

/// Channels of a frame.
pub(super) const CHANNELS: usize = 3;

/// What one array holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    pub(super) frames: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) layout: Layout,
    pub(super) dtype: Dtype,
}

impl Tensor {
    /// The array's shape.
    pub(super) fn shape(self) -> [usize; 4] {
        match self.layout {
            Layout::Hwc => [self.frames, self.height, self.width, CHANNELS],
            Layout::Chw => [self.frames, CHANNELS, self.height, self.width],
        }
    }

    /// Bytes of one frame.
    fn frame_bytes(self) -> usize {
        let size = match self.dtype {
            Dtype::U8 => 1,
            Dtype::F32 => 4,
        };
        self.width * self.height * CHANNELS * size
    }

    /// The header of a `.npy` file of version 1.0: a dictionary, filled up with spaces so that the
    /// data begins at a multiple of 64 (NumPy Enhancement Proposal 1).
    fn header(self) -> Vec<u8> {
        const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
        let dtype = match self.dtype {
            Dtype::U8 => "|u1",
            Dtype::F32 => "<f4",
        };
        let [a, b, c, d] = self.shape();
        let mut text = format!(
            "{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({a}, {b}, {c}, {d}), }}"
        );
        let length = (MAGIC.len() + 2 + text.len() + 1).next_multiple_of(64);
        let padding = length - (MAGIC.len() + 2 + text.len() + 1);
        text.extend(std::iter::repeat_n(' ', padding));
        text.push('\n');
        let size = u16::try_from(text.len()).expect("a header with four numbers is short");
        [MAGIC, &size.to_le_bytes(), text.as_bytes()].concat()
    }

    /// One frame of rows of pixels, as the array has it.
    fn arranged(self, pixels: &[u8]) -> Vec<u8> {
        let planes = match self.layout {
            Layout::Hwc => None,
            Layout::Chw => Some(planar(pixels)),
        };
        let pixels = planes.as_deref().unwrap_or(pixels);
        match self.dtype {
            Dtype::U8 => pixels.to_vec(),
            Dtype::F32 => {
                pixels.iter().flat_map(|v| (f32::from(*v) / 255.0).to_le_bytes()).collect()
            }
        }
    }
}

/// One plane after the other.
fn planar(pixels: &[u8]) -> Vec<u8> {
    let plane = |channel| pixels.iter().skip(channel).step_by(CHANNELS).copied();
    (0..CHANNELS).flat_map(plane).collect()
}

/// A file being filled, frame by frame in any order.
#[derive(Debug)]
pub(super) struct ArrayFile {
    file: File,
    tensor: Tensor,
    data: u64,
}

impl ArrayFile {
    pub(super) fn create(path: &Path, tensor: Tensor) -> io::Result<Self> {
        let file = File::create(path)?;
        let header = tensor.header();
        file.write_all_at(&header, 0)?;
        let data = header.len() as u64;
        file.set_len(data + tensor.frames as u64 * tensor.frame_bytes() as u64)?;
        Ok(ArrayFile { file, tensor, data })
    }

    /// Writes a frame to its place.
    pub(super) fn put(&self, slot: usize, pixels: &[u8]) -> io::Result<()> {
        let at = self.data + slot as u64 * self.tensor.frame_bytes() as u64;
        if (self.tensor.layout, self.tensor.dtype) == (Layout::Hwc, Dtype::U8) {
            return self.file.write_all_at(pixels, at);
        }
        self.file.write_all_at(&self.tensor.arranged(pixels), at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(layout: Layout, dtype: Dtype) -> Tensor {
        Tensor { frames: 5, width: 2, height: 1, layout, dtype }
    }

    #[test]
    fn the_header_says_shape_and_type_and_is_aligned() {
        let header = tensor(Layout::Chw, Dtype::F32).header();
        assert_eq!(header.len() % 64, 0);
        assert_eq!(&header[..8], b"\x93NUMPY\x01\x00");
        assert_eq!(usize::from(u16::from_le_bytes([header[8], header[9]])) + 10, header.len());
        let text = String::from_utf8_lossy(&header[10..]);
        insta::assert_snapshot!(text.trim_end(), @"{'descr': '<f4', 'fortran_order': False, 'shape': (5, 3, 1, 2), }");
    }

    #[test]
    fn planes_and_floats() {
        let pixels = [255, 0, 51, 0, 255, 102];
        assert_eq!(tensor(Layout::Chw, Dtype::U8).arranged(&pixels), [255, 0, 0, 255, 51, 102]);
        let floats = tensor(Layout::Hwc, Dtype::F32).arranged(&pixels);
        let third = f32::from_le_bytes(floats[8..12].try_into().unwrap());
        assert!((third - 0.2).abs() < 1e-6);
    }
}
