//! Finding objects in pictures with networks of the YOLO family that were exported to ONNX.
//!
//! [`onnx`] reads what a file says of itself, [`model`] tells by that and by the shape of the output which
//! export it is, [`engine`] computes (ONNX Runtime, or tract where there is none), [`letterbox`] and [`head`] are
//! the way from a frame to boxes on it, [`tracker`] and [`path`] make objects of them that last.
//! Everything but `engine` is pure.

pub mod engine;
pub mod head;
pub mod letterbox;
pub mod model;
pub mod names;
pub mod onnx;
pub mod path;
pub mod picture;
pub mod tracker;
mod yuv;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Corners of an upright rectangle in pixels: left, top, right, bottom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "[f32; 4]", into = "[f32; 4]")]
#[schemars(with = "[f32; 4]")]
pub struct Rect {
    /// The left edge.
    pub left: f32,
    /// The upper edge.
    pub top: f32,
    /// The right edge.
    pub right: f32,
    /// The lower edge.
    pub bottom: f32,
}

impl From<[f32; 4]> for Rect {
    fn from([left, top, right, bottom]: [f32; 4]) -> Self {
        Rect { left, top, right, bottom }
    }
}

impl From<Rect> for [f32; 4] {
    fn from(rect: Rect) -> Self {
        [rect.left, rect.top, rect.right, rect.bottom]
    }
}

impl Rect {
    /// The rectangle around a centre.
    pub fn around((x, y): (f32, f32), (width, height): (f32, f32)) -> Self {
        let (half_width, half_height) = (width / 2.0, height / 2.0);
        Rect {
            left: x - half_width,
            top: y - half_height,
            right: x + half_width,
            bottom: y + half_height,
        }
    }

    /// Its width.
    pub fn width(self) -> f32 {
        self.right - self.left
    }

    /// Its height.
    pub fn height(self) -> f32 {
        self.bottom - self.top
    }

    /// Its middle.
    pub fn center(self) -> (f32, f32) {
        ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }

    /// Square pixels; nothing where it is turned inside out.
    pub fn area(self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// What two rectangles share over what they cover together, 0 to 1.
    pub fn iou(self, other: Rect) -> f32 {
        let shared = Rect {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        let both = shared.area();
        let all = self.area() + other.area() - both;
        if all > 0.0 { both / all } else { 0.0 }
    }

    /// As much larger on each side as `share` of its own sides.
    pub fn grown(self, share: f32) -> Rect {
        let (more_width, more_height) = (self.width() * share, self.height() * share);
        Rect {
            left: self.left - more_width,
            top: self.top - more_height,
            right: self.right + more_width,
            bottom: self.bottom + more_height,
        }
    }

    /// The part of it that is on a picture.
    pub fn clamped(self, (width, height): (u32, u32)) -> Rect {
        let (width, height) = (width as f32, height as f32);
        Rect {
            left: self.left.clamp(0.0, width),
            top: self.top.clamp(0.0, height),
            right: self.right.clamp(0.0, width),
            bottom: self.bottom.clamp(0.0, height),
        }
    }
}

/// Something that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The class, by its number in the model.
    pub class: u32,
    /// How sure the model is, 0 to 1.
    pub score: f32,
    /// Where it is.
    pub rect: Rect,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_a_share_of_what_both_cover() {
        let a = Rect::from([0.0, 0.0, 10.0, 10.0]);
        assert_eq!(a.iou(a), 1.0);
        assert_eq!(a.iou(Rect::from([5.0, 0.0, 15.0, 10.0])), 50.0 / 150.0);
        assert_eq!(a.iou(Rect::from([20.0, 0.0, 30.0, 10.0])), 0.0);
        assert_eq!(a.iou(Rect::default()), 0.0);
        assert_eq!(a.grown(0.5), Rect::from([-5.0, -5.0, 15.0, 15.0]));
        assert_eq!(a.grown(0.5).clamped((12, 8)), Rect::from([0.0, 0.0, 12.0, 8.0]));
    }
}
