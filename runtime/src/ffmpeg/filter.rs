//! Filter chains as data, and the one place that writes them down with escaping. Pure.

use std::fmt::{self, Write as _};

use super::Rational;
use super::cut::Cut;
use super::drawing::Draw;
use super::effect::Effect;
use super::pixel::PixelFormat;
use super::sound::Sound;
use super::timing::Time;

/// Filters that run one after the other on one stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chain(pub Vec<Filter>);

/// One filter. Sizes are in pixels.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Makes one frame of each interlaced frame; frames not flagged as interlaced pass.
    Deinterlace,
    /// Resizes on the CPU.
    Scale {
        /// Width and height of the result.
        size: (u32, u32),
        /// Brings full-range samples (JPEG) to the range of video.
        to_video_range: bool,
        /// The matrix for RGB sources, which have none of their own.
        matrix: Option<Matrix>,
    },
    /// Resizes frames that are in GPU memory.
    ScaleCuda {
        /// Width and height of the result.
        size: (u32, u32),
        /// The format of the result.
        format: PixelFormat,
    },
    /// Brings frames from GPU memory, where they have this format.
    Download(PixelFormat),
    /// Cuts the middle out.
    Crop((u32, u32)),
    /// Puts bars around the picture.
    Pad((u32, u32)),
    /// Declares the pixels square.
    SquarePixels,
    /// Declares the colours of frames that don't say them.
    Tag(Matrix),
    /// Codes colours by another matrix, so that they stay what they are.
    Recode {
        /// How they are coded.
        from: Matrix,
        /// How they will be.
        to: Matrix,
    },
    /// Turns HDR of this transfer into SDR with BT.709 colours, resized on the way.
    ToneMap {
        /// How the source encodes light.
        from: HdrTransfer,
        /// Width and height of the result.
        size: (u32, u32),
    },
    /// Repeats and drops frames to reach a constant rate.
    Fps(Rational),
    /// Converts to a pixel format.
    Format(PixelFormat),
    /// Lets one frame of so many pass, beginning with the first.
    OneOf(u32),
    /// Puts frames side by side into one picture of so many columns and rows.
    Tile((u32, u32)),
    /// Of so many frames, lets the one pass that is most like the others.
    Typical(u32),
    /// Fills gaps with silence and starts at zero, so that sound is where its times say it is; at
    /// another sample rate if one is given.
    Steady {
        /// Samples per second.
        rate: Option<u32>,
    },
    /// Rearranges channels into a layout by its name, such as `5.1`.
    ChannelLayout(&'static str),
    /// The same pictures this many times.
    Split(u32),
    /// The same sound this many times.
    SplitAudio(u32),
    /// Converts to what JPEG holds.
    JpegPixels,
    /// Draws pictures over video.
    Draw(Draw),
    /// Changes when things happen.
    Time(Time),
    /// Changes how the picture looks.
    Effect(Effect),
    /// What is done to sound.
    Sound(Sound),
    /// What picks, cuts and joins.
    Cut(Cut),
}

/// How colours are coded as luma and chroma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// HD.
    Bt709,
    /// SD.
    Smpte170m,
}

/// How HDR video encodes light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HdrTransfer {
    /// SMPTE ST 2084, as in HDR10.
    Pq,
    /// ARIB STD-B67.
    Hlg,
}

impl Matrix {
    /// ffmpeg's name.
    pub fn name(self) -> &'static str {
        match self {
            Matrix::Bt709 => "bt709",
            Matrix::Smpte170m => "smpte170m",
        }
    }
}

impl HdrTransfer {
    /// ffmpeg's name.
    pub fn name(self) -> &'static str {
        match self {
            HdrTransfer::Pq => "smpte2084",
            HdrTransfer::Hlg => "arib-std-b67",
        }
    }
}

impl Chain {
    /// There is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, filter) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            filter.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::Deinterlace => {
                write(f, "bwdif", &[("mode", "send_frame"), ("deint", "interlaced")])
            }
            Filter::Scale { size, to_video_range, matrix } => {
                let (w, h) = texts(*size);
                let mut options = vec![("w", w.as_str()), ("h", h.as_str())];
                options.extend(to_video_range.then_some(("out_range", "tv")));
                options.extend(matrix.map(|matrix| ("out_color_matrix", matrix.name())));
                write(f, "scale", &options)
            }
            Filter::ScaleCuda { size, format } => {
                let (w, h) = texts(*size);
                write(f, "scale_cuda", &[("w", &w), ("h", &h), ("format", format.name())])
            }
            Filter::Download(format) => {
                write(f, "hwdownload", &[])?;
                f.write_str(",")?;
                write(f, "format", &[("pix_fmts", format.name())])
            }
            Filter::Crop(size) => {
                let (w, h) = texts(*size);
                write(f, "crop", &[("w", &w), ("h", &h)])
            }
            Filter::Pad(size) => {
                let (w, h) = texts(*size);
                write(f, "pad", &[("w", &w), ("h", &h), ("x", "(ow-iw)/2"), ("y", "(oh-ih)/2")])
            }
            Filter::SquarePixels => write(f, "setsar", &[("sar", "1")]),
            Filter::Tag(matrix) => tag(f, *matrix),
            Filter::Recode { from, to } => {
                let matrices = [("in_color_matrix", from.name()), ("out_color_matrix", to.name())];
                write(f, "scale", &matrices)
            }
            Filter::ToneMap { from, size } => tone_map(f, *from, *size),
            Filter::Fps(rate) => write(f, "fps", &[("fps", &rate.to_string())]),
            Filter::Format(format) => write(f, "format", &[("pix_fmts", format.name())]),
            Filter::OneOf(count) => {
                write(f, "select", &[("expr", &format!("not(mod(n,{count}))"))])
            }
            Filter::Tile((columns, rows)) => {
                write(f, "tile", &[("layout", &format!("{columns}x{rows}"))])
            }
            Filter::Typical(count) => write(f, "thumbnail", &[("n", &count.to_string())]),
            Filter::Steady { rate } => steady(f, *rate),
            Filter::ChannelLayout(name) => write(f, "aformat", &[("channel_layouts", name)]),
            Filter::Split(outputs) => write(f, "split", &[("outputs", &outputs.to_string())]),
            Filter::SplitAudio(outputs) => write(f, "asplit", &[("outputs", &outputs.to_string())]),
            Filter::JpegPixels => {
                write(f, "scale", &[("out_range", "pc")])?;
                f.write_str(",")?;
                write(f, "format", &[("pix_fmts", "yuvj420p")])
            }
            Filter::Draw(draw) => draw.fmt(f),
            Filter::Time(time) => time.fmt(f),
            Filter::Effect(effect) => effect.fmt(f),
            Filter::Sound(sound) => sound.fmt(f),
            Filter::Cut(cut) => cut.fmt(f),
        }
    }
}

fn steady(f: &mut fmt::Formatter<'_>, rate: Option<u32>) -> fmt::Result {
    let rate = rate.map(|rate| rate.to_string());
    let mut options = vec![("async", "1"), ("first_pts", "0")];
    options.extend(rate.as_deref().map(|rate| ("osr", rate)));
    write(f, "aresample", &options)
}

fn tag(f: &mut fmt::Formatter<'_>, matrix: Matrix) -> fmt::Result {
    let name = matrix.name();
    write(f, "setparams", &[("color_primaries", name), ("color_trc", name), ("colorspace", name)])
}

/// Linear light, BT.709 primaries, highlights compressed, BT.709 transfer. What the source is gets
/// said, since decoders leave parts of it out.
fn tone_map(f: &mut fmt::Formatter<'_>, from: HdrTransfer, size: (u32, u32)) -> fmt::Result {
    let (w, h) = texts(size);
    let linear = [
        ("w", w.as_str()),
        ("h", &h),
        ("tin", from.name()),
        ("min", "2020_ncl"),
        ("pin", "2020"),
        ("t", "linear"),
        ("npl", "100"),
    ];
    write(f, "zscale", &linear)?;
    f.write_str(",")?;
    write(f, "format", &[("pix_fmts", "gbrpf32le")])?;
    f.write_str(",")?;
    write(f, "zscale", &[("p", "709")])?;
    f.write_str(",")?;
    write(f, "tonemap", &[("tonemap", "hable"), ("desat", "0")])?;
    f.write_str(",")?;
    write(f, "zscale", &[("t", "709"), ("m", "709"), ("r", "limited")])
}

fn texts((width, height): (u32, u32)) -> (String, String) {
    (width.to_string(), height.to_string())
}

/// Writes `name=key=value:key=value`. Every value is escaped here and nowhere else.
pub(super) fn write(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    options: &[(&str, &str)],
) -> fmt::Result {
    f.write_str(name)?;
    for (index, (key, value)) in options.iter().enumerate() {
        f.write_char(if index == 0 { '=' } else { ':' })?;
        write!(f, "{key}={}", escape(value))?;
    }
    Ok(())
}

/// `text` as one value of a filter's option. ffmpeg reads it twice: the graph is cut at `,;[]`,
/// then the options at `:`; a backslash and a quote mean something both times.
pub fn escape(text: &str) -> String {
    let value = escape_each(text, &['\\', '\'', ':']);
    escape_each(&value, &['\\', '\'', '[', ']', ',', ';', ' ', '\t', '\n', '\r'])
}

fn escape_each(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// ffmpeg's `av_get_token`: up to an unquoted terminator, with quotes and backslashes undone
    /// and spaces around it trimmed.
    fn token(text: &str, terminators: &str) -> (String, String) {
        let mut value = String::new();
        let mut kept = 0;
        let mut chars = text.trim_start_matches([' ', '\n', '\t', '\r']).chars();
        let mut rest = chars.as_str();
        while let Some(c) = chars.next() {
            if terminators.contains(c) {
                break;
            }
            match c {
                '\\' => value.extend(chars.next()),
                '\'' => value.extend(chars.by_ref().take_while(|c| *c != '\'')),
                c => value.push(c),
            }
            if c == '\\' || c == '\'' || ![' ', '\n', '\t', '\r'].contains(&c) {
                kept = value.len();
            }
            rest = chars.as_str();
        }
        value.truncate(kept);
        (value, rest.into())
    }

    proptest! {
        #[test]
        fn text_cannot_end_its_argument(text in "[a-z \\\\':,;\\[\\]=%\n\t|é]{0,24}") {
            let (options, rest) = token(&format!("{},next", escape(&text)), "[],;");
            prop_assert_eq!(&rest, ",next");
            let (value, rest) = token(&format!("{options}:next"), ":");
            prop_assert_eq!(rest, ":next");
            // The second reading trims what the first one kept.
            prop_assert_eq!(value, text.trim_matches([' ', '\n', '\t', '\r']));
        }
    }

    #[test]
    fn a_chain_is_written_in_order() {
        let chain = Chain(vec![
            Filter::Deinterlace,
            Filter::Scale { size: (640, 360), to_video_range: true, matrix: None },
            Filter::SquarePixels,
            Filter::Format(PixelFormat::Yuv420p),
        ]);
        insta::assert_snapshot!(chain, @"bwdif=mode=send_frame:deint=interlaced,scale=w=640:h=360:out_range=tv,setsar=sar=1,format=pix_fmts=yuv420p");
    }

    #[test]
    fn hdr_is_mapped_in_linear_light() {
        let filter = Filter::ToneMap { from: HdrTransfer::Hlg, size: (640, 360) };
        insta::assert_snapshot!(filter, @"zscale=w=640:h=360:tin=arib-std-b67:min=2020_ncl:pin=2020:t=linear:npl=100,format=pix_fmts=gbrpf32le,zscale=p=709,tonemap=tonemap=hable:desat=0,zscale=t=709:m=709:r=limited");
    }
}
