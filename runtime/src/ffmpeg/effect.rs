//! Filters that change how the picture looks, as data. Pure.

use std::fmt;
use std::path::PathBuf;

use super::filter::{Matrix, write};
use crate::color::Color;

/// A change of the picture's looks.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// White lines where brightness changes, on black; thresholds from 0 to 1.
    Edges {
        /// Below it nothing is an edge.
        low: f64,
        /// Above it everything is.
        high: f64,
    },
    /// Less noise, in space and time, quickly; 1 is usual.
    Denoise(f64),
    /// Less noise, by looking for similar places: slow; 1 is usual.
    DenoiseWell(f64),
    /// Stronger edges; 1 is usual.
    Sharpen(f64),
    /// One frame of each two fields, whatever the frames say of themselves.
    Deinterlace,
    /// Brightness around 0, and contrast, saturation and gamma around 1.
    Adjust {
        /// -1 to 1.
        brightness: f64,
        /// 0 to 3.
        contrast: f64,
        /// 0 to 3.
        saturation: f64,
        /// 0.1 to 10.
        gamma: f64,
    },
    /// No colours.
    Greyscale,
    /// Colours by a table (`.cube`), in RGB, back to what is coded by this matrix.
    Table {
        /// The table.
        path: PathBuf,
        /// How the video is coded.
        matrix: Matrix,
    },
    /// Makes a colour transparent, by hue: how far from it counts as it, and how soft that ends.
    Key {
        /// The colour.
        color: Color,
        /// How the video is coded.
        matrix: Matrix,
        /// 0.01 to 1.
        similarity: f64,
        /// 0 to 1.
        blend: f64,
    },
    /// Writes down how the camera shakes.
    Shakes(PathBuf),
    /// Takes the shaking out that was written down, over this many frames to each side.
    Steady {
        /// What was written down.
        path: PathBuf,
        /// Frames.
        smoothing: u32,
    },
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: f64| format!("{value:.4}");
        match self {
            Effect::Edges { low, high } => {
                write(f, "edgedetect", &[("low", &text(*low)), ("high", &text(*high))])
            }
            // hqdn3d's own defaults, scaled.
            Effect::Denoise(strength) => {
                let [luma, chroma, luma_time, chroma_time] =
                    [4.0, 3.0, 6.0, 4.5].map(|usual| text(usual * strength));
                let spatial = [("luma_spatial", luma.as_str()), ("chroma_spatial", &chroma)];
                let time = [("luma_tmp", luma_time.as_str()), ("chroma_tmp", &chroma_time)];
                write(f, "hqdn3d", &[spatial, time].concat())
            }
            Effect::DenoiseWell(strength) => {
                write(f, "nlmeans", &[("s", &text(strength * 3.0)), ("p", "5"), ("r", "9")])
            }
            Effect::Sharpen(strength) => write(f, "unsharp", &[("luma_amount", &text(*strength))]),
            Effect::Deinterlace => write(f, "bwdif", &[("mode", "send_frame"), ("deint", "all")]),
            Effect::Adjust { brightness, contrast, saturation, gamma } => {
                let (brightness, contrast) = (text(*brightness), text(*contrast));
                let (saturation, gamma) = (text(*saturation), text(*gamma));
                let light = [("brightness", brightness.as_str()), ("contrast", &contrast)];
                let color = [("saturation", saturation.as_str()), ("gamma", &gamma)];
                write(f, "eq", &[light, color].concat())
            }
            Effect::Greyscale => write(f, "hue", &[("s", "0")]),
            Effect::Table { path, matrix } => table(f, &path.to_string_lossy(), *matrix),
            Effect::Key { color, matrix, similarity, blend } => {
                let (luma, u, v) = matrix.coded(*color);
                let color = format!("0x{luma:02x}{u:02x}{v:02x}");
                let (similarity, blend) = (text(*similarity), text(*blend));
                let how = [("similarity", similarity.as_str()), ("blend", &blend)];
                write(f, "chromakey", &[[("color", color.as_str()), ("yuv", "1")], how].concat())
            }
            Effect::Shakes(path) => {
                write(f, "vidstabdetect", &[("result", &path.to_string_lossy())])
            }
            Effect::Steady { path, smoothing } => {
                let (path, smoothing) = (path.to_string_lossy(), smoothing.to_string());
                write(f, "vidstabtransform", &[("input", &path), ("smoothing", &smoothing)])
            }
        }
    }
}

fn table(f: &mut fmt::Formatter<'_>, path: &str, matrix: Matrix) -> fmt::Result {
    write(f, "format", &[("pix_fmts", "gbrp")])?;
    f.write_str(",")?;
    write(f, "lut3d", &[("file", path)])?;
    f.write_str(",")?;
    write(f, "scale", &[("out_color_matrix", matrix.name()), ("out_range", "tv")])?;
    f.write_str(",")?;
    write(f, "format", &[("pix_fmts", "yuv420p")])
}

impl Matrix {
    /// A colour as 8-bit samples of video range (ITU-R BT.601 and BT.709).
    pub fn coded(self, color: Color) -> (u8, u8, u8) {
        let (kr, kb) = match self {
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Smpte170m => (0.299, 0.114),
        };
        let [r, g, b] = [color.red, color.green, color.blue].map(|c| f64::from(c) / 255.0);
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let sample = |value: f64| value.round().clamp(0.0, 255.0) as u8;
        (
            sample(16.0 + 219.0 * y),
            sample(128.0 + 224.0 * (b - y) / (2.0 - 2.0 * kb)),
            sample(128.0 + 224.0 * (r - y) / (2.0 - 2.0 * kr)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_coded_as_the_standards_say() {
        let green = Color::opaque(0x00_ff00);
        assert_eq!(Matrix::Bt709.coded(green), (173, 42, 26));
        assert_eq!(Matrix::Smpte170m.coded(green), (145, 54, 34));
        assert_eq!(Matrix::Bt709.coded(Color::WHITE), (235, 128, 128));
    }
}
