//! Videos whose picture is drawn anew, frame for frame, while their other tracks go over as they
//! are. Pure.

use super::coding::Coding;
use super::part::Part;
use super::picture::{self, Look};
use super::single::Place;
use super::size::{Bounds, Fit};
use super::tracks::{self, AudioChoice, SubtitleChoice};
use super::{Expect, Frames, Plan, encoder, source};
use crate::ffmpeg::graph::{Graph, Link};
use crate::ffmpeg::job::{Input, Job, Keyframes, Origin, Output, Source, Video};
use crate::ffmpeg::probe::{Media, Stream, VideoStream};
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::wire::Failure;

/// A video, and what becomes of its picture before anything is done to it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// All of the file.
    pub media: &'a Media,
    /// The stream of the picture.
    pub stream: &'a Stream,
    /// The same, as a picture.
    pub video: &'a VideoStream,
    /// What becomes of it.
    pub look: Look,
    coding: &'a Coding,
    place: Place<'a>,
}

/// A job's inputs and graph while they grow.
#[derive(Clone, Debug, Default)]
pub struct Drawing {
    /// What is read.
    pub inputs: Vec<Input>,
    /// What is done.
    pub graph: Graph,
}

impl<'a> Subject<'a> {
    /// The picture of `media`. Drawings and effects are made for SDR, so HDR is mapped to it.
    ///
    /// # Errors
    ///
    /// If there is no picture, or the file's format can't have the codec that was asked for.
    pub fn of(media: &'a Media, coding: &'a Coding, place: Place<'a>) -> Result<Self, Failure> {
        let codec = coding.codec_in(place.container)?;
        let (stream, video) = source::picture_of(media, place.name)?;
        let sdr = Look::decide((Bounds::Source, Fit::Contain), Some(false), codec, video);
        let look = Look { ten_bit: coding.ten_bit == Some(true), ..sdr };
        Ok(Subject { media, stream, video, look, coding, place })
    }

    /// The stream, as the only input's.
    pub fn source(&self) -> Source {
        Source { input: 0, stream: self.stream.index }
    }

    /// The file, its tracks as far apart as they were.
    pub fn input(&self) -> Input {
        Input { delay: picture::preroll(self.media, self.stream), ..Input::of(self.place.input) }
    }

    /// The whole job, given what was drawn, at `done` of its graph; of it, `part`.
    ///
    /// # Errors
    ///
    /// If nothing can encode pictures of this size and kind.
    pub fn plan(
        self,
        (drawing, done): (Drawing, Link),
        part: Option<&Part>,
        (hardware, machine): (Hardware, &Capabilities),
    ) -> Result<Plan, Failure> {
        let Subject { media, stream, look, coding, place, .. } = self;
        let codec = coding.codec_in(place.container)?;
        let size = look.geometry.size();
        encoder::check_size(codec, size)?;
        let (encoder, fallback) = encoder::choose(codec, hardware, look, machine)?;
        let audio = tracks::audio(media, AudioChoice::Keep, place.container);
        let (subtitles, mut notes) =
            tracks::subtitles(media, SubtitleChoice::Keep, place.container);
        notes.extend(source::left_behind(media, stream, look, encoder));
        let frames = Frames::Every;
        let expect = Expect { source: self.source(), size, audio: audio.len(), frames };
        let video = Video {
            origin: Origin::Graph(done),
            encoder,
            rate: coding.rate(encoder),
            keyframes: Keyframes::Free,
            speed: coding.preset,
            time_base: stream.time_base.map(picture::coarser),
            hdr: None,
        };
        let (path, container) = (place.output.into(), place.container);
        let output = Output { path, container, video: Some(video), audio, subtitles };
        let Drawing { inputs, graph } = drawing;
        let job = Job { inputs, graph, outputs: vec![output], threads: coding.threads };
        let plan = Plan { job, fallback, notes, expect: vec![expect] };
        Ok(part.iter().fold(plan, |plan, part| part.of(plan)))
    }
}
