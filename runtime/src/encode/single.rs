//! What handlers share that make one video of one video: where it goes, how it is made, and what
//! is said of it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use super::run::Work;
use super::verify::Verified;
use super::{Plan, Verify};
use crate::ffmpeg::job::{Container, Encoder, InputFormat, VideoCodec};
use crate::ffmpeg::probe::{Count, Media};
use crate::function::Hardware;
use crate::handler::Context;
use crate::storage::{InputFile, OutputFile, StagedOutput};
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// Where things are.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The input on this machine.
    pub input: &'a Path,
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
pub fn default_name(input: &InputFile, container: Container) -> String {
    let stem = Path::new(input.as_str()).file_stem().unwrap_or("output".as_ref());
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

/// Runs `plan`, on the CPU by `on_cpu` if a GPU fails, has the result judged and put in its place.
pub async fn make(
    work: Work<'_>,
    plan: Plan,
    (hardware, verify): (Hardware, Verify),
    on_cpu: impl FnOnce() -> Result<Plan, Failure>,
    staged: StagedOutput,
) -> Result<Made, Failure> {
    let started = Instant::now();
    let (plan, run) = work.run(plan, hardware, on_cpu).await?;
    let seconds = started.elapsed().as_secs_f64();
    let verified = work.verify(&plan, 0, &run, verify).await?;
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

/// What the input is, by its headers.
pub async fn inspect(cx: &Context, path: &Path, name: &str) -> Result<Media, Failure> {
    cx.tools().inspect(path, name, Count::Nothing, cx.cancellation()).await
}
