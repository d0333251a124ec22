//! Makes a video with boxes and labels drawn on it. Planning is pure.

use std::path::Path;

use crate::encode::picture::{self, Look};
use crate::encode::single::{Place, Single};
use crate::encode::size::{Bounds, Fit};
use crate::encode::tracks::{self, AudioChoice, SubtitleChoice};
use crate::encode::{Coding, Expect, Frames, Plan, encoder, source};
use crate::ffmpeg::drawing::Draw;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::graph::Graph;
use crate::ffmpeg::job::{Input, Job, Keyframes, Origin, Output, Source, Video};
use crate::ffmpeg::probe::Media;
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::wire::Failure;

/// What is drawn on, and how the result is coded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Annotation<'a> {
    coding: &'a Coding,
    media: &'a Media,
    machine: &'a Capabilities,
    place: Place<'a>,
    /// The boxes and labels.
    script: &'a Path,
}

impl<'a> Annotation<'a> {
    /// Of the video that was opened, by what is in `script`.
    pub(super) fn of(single: &'a Single<'_>, coding: &'a Coding, script: &'a Path) -> Self {
        let (media, machine) = (&single.opened.media, &single.opened.machine);
        Annotation { coding, media, machine, place: single.place(), script }
    }

    /// Every frame goes through, and so does the sound.
    pub(super) fn plan(self, hardware: Hardware) -> Result<Plan, Failure> {
        let Annotation { coding, media, machine, place, script } = self;
        let codec = coding.codec_in(place.container)?;
        let (stream, video) = source::picture_of(media, place.name)?;
        // Colours of drawings are SDR, so HDR is mapped to it.
        let sdr = Look::decide((Bounds::Source, Fit::Contain), Some(false), codec, video);
        let look = Look { ten_bit: coding.ten_bit == Some(true), ..sdr };
        let size = look.geometry.size();
        encoder::check_size(codec, size)?;
        let (encoder, fallback) = encoder::choose(codec, hardware, look, machine)?;
        let source = Source { input: 0, stream: stream.index };
        let mut graph = Graph::default();
        let Chain(mut filters) = picture::cpu_filters(video, look, None);
        filters.push(Filter::Draw(Draw::Script { path: script.into(), fonts: None }));
        let drawn = graph.chain(&[source.into()], Chain(filters));
        let audio = tracks::audio(media, AudioChoice::Keep, place.container);
        let (subtitles, mut notes) =
            tracks::subtitles(media, SubtitleChoice::Keep, place.container);
        notes.extend(source::left_behind(media, stream, look, encoder));
        let expect = Expect { source, size, audio: audio.len(), frames: Frames::Every };
        let video = Video {
            origin: Origin::Graph(drawn),
            encoder,
            rate: coding.rate(encoder),
            keyframes: Keyframes::Free,
            speed: coding.preset,
            time_base: stream.time_base.map(picture::coarser),
            hdr: None,
        };
        let output = Output {
            path: place.output.into(),
            container: place.container,
            video: Some(video),
            audio,
            subtitles,
        };
        let input = Input { delay: picture::preroll(media, stream), ..Input::of(place.input) };
        let job =
            Job { inputs: vec![input], graph, outputs: vec![output], threads: coding.threads };
        Ok(Plan { job, fallback, notes, expect: vec![expect] })
    }
}
