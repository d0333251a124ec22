//! Video to red, green and blue, in the numbers of libswscale's own conversion (yuv2rgb.c and
//! x86/yuv_2_rgb.asm of FFmpeg 5.1: products of 16 bits of which the upper half counts), so that a
//! pixel is the same whoever converts it.

use crate::ffmpeg::filter::Matrix;

/// One row: a byte of luma for each pixel, of each chroma for two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Yuv<'a> {
    pub(super) luma: &'a [u8],
    /// Cb.
    pub(super) blue: &'a [u8],
    /// Cr.
    pub(super) red: &'a [u8],
}

/// What luma counts in each channel, in 8192ths: 255 / 219.
const LUMA: i16 = 9539;

/// What chroma counts, in 8192ths.
#[derive(Clone, Copy)]
struct Weights {
    red_of_cr: i16,
    blue_of_cb: i16,
    green_of_cb: i16,
    green_of_cr: i16,
}

impl Weights {
    /// `ff_yuv2rgb_coeffs` of libswscale, which are ITU-T H.273's, an eighth of each.
    fn of(matrix: Matrix) -> Self {
        let (red_of_cr, blue_of_cb, green_of_cb, green_of_cr) = match matrix {
            Matrix::Bt709 => (14_686, 17_305, -1747, -4366),
            Matrix::Smpte170m => (13_075, 16_525, -3209, -6660),
        };
        Weights { red_of_cr, blue_of_cb, green_of_cb, green_of_cr }
    }
}

impl Yuv<'_> {
    /// Converts a row. Each of the three has room for as many pixels as there are.
    pub(super) fn to_rgb(self, matrix: Matrix, red: &mut [u8], green: &mut [u8], blue: &mut [u8]) {
        let weights = Weights::of(matrix);
        let (cb, cr) = (self.blue, self.red);
        let green_of = |(cb, cr): (&u8, &u8)| {
            chroma(*cb, weights.green_of_cb) + chroma(*cr, weights.green_of_cr)
        };
        let luma: Vec<i16> = self.luma.iter().map(|luma| part(*luma, 16, LUMA)).collect();
        channel(&luma, cr.iter().map(|cr| chroma(*cr, weights.red_of_cr)), red);
        channel(&luma, cb.iter().zip(cr).map(green_of), green);
        channel(&luma, cb.iter().map(|cb| chroma(*cb, weights.blue_of_cb)), blue);
    }
}

/// One channel, to which chroma adds the same for two pixels at a time. Each step is a loop of its
/// own over plain numbers, of which compilers make instructions that take many at once.
fn channel(luma: &[i16], chroma: impl Iterator<Item = i16>, to: &mut [u8]) {
    let halves: Vec<i16> = chroma.collect();
    let more: Vec<i16> = halves.iter().flat_map(|half| [*half, *half]).collect();
    for ((to, luma), more) in to.iter_mut().zip(luma).zip(more) {
        *to = (luma + more).clamp(0, 255) as u8;
    }
}

fn chroma(level: u8, weight: i16) -> i16 {
    part(level, 128, weight)
}

/// What a level adds: the upper half of a product of 32 bits.
fn part(level: u8, zero: i16, weight: i16) -> i16 {
    let level = (i16::from(level) - zero) * 8;
    ((i32::from(level) * i32::from(weight)) >> 16) as i16
}
