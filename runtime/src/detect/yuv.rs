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

/// Samples of chroma that are converted in one go, small enough for the processor's own memory.
const BLOCK: usize = 128;

impl Yuv<'_> {
    /// Converts a row. Each of the three has room for as many pixels as there are.
    pub(super) fn to_rgb(self, matrix: Matrix, red: &mut [u8], green: &mut [u8], blue: &mut [u8]) {
        let weights = Weights::of(matrix);
        let chroma = self.blue.chunks(BLOCK).zip(self.red.chunks(BLOCK));
        let pixels = self.luma.chunks(2 * BLOCK).zip(chroma);
        let to = red.chunks_mut(2 * BLOCK).zip(green.chunks_mut(2 * BLOCK));
        let to = to.zip(blue.chunks_mut(2 * BLOCK));
        for ((luma, (cb, cr)), ((red, green), blue)) in pixels.zip(to) {
            convert(Yuv { luma, blue: cb, red: cr }, weights, [red, green, blue]);
        }
    }
}

/// Converts a block. Each step is a loop of its own over plain numbers, of which compilers make
/// instructions that take many at once.
fn convert(block: Yuv<'_>, weights: Weights, [red, green, blue]: [&mut [u8]; 3]) {
    let mut luma = [0; 2 * BLOCK];
    luma.iter_mut().zip(block.luma).for_each(|(to, luma)| *to = part(*luma, 16, LUMA));
    let (cb, cr) = (block.blue, block.red);
    let (mut reds, mut greens, mut blues) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
    reds.iter_mut().zip(cr).for_each(|(to, cr)| *to = chroma(*cr, weights.red_of_cr));
    blues.iter_mut().zip(cb).for_each(|(to, cb)| *to = chroma(*cb, weights.blue_of_cb));
    for ((to, cb), cr) in greens.iter_mut().zip(cb).zip(cr) {
        *to = chroma(*cb, weights.green_of_cb) + chroma(*cr, weights.green_of_cr);
    }
    channel(&luma, &reds, red);
    channel(&luma, &greens, green);
    channel(&luma, &blues, blue);
}

/// One channel, to which chroma adds the same for two pixels at a time.
fn channel(luma: &[i16; 2 * BLOCK], chroma: &[i16; BLOCK], to: &mut [u8]) {
    let mut more = [0; 2 * BLOCK];
    for (pair, half) in more.chunks_exact_mut(2).zip(chroma) {
        pair.fill(*half);
    }
    for ((to, luma), more) in to.iter_mut().zip(luma).zip(&more) {
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
