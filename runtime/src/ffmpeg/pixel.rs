//! What decoded pictures are made of, and what is said of their light. Pure.

/// Formats of decoded pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// 8 bits, 4:2:0.
    Yuv420p,
    /// 10 bits, 4:2:0.
    Yuv420p10,
    /// 8 bits, 4:2:0, as GPUs hold it.
    Nv12,
    /// 10 bits, 4:2:0, as GPUs hold it.
    P010,
}

/// Static HDR metadata (SMPTE ST 2086 and CTA-861.3), in the integers that codecs store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HdrMetadata {
    /// The display it was graded on.
    pub mastering: Option<Mastering>,
    /// Brightest pixel and brightest average, in nits.
    pub content_light: Option<(u32, u32)>,
}

/// The display that a grading was made on. Chromaticities in 1/50000, light in 1/10000 nit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mastering {
    /// x and y of red.
    pub red: (u32, u32),
    /// x and y of green.
    pub green: (u32, u32),
    /// x and y of blue.
    pub blue: (u32, u32),
    /// x and y of white.
    pub white: (u32, u32),
    /// Most and least light.
    pub luminance: (u32, u32),
}

impl PixelFormat {
    /// ffmpeg's name.
    pub fn name(self) -> &'static str {
        match self {
            PixelFormat::Yuv420p => "yuv420p",
            PixelFormat::Yuv420p10 => "yuv420p10le",
            PixelFormat::Nv12 => "nv12",
            PixelFormat::P010 => "p010le",
        }
    }
}
