//! Pictures that are made here: texts from what libass drew, and ellipses. Pure.

use crate::color::Color;

/// A picture with opacity: red, green, blue and opacity, a byte each, not multiplied.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raster {
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    /// Row by row.
    pub(super) rgba: Vec<u8>,
}

/// Something that was drawn, and where on the whole it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Drawn {
    /// From the left and from the top, both even, so that 4:2:0 video can have it there.
    pub(super) at: (u32, u32),
    /// What it looks like.
    pub(super) raster: Raster,
}

/// What was drawn, from how it looks on black and on white (RGB, row by row, `size` each): the two
/// differ by what shows through. None when nothing was drawn.
pub(super) fn drawn(black: &[u8], white: &[u8], size: (u32, u32)) -> Option<Drawn> {
    let (width, height) = (size.0 as usize, size.1 as usize);
    let row = width * 3;
    let clear = |line: usize, range: std::ops::Range<usize>| {
        let (from, to) = (line * row + range.start * 3, line * row + range.end * 3);
        black[from..to].iter().all(|c| *c == 0) && white[from..to].iter().all(|c| *c == 255)
    };
    let top = (0..height).find(|line| !clear(*line, 0..width))?;
    let bottom = (top..height).rev().find(|line| !clear(*line, 0..width))? + 1;
    let lines = || top..bottom;
    let column = |x: usize| lines().all(|line| clear(line, x..x + 1));
    let left = (0..width).find(|x| !column(*x))?;
    let right = (left..width).rev().find(|x| !column(*x))? + 1;
    let (left, top) = (left & !1, top & !1);
    let mut rgba = Vec::with_capacity((right - left) * (bottom - top) * 4);
    for line in top..bottom {
        for x in left..right {
            let at = line * row + x * 3;
            rgba.extend(unblended(&black[at..at + 3], &white[at..at + 3]));
        }
    }
    let size = ((right - left) as u32, (bottom - top) as u32);
    Some(Drawn { at: (left as u32, top as u32), raster: Raster { size, rgba } })
}

/// The colour and the opacity that give `black` over black and `white` over white.
fn unblended(black: &[u8], white: &[u8]) -> [u8; 4] {
    let through: u32 = (0..3).map(|i| u32::from(white[i].saturating_sub(black[i]))).sum();
    let alpha = 255 - (through + 1) / 3;
    let channel = |c: u8| match alpha {
        0 => 0,
        alpha => ((u32::from(c) * 255 + alpha / 2) / alpha).min(255) as u8,
    };
    [channel(black[0]), channel(black[1]), channel(black[2]), alpha as u8]
}

/// Samples of a pixel in each direction.
const SAMPLES: u32 = 4;

/// The ellipse that fills `size`, with an outline of `thickness` pixels and an inside.
pub(super) fn ellipse(
    size: (u32, u32),
    thickness: f64,
    outline: Option<Color>,
    inside: Option<Color>,
) -> Raster {
    let (rx, ry) = (f64::from(size.0) / 2.0, f64::from(size.1) / 2.0);
    let within = |x: f64, y: f64, (rx, ry): (f64, f64)| {
        rx > 0.0 && ry > 0.0 && (x / rx).powi(2) + (y / ry).powi(2) <= 1.0
    };
    let inner = (rx - thickness, ry - thickness);
    let color_at = |x: f64, y: f64| match (within(x, y, (rx, ry)), within(x, y, inner)) {
        (false, _) => None,
        (true, true) => inside,
        (true, false) => outline.or(inside),
    };
    let mut rgba = Vec::with_capacity((size.0 * size.1 * 4) as usize);
    for y in 0..size.1 {
        for x in 0..size.0 {
            let step = 1.0 / f64::from(SAMPLES);
            let samples = (0..SAMPLES * SAMPLES).map(|index| {
                let across = f64::from(x) + (f64::from(index % SAMPLES) + 0.5) * step - rx;
                let down = f64::from(y) + (f64::from(index / SAMPLES) + 0.5) * step - ry;
                color_at(across, down)
            });
            rgba.extend(mixed(samples));
        }
    }
    Raster { size, rgba }
}

/// The mean of the samples of one pixel; a sample that is none shows through.
fn mixed(samples: impl Iterator<Item = Option<Color>>) -> [u8; 4] {
    let mut sums = [0_u32; 4];
    for color in samples.flatten() {
        let alpha = u32::from(color.alpha);
        let parts = [color.red, color.green, color.blue].map(|c| u32::from(c) * alpha);
        sums.iter_mut().zip(parts.into_iter().chain([alpha])).for_each(|(sum, part)| *sum += part);
    }
    let [red, green, blue, alpha] = sums;
    let channel = |sum: u32| (sum + alpha / 2).checked_div(alpha).unwrap_or(0) as u8;
    [channel(red), channel(green), channel(blue), (alpha / (SAMPLES * SAMPLES)) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_is_found_with_its_colour_and_opacity() {
        // 4 x 3 pixels; at (3, 1) half-opaque orange.
        let (mut black, mut white) = (vec![0; 36], vec![255; 36]);
        black[21..24].copy_from_slice(&[128, 64, 0]);
        white[21..24].copy_from_slice(&[255, 191, 127]);
        let found = drawn(&black, &white, (4, 3)).unwrap();
        assert_eq!((found.at, found.raster.size), ((2, 0), (2, 2)));
        assert_eq!(found.raster.rgba[12..], [255, 128, 0, 128]);
        assert_eq!(found.raster.rgba[..12], [0; 12]);
        assert_eq!(drawn(&[0; 36], &[255; 36], (4, 3)), None);
    }

    #[test]
    fn an_ellipse_is_a_ring_around_its_inside() {
        let red = Color::opaque(0xff_0000);
        let ring = ellipse((40, 20), 3.0, Some(red), None);
        let pixel = |x: usize, y: usize| &ring.rgba[(y * 40 + x) * 4..][..4];
        assert_eq!(pixel(0, 0)[3], 0);
        assert_eq!(pixel(20, 1), [255, 0, 0, 255]);
        assert_eq!(pixel(1, 10), [255, 0, 0, 255]);
        assert_eq!(pixel(20, 10)[3], 0);
        let disc = ellipse((40, 20), 0.0, None, Some(Color { alpha: 64, ..red }));
        assert_eq!(disc.rgba[(10 * 40 + 20) * 4..][..4], [255, 0, 0, 64]);
    }
}
