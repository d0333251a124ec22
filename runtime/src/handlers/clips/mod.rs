//! Cuts clips out of videos, frame by frame exact, and puts them together as one video, as files of
//! their own, or both.

pub mod args;

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use self::args::{Args, Clip};
use crate::encode::reel::Segment;
use crate::encode::reel::make::{self, Made};
use crate::encode::reel::normal::Making;
use crate::encode::reel::open::Opened;
use crate::encode::run::Work;
use crate::encode::single;
use crate::encode::verify::Verified;
use crate::ffmpeg::container::Container;
use crate::gpu::Capabilities;
use crate::handler::{Context, Handler};
use crate::handlers::overlay::text;
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// The `clips` handler.
#[derive(Debug)]
pub struct Clips;

/// What `clips` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The video of all clips; null where only files of their own were asked for.
    pub output: Option<String>,
    /// The folder with a file for each clip; null where none was asked for.
    pub folder: Option<String>,
    /// The clips, in their order.
    pub clips: Vec<Cut>,
    /// How the video of all clips was made; null without one.
    pub reel: Option<How>,
}

/// One clip.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Cut {
    /// The video that it is taken from.
    pub input: String,
    /// Its first frame, counted from 0.
    pub start_frame: u64,
    /// The frame after its last.
    pub end_frame: u64,
    /// Seconds at which it begins.
    pub start: f64,
    /// Seconds that it lasts.
    pub seconds: f64,
    /// Its file in the folder; null without one.
    pub file: Option<String>,
    /// How its file was made; null without one.
    pub how: Option<How>,
}

/// How a video was made.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct How {
    /// Frames that went over as packets.
    pub frames_copied: u64,
    /// Frames that were coded anew.
    pub frames_encoded: u64,
    /// The encoder, by ffmpeg's name; `copy` where nothing was coded anew.
    pub encoder: String,
    /// Why packets didn't go over as they are; null where they did.
    pub why_encoded: Option<String>,
    /// Why the CPU was used although a GPU was wanted; null when that isn't so.
    pub fallback: Option<String>,
    /// What was checked before this counted as a result; null with `verify=off`.
    pub verified: Option<Verified>,
}

impl From<Made> for How {
    fn from(made: Made) -> Self {
        How {
            frames_copied: made.copied,
            frames_encoded: made.encoded,
            encoder: made.encoder,
            why_encoded: made.why_encoded,
            fallback: made.fallback,
            verified: made.verified,
        }
    }
}

impl Handler for Clips {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "clips";
    const ABOUT: &'static str = "Cuts clips out of videos and makes a reel of them.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        args.check()?;
        let container = single::container(args.output.as_ref(), args.coding.codec)?;
        args.wish.check(&args.coding, container)?;
        let inputs: Vec<_> = args.clips.iter().map(|clip| clip.input.clone()).collect();
        let opened = Opened::all(&cx, &inputs).await?;
        let segment = |(number, clip): (usize, &Clip)| {
            let found = opened.iter().find(|file| file.name == clip.input.as_str());
            let file = found.expect("every input was opened");
            file.segment(clip.frames(number, &file.index)?)
        };
        let segments =
            args.clips.iter().enumerate().map(segment).collect::<Result<Vec<_>, Failure>>()?;
        let hardware = args.coding.hardware(&cx);
        let codec = args.coding.codec_in(container)?;
        let machine = Capabilities::of(cx.tools(), hardware, codec, cx.cancellation()).await?;
        let cutting = Cutting { cx: &cx, args: &args, machine: &machine };
        let wants_reel = args.output.is_some() || args.folder.is_none();
        let name = format!("reel.{}", container.extension());
        let reel =
            wants_reel.then(|| cx.files().output(args.output.as_ref(), &name)).transpose()?;
        let folder =
            args.folder.as_ref().map(|folder| cx.files().output(Some(folder), "")).transpose()?;
        let files = match &folder {
            Some(folder) => cutting.files(&segments, &folder.path()).await?,
            None => Vec::new(),
        };
        let made = match &reel {
            Some(reel) => {
                let all = segments.iter().cloned().zip(&args.clips).collect();
                Some(cutting.make(all, args.fade, &reel.path(), container, "reel").await?)
            }
            None => None,
        };
        cx.progress(Progress { phase: Phase::Uploading, ..Progress::default() });
        let mut output = Output {
            output: None,
            folder: None,
            clips: cuts(&segments, files),
            reel: made.map(How::from),
        };
        for (staged, place, name) in
            [(reel, &mut output.output, "output"), (folder, &mut output.folder, "folder")]
        {
            if let Some(staged) = staged {
                let artifact = staged.commit(name)?;
                *place = Some(artifact.location.clone());
                cx.add_artifact(artifact);
            }
        }
        Ok(output)
    }
}

struct Cutting<'a> {
    cx: &'a Context,
    args: &'a Args,
    machine: &'a Capabilities,
}

impl Cutting<'_> {
    /// A file for each clip: its name and how it was made.
    async fn files(
        &self,
        segments: &[Segment<'_>],
        folder: &Path,
    ) -> Result<Vec<(String, How)>, Failure> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::new(FailureKind::Output, "can't make the folder of clips").cause(error)
        })?;
        let mut files = Vec::new();
        for (number, (segment, clip)) in segments.iter().zip(&self.args.clips).enumerate() {
            let name = format!("{}.mp4", clip.file_name(number));
            let one = vec![(segment.clone(), clip)];
            let path = folder.join(&name);
            let made =
                self.make(one, 0.0, &path, Container::Mp4, &format!("clip-{number}")).await?;
            files.push((name, made.into()));
        }
        Ok(files)
    }

    async fn make(
        &self,
        clips: Vec<(Segment<'_>, &Clip)>,
        fade: f64,
        output: &Path,
        container: Container,
        scratch: &str,
    ) -> Result<Made, Failure> {
        let wish = &self.args.wish;
        let (mut segments, clips): (Vec<_>, Vec<_>) = clips.into_iter().unzip();
        let target = wish.target(&segments, fade);
        let texts: Vec<_> = clips.iter().filter_map(|clip| clip.caption.clone()).collect();
        let drawn = text::draw(self.cx, &texts, target.size).await?;
        let captioned = segments.iter_mut().zip(&clips).filter(|(_, clip)| clip.caption.is_some());
        for ((segment, _), layer) in captioned.zip(drawn.layers) {
            segment.caption = Some(layer);
        }
        let reencode = wish.reencodes(&self.args.coding, &segments, target, container);
        let making = Making {
            coding: &self.args.coding,
            hardware: self.args.coding.hardware(self.cx),
            machine: self.machine,
            output,
            container,
        };
        let first = segments.first().expect("there is at least one clip");
        let work = Work { cx: self.cx, verb: "cut", name: first.name, media: first.media };
        let scratch = self.cx.files().scratch().join(scratch);
        make::make(work, &segments, target, making, reencode, &scratch).await
    }
}

fn cuts(segments: &[Segment<'_>], files: Vec<(String, How)>) -> Vec<Cut> {
    let mut files = files.into_iter();
    let cut = |segment: &Segment<'_>| {
        let (file, how) = files.next().unzip();
        Cut {
            input: segment.name.into(),
            start_frame: segment.frames.start as u64,
            end_frame: segment.frames.end as u64,
            start: segment.index.seconds(segment.frames.start),
            seconds: segment.seconds(),
            file,
            how,
        }
    };
    segments.iter().map(cut).collect()
}
