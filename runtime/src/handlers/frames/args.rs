//! What `frames` takes.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::encode::size::{Bounds, Fit};
use crate::ffmpeg::picture::{Channels, PictureCoding};
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// What `frames` takes. Exactly one of `indices`, `times`, `fps`, `every`, `count`, `scenes` and
/// `keyframes` chooses the frames.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video to read.
    pub input: InputFile,
    /// Where the frames go. A name that ends in `.png`, `.jpg` or `.webp` is one picture: the only
    /// frame, or a sheet of all. One that ends in `.npy` is one array of all frames. Anything else
    /// is a folder. Without it the result is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// Frames by their number in the order they are shown, from 0; kept in the order given.
    #[serde(default)]
    pub indices: Vec<u64>,
    /// The frames that are shown at these seconds, counted from the first frame.
    #[serde(default)]
    pub times: Vec<f64>,
    /// So many frames per second: each the one that is shown at its instant.
    #[serde(default)]
    #[schemars(range(min = 0.000_01, max = 480.0))]
    pub fps: Option<f64>,
    /// One frame of every so many.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub every: Option<u64>,
    /// So many frames, evenly spread: the middle of each of as many equal parts.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100_000))]
    pub count: Option<u64>,
    /// The first frame of each scene: where the picture changes by more than this share, from 0 to
    /// 1; 0.3 finds most cuts. The whole video is decoded for it.
    #[serde(default)]
    #[schemars(range(min = 0.01, max = 1.0))]
    pub scenes: Option<f64>,
    /// All keyframes; nothing else is decoded.
    #[serde(default)]
    pub keyframes: bool,
    /// How frames are written in a folder: by default as `png`.
    #[serde(default)]
    pub format: Option<Format>,
    /// Quality of JPEG and WebP, from 1 to 100.
    #[serde(default = "quality")]
    #[schemars(range(min = 1, max = 100))]
    pub quality: u8,
    /// Width in pixels; without it frames keep their size, turned and with square pixels.
    #[serde(default)]
    #[schemars(range(min = 2, max = 16384))]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(default)]
    #[schemars(range(min = 2, max = 16384))]
    pub height: Option<u32>,
    /// How the picture goes into a box of another shape.
    #[serde(default)]
    pub fit: Fit,
    /// Arrays: the order of the axes after the frames'.
    #[serde(default)]
    pub layout: Layout,
    /// Arrays: the order of the channels.
    #[serde(default)]
    pub channels: ChannelOrder,
    /// Arrays: the type of the elements.
    #[serde(default)]
    pub dtype: Dtype,
    /// Arrays: frames in each file of a folder; by default one file has all.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100_000))]
    pub batch: Option<u64>,
    /// All frames on one picture or a few, as previews of players or for people.
    #[serde(default)]
    pub sheet: Option<Sheet>,
    /// Columns of a sheet.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    pub columns: Option<u32>,
}

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// PNG: lossless.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// Arrays for NumPy.
    Npy,
}

/// The order of the axes of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Rows, columns, channels: OpenCV, Pillow, TensorFlow.
    #[default]
    Hwc,
    /// Channels, rows, columns: PyTorch.
    Chw,
}

/// The order of the channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelOrder {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red: OpenCV.
    Bgr,
}

/// The type of the elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// Bytes, from 0 to 255.
    #[default]
    U8,
    /// 32-bit floats, from 0 to 1.
    F32,
}

/// Kinds of sheets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sheet {
    /// Pictures in a grid without gaps, 160 pixels wide unless said otherwise, and a WebVTT file
    /// that says which part to show when: a folder.
    Sprite,
    /// Pictures in a grid with gaps, on one picture.
    Contact,
}

fn quality() -> u8 {
    85
}

/// What chooses the frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pick<'a> {
    /// By number.
    Indices(&'a [u64]),
    /// By time.
    Times(&'a [f64]),
    /// So many per second.
    Fps(f64),
    /// One of so many.
    Every(u64),
    /// So many, evenly spread.
    Count(u64),
    /// Where the picture changes by this much.
    Scenes(f64),
    /// All keyframes.
    Keyframes,
}

/// What is made of the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One picture file of the only frame.
    Picture(PictureCoding),
    /// A folder with a picture for each frame.
    Pictures(PictureCoding),
    /// One array of all frames.
    Array,
    /// A folder with an array for each so many frames.
    Batches(u64),
    /// A folder with sprite sheets and a WebVTT file.
    Sprite(PictureCoding),
    /// One picture with all frames.
    Contact(PictureCoding),
}

impl Args {
    /// What chooses the frames.
    pub fn pick(&self) -> Result<Pick<'_>, Failure> {
        let picks = [
            (!self.indices.is_empty()).then_some(Pick::Indices(&self.indices)),
            (!self.times.is_empty()).then_some(Pick::Times(&self.times)),
            self.fps.map(Pick::Fps),
            self.every.map(|every| Pick::Every(every.max(1))),
            self.count.map(Pick::Count),
            self.scenes.map(Pick::Scenes),
            self.keyframes.then_some(Pick::Keyframes),
        ];
        let mut picks = picks.into_iter().flatten();
        match (picks.next(), picks.next()) {
            (Some(pick), None) => Ok(pick),
            _ => Err(Failure::new(
                FailureKind::InvalidArgs,
                "exactly one of `indices`, `times`, `fps`, `every`, `count`, `scenes` and \
                 `keyframes` chooses the frames",
            )
            .hint("take ten, evenly spread: `count=10`")),
        }
    }

    /// What is made of the frames.
    pub fn shape(&self) -> Result<Shape, Failure> {
        let wrong = |message: String, hint: &str| {
            Err(Failure::new(FailureKind::InvalidArgs, message).hint(hint))
        };
        let named = self.named_format();
        let coding = |format| self.coding(format);
        let format = self.format.or(named);
        match (self.sheet, named, format) {
            (Some(_), _, Some(Format::Npy)) => {
                wrong("a sheet is a picture, not an array".into(), "use `format=jpeg`")
            }
            (Some(Sheet::Sprite), Some(_), _) => wrong(
                "a sprite is a folder: sheets and a WebVTT file".into(),
                "name an output without an extension",
            ),
            (Some(Sheet::Sprite), None, format) => {
                Ok(Shape::Sprite(coding(format.unwrap_or(Format::Jpeg))))
            }
            (Some(Sheet::Contact), _, format) => {
                Ok(Shape::Contact(coding(format.unwrap_or(Format::Jpeg))))
            }
            (None, Some(named), Some(format)) if named != format => wrong(
                "`output` and `format` name different formats".into(),
                "leave `format` out: the extension of `output` decides",
            ),
            (None, Some(Format::Npy), _) if self.batch.is_some() => wrong(
                "batches are files in a folder".into(),
                "name an output without an extension, and `format=npy`",
            ),
            (None, Some(Format::Npy), _) => Ok(Shape::Array),
            (None, Some(format), _) => Ok(Shape::Picture(coding(format))),
            (None, None, Some(Format::Npy)) => match (self.batch, &self.output) {
                (None, None) => Ok(Shape::Array),
                (batch, _) => Ok(Shape::Batches(batch.unwrap_or(u64::MAX))),
            },
            (None, None, format) => Ok(Shape::Pictures(coding(format.unwrap_or(Format::Png)))),
        }
    }

    /// The box that was asked for.
    pub fn bounds(&self) -> Bounds {
        match (self.width, self.height, self.sheet) {
            (None, None, Some(Sheet::Sprite)) => Bounds::Pixels { width: Some(160), height: None },
            (None, None, Some(Sheet::Contact)) => Bounds::Pixels { width: Some(320), height: None },
            (None, None, None) => Bounds::Source,
            (width, height, _) => Bounds::Pixels { width, height },
        }
    }

    fn named_format(&self) -> Option<Format> {
        let output = self.output.as_ref()?;
        let extension = Path::new(output.as_str()).extension()?.to_string_lossy().to_lowercase();
        match extension.as_str() {
            "png" => Some(Format::Png),
            "jpg" | "jpeg" => Some(Format::Jpeg),
            "webp" => Some(Format::Webp),
            "npy" => Some(Format::Npy),
            _ => None,
        }
    }

    fn coding(&self, format: Format) -> PictureCoding {
        match format {
            Format::Png => PictureCoding::Png,
            Format::Jpeg => PictureCoding::Jpeg(self.quality),
            Format::Webp => PictureCoding::WebP(self.quality),
            Format::Npy => PictureCoding::Raw(self.channels.into()),
        }
    }
}

impl From<ChannelOrder> for Channels {
    fn from(order: ChannelOrder) -> Self {
        match order {
            ChannelOrder::Rgb => Channels::Rgb,
            ChannelOrder::Bgr => Channels::Bgr,
        }
    }
}
