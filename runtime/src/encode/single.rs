//! What handlers share that make one video of one video: where it goes, how it is made, and what
//! is said of it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use super::open::Opened;
use super::part::Part;
use super::verify::Verified;
use super::{Coding, Plan, Verify};
use crate::ffmpeg::codec::{Encoder, VideoCodec};
use crate::ffmpeg::container::Container;
use crate::ffmpeg::input::Source;
use crate::ffmpeg::job::InputFormat;
use crate::ffmpeg::probe::Count;
use crate::function::Hardware;
use crate::handler::Context;
use crate::storage::{InputFile, OutputFile, StagedOutput};
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// Where things are.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The input.
    pub input: &'a Source,
    /// What the caller called it.
    pub name: &'a str,
    /// Where to write.
    pub output: &'a Path,
    /// In which format.
    pub container: Container,
}

/// What is said of a video that was made.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Made {
    /// Where the result is.
    pub output: String,
    /// The encoder that was used, by ffmpeg's name.
    pub encoder: String,
    /// Why the CPU was used although a GPU was wanted; null when that isn't so.
    pub fallback: Option<String>,
    /// Seconds that ffmpeg worked.
    pub seconds: f64,
    /// Seconds of video per second of work.
    pub speed: f64,
    /// Size of the input in bytes.
    pub input_bytes: u64,
    /// Size of the result in bytes.
    pub output_bytes: u64,
    /// What was checked before this counted as a result; null with `verify=off`.
    pub verified: Option<Verified>,
    /// What of the input didn't come along, or was changed on the way.
    pub notes: Vec<String>,
}

/// The container that an output's name asks for; without a name, the usual one of `codec`.
pub fn container(
    output: Option<&OutputFile>,
    codec: Option<VideoCodec>,
) -> Result<Container, Failure> {
    let Some(output) = output else {
        return Ok(match codec {
            Some(VideoCodec::Vp9) => Container::WebM,
            _ => Container::Mp4,
        });
    };
    let extension = Path::new(output.as_str()).extension().unwrap_or_default().to_string_lossy();
    Container::of_extension(&extension).ok_or_else(|| {
        Failure::new(
            FailureKind::InvalidArgs,
            format!("`{}` doesn't say which format is wanted", output.as_str()),
        )
        .cause(format!("`.{extension}` is none of .mp4, .m4v, .mov, .mkv and .webm"))
        .hint("name an output that ends in `.mp4`")
    })
}

/// The input's name with the container's extension.
pub fn default_name(input: &str, container: Container) -> String {
    let stem = Path::new(input).file_stem().unwrap_or("output".as_ref());
    format!("{}.{}", stem.to_string_lossy(), container.extension())
}

/// A picture that was named in the arguments.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Where it is on this machine.
    pub path: PathBuf,
    /// How it is read.
    pub format: InputFormat,
    /// Its width and height, as shown.
    pub size: (u32, u32),
    /// It has opacity.
    pub alpha: bool,
}

/// Looks at a picture; anything else is refused.
pub async fn picture(cx: &Context, file: &InputFile) -> Result<Picture, Failure> {
    let path = cx.files().input(file).await?;
    let name = file.as_str();
    let media = cx.tools().inspect(&path, name, Count::Nothing, cx.cancellation()).await?;
    let still = media.format.ends_with("_pipe") || matches!(media.format.as_str(), "gif" | "apng");
    let video = media.video().map(|(_, video)| video).filter(|_| still).ok_or_else(|| {
        Failure::new(FailureKind::InvalidInput, format!("`{name}` isn't a picture"))
            .cause(format!("its format is `{}`", media.format))
            .hint("name a PNG, JPEG, WebP, GIF, BMP or TIFF file")
    })?;
    let jpeg = media.format == "jpeg_pipe";
    let format = if jpeg { InputFormat::Jpeg } else { InputFormat::Media };
    Ok(Picture { path, format, size: video.rotated_size(), alpha: video.alpha() })
}

/// What a handler is asked that makes one video of one.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The video to read, as the caller calls it.
    pub input: &'a str,
    /// Where the result goes.
    pub output: Option<&'a OutputFile>,
    /// Only a part of the work.
    pub part: Option<&'a Part>,
    /// How the result is coded.
    pub coding: &'a Coding,
    /// HDR may stay HDR.
    pub hdr: bool,
}

/// An order whose input was looked at.
#[derive(Debug)]
pub struct Single<'a> {
    /// The input, and what can be done to it.
    pub opened: Opened<'a>,
    container: Container,
    target: PathBuf,
    verify: Verify,
}

/// Refuses an order that can't be met, looks at its input, and stages its output.
pub async fn open<'a>(
    cx: &'a Context,
    order: Order<'a>,
) -> Result<(Single<'a>, StagedOutput), Failure> {
    let Order { input, output, coding, .. } = order;
    let container = match order.part {
        Some(part) => part.container(),
        None => container(output, coding.codec)?,
    };
    let codec = coding.codec_in(container)?;
    coding.check(codec)?;
    let hdr = order.hdr && coding.keeps_hdr(codec);
    let opened = Opened::of(cx, input, coding, (&[codec], hdr)).await?;
    let staged = cx.files().output(output, &default_name(input, container))?;
    let single = Single { opened, container, target: staged.path(), verify: coding.verify };
    Ok((single, staged))
}

impl Single<'_> {
    /// Where things are.
    pub fn place(&self) -> Place<'_> {
        let Opened { source, name, .. } = &self.opened;
        Place { input: source, name, output: &self.target, container: self.container }
    }

    /// Runs what is `planned` for the hardware that is wanted, or for the CPU if a GPU fails; has
    /// the result judged and put in its place. `verb` is what the handler does.
    pub async fn make(
        &self,
        verb: &str,
        planned: impl Fn(Hardware) -> Result<Plan, Failure>,
        staged: StagedOutput,
    ) -> Result<Made, Failure> {
        let (work, hardware) = (self.opened.work(verb), self.opened.hardware);
        let started = Instant::now();
        let ran = work.run(planned(hardware)?, hardware, || planned(Hardware::Off)).await;
        let (plan, run) = ran?;
        let seconds = started.elapsed().as_secs_f64();
        let verified = work.verify(&plan, 0, &run, self.verify).await?;
        work.cx.progress(Progress { phase: Phase::Uploading, ..Progress::default() });
        let artifact = staged.commit("output")?;
        let made = Made {
            output: artifact.location.clone(),
            encoder: plan.encoder().map_or("none", Encoder::name).into(),
            seconds,
            speed: run.last.seconds / seconds,
            input_bytes: work.media.bytes,
            output_bytes: artifact.bytes,
            verified,
            fallback: plan.fallback,
            notes: plan.notes,
        };
        work.cx.add_artifact(artifact);
        Ok(made)
    }
}
