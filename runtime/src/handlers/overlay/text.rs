//! Draws each text once, as a picture: libass lays it out on black and on white, and what differs
//! is its opacity. So its colours are exact whatever codes the video, and no frame pays for it twice.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::args::Text;
use super::ass;
use super::font;
use super::raster;
use crate::color::Color;
use crate::encode::layer::{Layer, Pixels};
use crate::ffmpeg::Rational;
use crate::ffmpeg::drawing::Draw;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::graph::{Graph, Link};
use crate::ffmpeg::job::InputFormat;
use crate::ffmpeg::{exec, failure, input};
use crate::handler::Context;
use crate::storage::Files;
use crate::wire::{Failure, FailureKind};

/// Texts that one run of ffmpeg draws, so that what it writes stays small.
const BATCH: usize = 8;

/// Where a text was drawn, before it was turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Placed {
    /// From the left, in pixels.
    pub x: u32,
    /// From the top, in pixels.
    pub y: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// All texts of a call, drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    pub(crate) layers: Vec<Layer>,
    pub(crate) placed: Vec<Placed>,
    pub(crate) notes: Vec<String>,
}

/// Draws `texts` for a picture of `size`.
pub(crate) async fn draw(cx: &Context, texts: &[Text], size: (u32, u32)) -> Result<Texts, Failure> {
    let folder = cx.files().scratch();
    let fonts = folder.join("fonts");
    let mut families = Vec::with_capacity(texts.len());
    for text in texts {
        families.push(match &text.font_file {
            Some(file) => {
                let path = cx.files().input(file).await?;
                Some(font::install(&path, file.as_str(), &fonts)?)
            }
            None => None,
        });
    }
    let fonts = families.iter().any(Option::is_some).then_some(fonts);
    let mut drawn = Texts::default();
    for (batch, families) in texts.chunks(BATCH).zip(families.chunks(BATCH)) {
        let script = ass::script(&batch.iter().collect::<Vec<_>>(), families, size);
        let script = cx.files().write_scratch("texts.ass", script.as_bytes())?;
        let sheet = Sheet { script, raw: folder.join("texts.rgb"), size };
        let args = sheet.args(batch.len(), fonts.clone());
        let run = exec::ffmpeg(&cx.tools().ffmpeg, args, cx.cancellation(), |_| {}).await;
        let run = run.map_err(|error| failure::failure(error, "can't draw the texts"))?;
        drawn.notes.extend(font::notes(&run.log));
        sheet.read(batch, &mut drawn, cx.files())?;
    }
    drawn.notes.dedup();
    Ok(drawn)
}

/// One run's script, and its pictures: for each text a frame, on black above and on white below.
struct Sheet {
    script: PathBuf,
    raw: PathBuf,
    size: (u32, u32),
}

impl Sheet {
    /// The arguments of ffmpeg that draw `count` texts.
    fn args(&self, count: usize, fonts: Option<PathBuf>) -> Vec<OsString> {
        let mut graph = Graph::default();
        let mut on = |color| -> Link {
            let rate = Rational::new(1, 1);
            let script = Draw::Script { path: self.script.clone(), fonts: fonts.clone() };
            let steps = [Draw::Color { color, size: self.size, rate }, Draw::Rgb, script];
            graph.chain(&[], Chain(steps.map(Filter::Draw).into()))
        };
        let (black, white) = (on(Color::BLACK), on(Color::WHITE));
        let below = Chain(vec![Filter::Draw(Draw::Below)]);
        let both = graph.chain(&[black.into(), white.into()], below);
        let mut args: Vec<OsString> =
            ["-y", "-hide_banner", "-loglevel", "level+verbose", "-filter_complex"]
                .map(OsString::from)
                .into();
        args.extend([graph.to_string(), "-map".into(), both.to_string()].map(OsString::from));
        args.extend(["-frames:v", &count.to_string(), "-f", "rawvideo"].map(OsString::from));
        args.push(input::url(&self.raw));
        args
    }

    /// Cuts the texts out, one file each.
    fn read(&self, texts: &[Text], into: &mut Texts, files: &Files) -> Result<(), Failure> {
        let mut raw = BufReader::new(File::open(&self.raw).map_err(|error| unreadable(&error))?);
        let half = self.size.0 as usize * self.size.1 as usize * 3;
        let mut frame = vec![0; half * 2];
        for text in texts {
            raw.read_exact(&mut frame).map_err(|error| unreadable(&error))?;
            let (black, white) = frame.split_at(half);
            let Some(drawn) = raster::drawn(black, white, self.size) else {
                return Err(invisible(text));
            };
            let name = format!("text-{}.rgba", into.layers.len());
            let path = files.write_scratch(&name, &drawn.raster.rgba)?;
            let size = drawn.raster.size;
            let pixels = Pixels::File { path, format: InputFormat::Rgba { size }, size };
            let at = (f64::from(drawn.at.0), f64::from(drawn.at.1));
            let still = Layer::still(pixels, at, (f64::from(size.0), f64::from(size.1)));
            into.layers.push(Layer {
                rotate: text.rotate,
                opacity: text.opacity,
                window: text.shown.into(),
                ..still
            });
            let (x, y) = drawn.at;
            into.placed.push(Placed { x, y, width: size.0, height: size.1 });
        }
        Ok(())
    }
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::new(FailureKind::Output, "can't read what was drawn").cause(error)
}

fn invisible(text: &Text) -> Failure {
    let begin: String = text.text.chars().take(24).collect();
    Failure::new(FailureKind::InvalidArgs, format!("the text `{begin}` can't be seen"))
        .cause("nothing of it was drawn: it is outside the picture, or no font has its characters")
        .hint(
            "look at `x`, `y` and `size`, or install fonts: `sudo apt-get install fonts-noto-core`",
        )
}
