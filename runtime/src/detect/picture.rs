//! Frames and tensors whose order of channels and of axes is part of their type: what is blue-green-red
//! can't be taken for red-green-blue, nor rows of pixels for planes.

use std::marker::PhantomData;

use crate::ffmpeg::picture::Channels;

/// Channels of a pixel.
pub const CHANNELS: usize = 3;

/// An order of channels.
pub trait Order: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// As ffmpeg is asked for it.
    const CHANNELS: Channels;
}

/// Red, green, blue: what networks of the YOLO family take.
#[derive(Clone, Copy, Debug)]
pub struct Rgb;

/// Blue, green, red: what networks take that were trained on OpenCV's pictures as they are.
#[derive(Clone, Copy, Debug)]
pub struct Bgr;

impl Order for Rgb {
    const CHANNELS: Channels = Channels::Rgb;
}

impl Order for Bgr {
    const CHANNELS: Channels = Channels::Bgr;
}

/// A frame as ffmpeg writes it: rows of pixels (HWC), a byte per channel.
#[derive(Clone, Debug)]
pub struct Frame<O> {
    size: (u32, u32),
    bytes: Vec<u8>,
    order: PhantomData<O>,
}

impl<O: Order> Frame<O> {
    /// Bytes of a frame of this size.
    pub fn bytes_of((width, height): (u32, u32)) -> usize {
        width as usize * height as usize * CHANNELS
    }

    /// A frame of `bytes`, of which there have to be as many as the size needs.
    pub fn new(size: (u32, u32), bytes: Vec<u8>) -> Option<Self> {
        let whole = bytes.len() == Self::bytes_of(size);
        whole.then_some(Frame { size, bytes, order: PhantomData })
    }

    /// Width and height.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The bytes of one row.
    pub fn row(&self, y: usize) -> &[u8] {
        let row = self.size.0 as usize * CHANNELS;
        &self.bytes[y * row..(y + 1) * row]
    }

    /// The bytes, to be filled anew.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Pictures as networks take them: planes of one channel each (NCHW), 32-bit floats from 0 to 1.
#[derive(Clone, Debug)]
pub struct Planes<O> {
    pictures: usize,
    size: (u32, u32),
    values: Vec<f32>,
    order: PhantomData<O>,
}

impl<O: Order> Planes<O> {
    /// So many pictures that are black.
    pub fn black(pictures: usize, size: (u32, u32)) -> Self {
        let values = vec![0.0; pictures * Self::plane_of(size) * CHANNELS];
        Planes { pictures, size, values, order: PhantomData }
    }

    fn plane_of((width, height): (u32, u32)) -> usize {
        width as usize * height as usize
    }

    /// Pictures, channels, rows, columns.
    pub fn shape(&self) -> [usize; 4] {
        [self.pictures, CHANNELS, self.size.1 as usize, self.size.0 as usize]
    }

    /// Width and height of each picture.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Only the first so many pictures.
    #[must_use]
    pub fn first(mut self, pictures: usize) -> Self {
        self.pictures = pictures.min(self.pictures);
        self.values.truncate(self.pictures * Self::plane_of(self.size) * CHANNELS);
        self
    }

    /// All values.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values of the picture at `index`: its planes, one after the other.
    pub fn picture_mut(&mut self, index: usize) -> &mut [f32] {
        let each = Self::plane_of(self.size) * CHANNELS;
        &mut self.values[index * each..(index + 1) * each]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_to_fit() {
        assert!(Frame::<Rgb>::new((2, 1), vec![0; 5]).is_none());
        let frame = Frame::<Rgb>::new((1, 2), vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(frame.row(1), [4, 5, 6]);
        assert_eq!(Planes::<Bgr>::black(2, (4, 2)).shape(), [2, 3, 2, 4]);
    }
}
