//! The way of a frame into the picture that a network takes, and of boxes back. Pure.
//!
//! As Ultralytics does it: the whole frame, as large as it fits, in the middle of grey. Resizing is OpenCV's
//! `INTER_LINEAR` on bytes, in its own fixed-point numbers (`resize.cpp`: weights of 11 bits, 22 bits between
//! the passes), so that networks see the very bytes that they see in a Python pipeline.

use super::Rect;
use super::picture::{CHANNELS, Frame, Order, Planes};

/// The grey around frames.
const GREY: u8 = 114;
/// What weights are multiples of one over: 2 to the 11th.
const ONE: f32 = 2048.0;

/// How frames of one size go into pictures of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Letterbox {
    source: (u32, u32),
    target: (u32, u32),
    scaled: (u32, u32),
    left: u32,
    top: u32,
    gain: f64,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
}

/// The two pixels that one is made of, and their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tap {
    first: usize,
    second: usize,
    weights: [i32; 2],
}

impl Letterbox {
    /// Of frames of `source` into pictures of `target`, widths and heights.
    pub fn new(source: (u32, u32), target: (u32, u32)) -> Self {
        let ratio = |to: u32, from: u32| f64::from(to) / f64::from(from);
        let gain = ratio(target.0, source.0).min(ratio(target.1, source.1));
        // Python rounds halves to even.
        let side = |from: u32, to: u32| {
            (f64::from(from) * gain).round_ties_even().clamp(1.0, to.into()) as u32
        };
        let scaled = (side(source.0, target.0), side(source.1, target.1));
        // A tenth less, so that of an odd rest the smaller half comes first.
        let before = |whole: u32, part: u32| {
            (f64::from(whole - part) / 2.0 - 0.1).round_ties_even().max(0.0) as u32
        };
        Letterbox {
            left: before(target.0, scaled.0),
            top: before(target.1, scaled.1),
            columns: taps(source.0, scaled.0),
            rows: taps(source.1, scaled.1),
            source,
            target,
            scaled,
            gain,
        }
    }

    /// The size of frames within pictures.
    pub fn scaled(&self) -> (u32, u32) {
        self.scaled
    }

    /// A rectangle of the picture, on the frame.
    pub fn to_source(&self, rect: Rect) -> Rect {
        let gain = self.gain as f32;
        let x = |x: f32| (x - self.left as f32) / gain;
        let y = |y: f32| (y - self.top as f32) / gain;
        let rect = Rect {
            left: x(rect.left),
            top: y(rect.top),
            right: x(rect.right),
            bottom: y(rect.bottom),
        };
        rect.clamped(self.source)
    }

    /// Puts `frame` into the picture at `index` of `planes`, which have to have the sizes that this was made for; a GPU
    /// may have scaled the frame already. `scratch` is reused from frame to frame.
    pub fn fill<O: Order>(
        &self,
        frame: &Frame<O>,
        planes: &mut Planes<O>,
        index: usize,
        scratch: &mut Scratch,
    ) {
        let (width, height) = (self.target.0 as usize, self.target.1 as usize);
        let picture = planes.picture_mut(index);
        self.frame_in_grey(picture);
        scratch.across.iter_mut().for_each(|across| across.row = None);
        for y in 0..self.scaled.1 as usize {
            self.line(frame, y, scratch);
            let at = (y + self.top as usize) * width + self.left as usize;
            for (channel, from) in scratch.line.iter().enumerate() {
                let to = &mut picture[channel * width * height + at..][..self.scaled.0 as usize];
                to.iter_mut().zip(from).for_each(|(to, value)| *to = level(*value));
            }
        }
    }

    /// Makes grey what frames leave of a picture.
    fn frame_in_grey(&self, picture: &mut [f32]) {
        let (width, height) = (self.target.0 as usize, self.target.1 as usize);
        let (left, top) = (self.left as usize, self.top as usize);
        let (right, bottom) = (left + self.scaled.0 as usize, top + self.scaled.1 as usize);
        for plane in picture.chunks_exact_mut(width * height) {
            plane[..top * width].fill(level(GREY));
            plane[bottom * width..].fill(level(GREY));
            if right - left < width {
                for row in plane[top * width..bottom * width].chunks_exact_mut(width) {
                    row[..left].fill(level(GREY));
                    row[right..].fill(level(GREY));
                }
            }
        }
    }

    /// One row of the scaled frame, into `scratch.line`.
    fn line<O: Order>(&self, frame: &Frame<O>, y: usize, scratch: &mut Scratch) {
        if frame.size() == self.scaled {
            return frame.row(y, &mut scratch.line);
        }
        let width = self.scaled.0 as usize;
        scratch.line.iter_mut().for_each(|channel| channel.resize(width, 0));
        if self.halves() {
            frame.row(2 * y, &mut scratch.row);
            frame.row(2 * y + 1, &mut scratch.next);
            let rows = scratch.row.iter().zip(&scratch.next);
            return scratch.line.iter_mut().zip(rows).for_each(|(to, (a, b))| half(a, b, to));
        }
        let Tap { first, second, weights } = self.rows[y];
        // A row that was the lower one often is the upper one next.
        if scratch.across[0].row != Some(first) {
            scratch.across.swap(0, 1);
        }
        for (at, row) in [first, second].into_iter().enumerate() {
            if scratch.across[at].row != Some(row) {
                frame.row(row, &mut scratch.row);
                scratch.across[at].take(row, &self.columns, &scratch.row);
            }
        }
        let [above, below] = &scratch.across;
        let rows = above.channels.iter().zip(&below.channels);
        for (to, (above, below)) in scratch.line.iter_mut().zip(rows) {
            between(above, below, weights, to);
        }
    }

    /// OpenCV takes the mean of four pixels where both sides are exactly halved.
    fn halves(&self) -> bool {
        (self.scaled.0 * 2, self.scaled.1 * 2) == self.source
    }
}

/// A byte as a network takes it: from 0 to 1.
fn level(byte: u8) -> f32 {
    f32::from(byte) / 255.0
}

/// What is needed on the way, kept from frame to frame. Each channel is for itself.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    row: [Vec<u8>; CHANNELS],
    next: [Vec<u8>; CHANNELS],
    line: [Vec<u8>; CHANNELS],
    across: [Across; 2],
}

/// A row of the frame, as wide as the result, times [`ONE`].
#[derive(Clone, Debug, Default)]
struct Across {
    /// Which; none yet.
    row: Option<usize>,
    channels: [Vec<i32>; CHANNELS],
}

impl Across {
    fn take(&mut self, row: usize, columns: &[Tap], pixels: &[Vec<u8>; CHANNELS]) {
        self.row = Some(row);
        for (to, from) in self.channels.iter_mut().zip(pixels) {
            to.resize(columns.len(), 0);
            for (to, Tap { first, second, weights: [near, far] }) in to.iter_mut().zip(columns) {
                *to = i32::from(from[*first]) * near + i32::from(from[*second]) * far;
            }
        }
    }
}

/// One channel between two rows.
fn between(above: &[i32], below: &[i32], [near, far]: [i32; 2], to: &mut [u8]) {
    for (to, (above, below)) in to.iter_mut().zip(above.iter().zip(below)) {
        let sum = ((near * (above >> 4)) >> 16) + ((far * (below >> 4)) >> 16);
        *to = ((sum + 2) >> 2).clamp(0, 255) as u8;
    }
}

/// Which pixels each of `to` is made of.
fn taps(from: u32, to: u32) -> Vec<Tap> {
    let scale = 1.0 / (f64::from(to) / f64::from(from));
    let last = from as usize - 1;
    let tap = |at: u32| {
        let place = ((f64::from(at) + 0.5) * scale - 0.5) as f32;
        let floor = place.floor();
        let (first, share) = match floor {
            below if below < 0.0 => (0, 0.0),
            floor if floor as usize >= last => (last, 0.0),
            floor => (floor as usize, place - floor),
        };
        let weight = |share: f32| (share * ONE).round_ties_even() as i32;
        Tap { first, second: (first + 1).min(last), weights: [weight(1.0 - share), weight(share)] }
    };
    (0..to).map(tap).collect()
}

/// One channel of half the size.
fn half(above: &[u8], below: &[u8], to: &mut [u8]) {
    let sum = |pair: &[u8]| u16::from(pair[0]) + u16::from(pair[1]);
    let pairs = above.chunks_exact(2).zip(below.chunks_exact(2));
    for (to, (above, below)) in to.iter_mut().zip(pairs) {
        *to = ((sum(above) + sum(below) + 2) >> 2) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::picture::{Form, Rgb};

    /// A frame by a formula that the Python of `expected` shares.
    fn frame((width, height): (u32, u32)) -> Frame<Rgb> {
        let mut bytes = Vec::new();
        for y in 0..height {
            for x in 0..width {
                bytes
                    .extend([7 * x + 3 * y, x * y / 4, 5 * y + x * x / 8].map(|v| (v % 256) as u8));
            }
        }
        Frame::new((width, height), Form::Pixels, bytes).unwrap()
    }

    #[test]
    fn frames_are_in_the_middle_as_ultralytics_puts_them() {
        let placed = |source, target| {
            let letterbox = Letterbox::new(source, target);
            (letterbox.scaled, letterbox.left, letterbox.top)
        };
        assert_eq!(placed((1280, 720), (640, 640)), ((640, 360), 0, 140));
        assert_eq!(placed((720, 1280), (640, 640)), ((360, 640), 140, 0));
        assert_eq!(placed((161, 121), (96, 64)), ((85, 64), 5, 0));
        assert_eq!(placed((100, 100), (640, 640)), ((640, 640), 0, 0));
        assert_eq!(placed((4000, 1), (64, 64)), ((64, 1), 0, 31));
    }

    #[test]
    fn boxes_come_back_and_stay_on_the_frame() {
        let letterbox = Letterbox::new((1280, 720), (640, 640));
        let back = letterbox.to_source(Rect::from([10.0, 150.0, 110.0, 250.0]));
        assert_eq!(back, Rect::from([20.0, 20.0, 220.0, 220.0]));
        let out = letterbox.to_source(Rect::from([-10.0, 100.0, 700.0, 600.0]));
        assert_eq!(out, Rect::from([0.0, 0.0, 1280.0, 720.0]));
    }

    /// The sums of values times places over each plane of what `cv2.resize` made of the same frame (OpenCV 5.0.0), and its grey.
    #[test]
    fn pixels_are_those_of_opencv() {
        for (source, target, sums) in [
            ((40, 30), (32, 32), [63_025_088_u64, 48_821_521, 65_979_727]),
            ((64, 48), (32, 32), [67_587_456, 57_614_816, 67_686_848]),
            ((50, 34), (32, 32), [62_511_756, 52_346_672, 64_553_514]),
        ] {
            let letterbox = Letterbox::new(source, target);
            let mut planes = Planes::black(1, target);
            letterbox.fill(&frame(source), &mut planes, 0, &mut Scratch::default());
            let bytes: Vec<u64> =
                planes.values().iter().map(|v| (v * 255.0).round() as u64).collect();
            let plane = (target.0 * target.1) as usize;
            let found: Vec<u64> = bytes
                .chunks(plane)
                .map(|plane| plane.iter().zip(1..).map(|(value, at): (&u64, u64)| value * at).sum())
                .collect();
            assert_eq!(found, sums, "{source:?}");
        }
    }
}
