//! Frames and tensors whose order of channels and of axes is part of their type: what is blue-green-red
//! can't be taken for red-green-blue, nor rows of pixels for planes.

use std::marker::PhantomData;

use super::yuv::Yuv;
use crate::ffmpeg::filter::Matrix;
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

/// How a frame comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Rows of pixels (HWC), a byte per channel.
    Pixels,
    /// Planes of luma and of both chromas, half as wide and half as high, in the range of video: half
    /// as many bytes, and only those rows are converted that are needed. Both sides are even.
    Planes420(Matrix),
}

/// A frame as ffmpeg writes it.
#[derive(Clone, Debug)]
pub struct Frame<O> {
    size: (u32, u32),
    form: Form,
    bytes: Vec<u8>,
    order: PhantomData<O>,
}

impl<O: Order> Frame<O> {
    /// Bytes of a frame of this size.
    pub fn bytes_of((width, height): (u32, u32), form: Form) -> usize {
        let pixels = width as usize * height as usize;
        match form {
            Form::Pixels => pixels * CHANNELS,
            Form::Planes420(_) => pixels * 3 / 2,
        }
    }

    /// A frame of `bytes`, of which there have to be as many as size and form need.
    pub fn new(size: (u32, u32), form: Form, bytes: Vec<u8>) -> Option<Self> {
        let whole = bytes.len() == Self::bytes_of(size, form);
        whole.then_some(Frame { size, form, bytes, order: PhantomData })
    }

    /// Width and height.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Puts one row into `to`, each channel for itself.
    pub fn row(&self, y: usize, to: &mut [Vec<u8>; CHANNELS]) {
        let width = self.size.0 as usize;
        to.iter_mut().for_each(|channel| channel.resize(width, 0));
        match self.form {
            Form::Pixels => apart(&self.bytes[y * width * CHANNELS..][..width * CHANNELS], to),
            Form::Planes420(matrix) => {
                let [first, second, third] = to;
                let pixels = self.yuv_row(y);
                match O::CHANNELS {
                    Channels::Rgb => pixels.to_rgb(matrix, first, second, third),
                    Channels::Bgr => pixels.to_rgb(matrix, third, second, first),
                }
            }
        }
    }

    /// One row of the three planes; two rows share their chroma.
    fn yuv_row(&self, y: usize) -> Yuv<'_> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let (luma, chroma) = self.bytes.split_at(width * height);
        let (blue, red) = chroma.split_at(chroma.len() / 2);
        let half = y / 2 * (width / 2)..(y / 2 + 1) * (width / 2);
        Yuv { luma: &luma[y * width..][..width], blue: &blue[half.clone()], red: &red[half] }
    }

    /// The bytes, to be filled anew.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn apart(pixels: &[u8], to: &mut [Vec<u8>; CHANNELS]) {
    let [first, second, third] = to;
    let rest = first.iter_mut().zip(second).zip(third);
    for (((first, second), third), pixel) in rest.zip(pixels.chunks_exact(CHANNELS)) {
        (*first, *second, *third) = (pixel[0], pixel[1], pixel[2]);
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
    fn rows_of_planes_take_their_chroma_with_the_row_beside() {
        let size = (2, 4);
        let bytes = vec![16, 16, 81, 81, 235, 235, 16, 235, 90, 128, 240, 128];
        let form = Form::Planes420(Matrix::Smpte170m);
        let row = |y| {
            let (mut rgb, mut bgr) = <([Vec<u8>; 3], [Vec<u8>; 3])>::default();
            Frame::<Rgb>::new(size, form, bytes.clone()).unwrap().row(y, &mut rgb);
            Frame::<Bgr>::new(size, form, bytes.clone()).unwrap().row(y, &mut bgr);
            bgr.reverse();
            assert_eq!(rgb, bgr);
            rgb
        };
        // Red of SMPTE 170M: 81, 90, 240.
        assert_eq!(row(1), [[253, 253], [0, 0], [0, 0]]);
        assert_eq!(row(3), [[0, 255], [0, 255], [0, 255]]);
    }

    #[test]
    fn sizes_have_to_fit() {
        assert!(Frame::<Rgb>::new((2, 1), Form::Pixels, vec![0; 5]).is_none());
        let frame = Frame::<Rgb>::new((1, 2), Form::Pixels, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let mut row = Default::default();
        frame.row(1, &mut row);
        assert_eq!(row, [[4], [5], [6]]);
        assert_eq!(Planes::<Bgr>::black(2, (4, 2)).shape(), [2, 3, 2, 4]);
    }
}
