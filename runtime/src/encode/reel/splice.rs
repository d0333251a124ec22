//! Parts put together as packets: copied where that is possible, coded anew at the edges of cuts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::Segment;
use super::smart::{self, Part};
use crate::encode::run::Work;
use crate::ffmpeg::codec::Speed;
use crate::ffmpeg::exec;
use crate::ffmpeg::mp4::avc::ParameterSets;
use crate::ffmpeg::splice::{self, CopyJob, EdgeJob, Joined};
use crate::ffmpeg::{input, inspect};
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// Constant quality of edges: good enough not to be seen beside what they are cut from.
const EDGE_QUALITY: u8 = 16;

/// Bytes in which the first slice of a picture has begun.
const HEAD: u64 = 64 << 10;

/// Why packets can't go over: one sentence for the result.
pub type WhyNot = String;

/// A video of joined parts, without sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Spliced {
    /// An MP4 file in the call's scratch folder.
    pub path: PathBuf,
    /// Frames that went over as packets.
    pub copied: u64,
    /// Frames that were coded anew.
    pub encoded: u64,
}

/// How each segment goes over, or why that can't be.
pub async fn plan(work: Work<'_>, segments: &[Segment<'_>]) -> Result<Vec<Vec<Part>>, WhyNot> {
    let first = segments.first().ok_or("there is nothing to join")?;
    for segment in segments {
        fits(segment)?;
        let (a, b) = (first.video, segment.video);
        if (a.width, a.height, &a.pixel_format, a.sar)
            != (b.width, b.height, &b.pixel_format, b.sar)
            || first.stream.codec != segment.stream.codec
            || first.stream.time_base != segment.stream.time_base
        {
            return Err(format!("`{}` and `{}` are coded differently", first.name, segment.name));
        }
    }
    alike(work, segments).await?;
    let parts: Vec<_> = segments.iter().map(parts).collect();
    match parts.iter().flatten().any(Part::is_copy) {
        true => Ok(parts),
        false => Err("no part is long enough to have packets that can be copied".into()),
    }
}

/// What is needed of a source; less where all of it goes over.
fn fits(segment: &Segment<'_>) -> Result<(), WhyNot> {
    let Segment { name, stream, video, index, media, .. } = segment;
    let codec = stream.codec.as_str();
    if !index.seekable || !matches!(codec, "h264" | "hevc" | "av1" | "vp9") {
        return Err(format!("`{name}` is of a kind ({codec}) whose packets aren't joined"));
    }
    if video.rotation != 0 {
        return Err(format!("`{name}` is to be shown turned"));
    }
    if segment.is_whole() {
        return Ok(());
    }
    if codec != "h264" || video.pixel_format != "yuv420p" || video.interlaced {
        return Err(format!("`{name}` isn't plain H.264, so its edges can't be coded to match"));
    }
    if !media.format.contains("mp4") {
        return Err(format!(
            "`{name}` isn't an MP4 or MOV file, so its keyframes can't be examined"
        ));
    }
    Ok(())
}

fn parts(segment: &Segment<'_>) -> Vec<Part> {
    if segment.is_whole() {
        return vec![Part::Copy(segment.frames.clone())];
    }
    let mut file = File::open(segment.path).ok();
    let mut known = BTreeMap::new();
    let clean = |at: usize| {
        let Some(frame) = segment.index.frames.get(at) else { return false };
        let refresh = |file: &mut Option<File>| {
            let position = frame.position?;
            begins_anew(file.as_mut()?, position).ok()
        };
        // Every frame that is shown earlier comes earlier in the file, too.
        frame.key
            && frame.order == at
            && *known.entry(at).or_insert_with(|| refresh(&mut file).unwrap_or(false))
    };
    let clean = std::cell::RefCell::new(clean);
    smart::parts(segment.frames.clone(), segment.index, |at| (clean.borrow_mut())(at))
}

/// Whether the packet at `position` is an instantaneous decoder refresh: its first slice is a NAL
/// unit of type 5, not of type 1 (ISO/IEC 14496-10 table 7-1).
fn begins_anew(file: &mut File, position: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(position))?;
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head)?;
    let mut at = 0;
    while let Some(&[a, b, c, d, kind]) = head.get(at..at + 5).and_then(|b| b.first_chunk::<5>()) {
        match kind & 0x1f {
            5 => return Ok(true),
            1..=4 => return Ok(false),
            _ => at += 4 + u32::from_be_bytes([a, b, c, d]) as usize,
        }
    }
    Ok(false)
}

/// Decoders are told the same of all files.
async fn alike(work: Work<'_>, segments: &[Segment<'_>]) -> Result<(), WhyNot> {
    let mut told: BTreeMap<&Path, String> = BTreeMap::new();
    let one_file = segments.iter().all(|segment| segment.path == segments[0].path);
    for segment in segments.iter().filter(|_| !one_file) {
        if !told.contains_key(segment.path) {
            let tools = work.cx.tools();
            let args = description_args(segment);
            let said = exec::capture(&tools.ffprobe, args, None, work.cx.cancellation()).await;
            let said = said.map_err(|error| error.to_string())?;
            told.insert(segment.path, String::from_utf8_lossy(&said).into_owned());
        }
        if told[segment.path] != told[segments[0].path] {
            return Err(format!(
                "`{}` and `{}` are coded differently",
                segments[0].name, segment.name
            ));
        }
    }
    Ok(())
}

fn description_args(segment: &Segment<'_>) -> Vec<OsString> {
    let mut args = input::guards();
    let stream = segment.stream.index.to_string();
    let fields = "stream=codec_name,profile,width,height,sample_aspect_ratio,pix_fmt,level,\
                  color_range,color_space,color_transfer,color_primaries,time_base,extradata_hash";
    args.extend(
        [
            "-of",
            "csv=p=0",
            "-show_data_hash",
            "SHA256",
            "-select_streams",
            &stream,
            "-show_entries",
        ]
        .map(OsString::from),
    );
    args.extend([fields.into(), input::url(segment.path)]);
    args
}

/// Makes the parts and joins them. The inner error says why they don't fit together after all.
pub async fn splice(
    work: Work<'_>,
    segments: &[Segment<'_>],
    plans: &[Vec<Part>],
    folder: &Path,
    speed: Speed,
) -> Result<Result<Spliced, WhyNot>, Failure> {
    std::fs::create_dir_all(folder).map_err(|error| scratch(&error))?;
    let mut making = Making { work, folder, made: BTreeMap::new(), done: 0, total: 0, speed };
    let all: Vec<_> = segments
        .iter()
        .zip(plans)
        .flat_map(|(segment, parts)| parts.iter().map(move |part| (segment, part)))
        .collect();
    let count = |copies: bool| -> u64 {
        let kind = all.iter().filter(|(_, part)| part.is_copy() == copies);
        kind.map(|(_, part)| part.frames().len() as u64).sum()
    };
    let (copied, encoded) = (count(true), count(false));
    making.total = copied + encoded;
    // What is copied says which numbers of parameter sets are left for the edges.
    for (at, (segment, part)) in all.iter().enumerate().filter(|(_, (_, part))| part.is_copy()) {
        making.copy(at, segment, part).await?;
    }
    let h264 = segments.iter().all(|segment| segment.stream.codec == "h264");
    let Some(mut sets) = making.sets(h264)? else {
        return Ok(Err("its parameter sets have the same number and differ".into()));
    };
    let free = sets.as_ref().and_then(ParameterSets::free_number).unwrap_or(1);
    for (at, (segment, part)) in all.iter().enumerate().filter(|(_, (_, part))| !part.is_copy()) {
        making.edge(at, segment, part, free).await?;
    }
    if encoded > 0 {
        sets = match making.sets(h264)? {
            Some(sets) => sets,
            None => return Ok(Err("parameter sets of edges and packets differ".into())),
        };
    }
    let path = making.join(&all).await?;
    if let Some(sets) = sets {
        sets.write(&path).map_err(|error| scratch(&error))?;
    }
    Ok(Ok(Spliced { path, copied, encoded }))
}

struct Making<'a> {
    work: Work<'a>,
    folder: &'a Path,
    /// Parts by their number among all.
    made: BTreeMap<usize, PathBuf>,
    done: u64,
    total: u64,
    speed: Speed,
}

impl Making<'_> {
    async fn copy(&mut self, at: usize, segment: &Segment<'_>, part: &Part) -> Result<(), Failure> {
        let frames = part.frames();
        let base = segment.index.time_base.value();
        let from = (frames.start > 0).then(|| segment.index.frames[frames.start].pts as f64 * base);
        let output = self.folder.join(format!("part-{at}.mp4"));
        let job = CopyJob {
            input: segment.path.into(),
            stream: segment.stream.index,
            from,
            packets: (!segment.is_whole()).then_some(frames.len() as u64),
            output: output.clone(),
        };
        self.run(splice::copy_args(&job), &output, segment, frames.len()).await?;
        self.made.insert(at, output);
        Ok(())
    }

    async fn edge(
        &mut self,
        at: usize,
        segment: &Segment<'_>,
        part: &Part,
        set: u32,
    ) -> Result<(), Failure> {
        let frames = part.frames();
        let output = self.folder.join(format!("part-{at}.mp4"));
        let job = EdgeJob {
            input: segment.path.into(),
            stream: segment.stream.index,
            from: segment.before(frames.start),
            frames: frames.len() as u64,
            set,
            time_base: segment.index.time_base,
            crf: EDGE_QUALITY,
            speed: self.speed,
            pixel_format: segment.video.pixel_format.clone(),
            output: output.clone(),
        };
        self.run(splice::edge_args(&job), &output, segment, frames.len()).await?;
        self.made.insert(at, output);
        Ok(())
    }

    async fn run(
        &mut self,
        args: Vec<OsString>,
        output: &Path,
        segment: &Segment<'_>,
        frames: usize,
    ) -> Result<(), Failure> {
        let cx = self.work.cx;
        let (done, total) = (self.done, self.total);
        let report = |frames: u64| {
            let frames = (done + frames).min(total);
            cx.progress(Progress {
                phase: Phase::Processing,
                fraction: Some(frames as f64 / total.max(1) as f64),
                frames: Some(frames),
                total_frames: Some(total),
                ..Progress::default()
            });
        };
        let run = exec::ffmpeg(&cx.tools().ffmpeg, args, cx.cancellation(), |s| report(s.frames));
        run.await.map_err(|error| self.work.failed(error))?;
        let made = inspect::index(output).await.ok();
        let made = made.and_then(|index| index.tracks.first().map(|track| track.samples));
        if made != Some(frames as u64) {
            let made = made.unwrap_or(0);
            return Err(Failure::new(
                FailureKind::InvalidInput,
                format!("`{}` is damaged", segment.name),
            )
            .cause(format!("{frames} frames were to be cut out of it, {made} came"))
            .hint("pass `reencode=true` to decode all of it"));
        }
        self.done += frames as u64;
        Ok(())
    }

    /// The parameter sets of all parts so far, none for other codecs; no sum where two contradict
    /// each other.
    fn sets(&self, h264: bool) -> Result<Option<Option<ParameterSets>>, Failure> {
        let mut sum: Option<ParameterSets> = None;
        for path in self.made.values().filter(|_| h264) {
            let sets = ParameterSets::read(path).map_err(|error| scratch(&error))?;
            sum = match sum {
                None => Some(sets),
                Some(sum) => match sum.with(&sets) {
                    Some(sum) => Some(sum),
                    None => return Ok(None),
                },
            };
        }
        Ok(Some(sum))
    }

    async fn join(&mut self, all: &[(&Segment<'_>, &Part)]) -> Result<PathBuf, Failure> {
        let joined: Vec<_> = all
            .iter()
            .enumerate()
            .map(|(at, (segment, part))| {
                let frames = part.frames();
                let seconds = segment.clock(frames.end) - segment.clock(frames.start);
                Joined { path: self.made[&at].clone(), seconds }
            })
            .collect();
        let script = self.folder.join("parts.ffconcat");
        std::fs::write(&script, splice::script(&joined)).map_err(|error| scratch(&error))?;
        let output = self.folder.join("joined.mp4");
        let (first, _) = all.first().expect("there is at least one part");
        let base = first.index.time_base;
        self.done = 0;
        let total = usize::try_from(self.total).unwrap_or(usize::MAX);
        self.run(splice::join_args(&script, base, &output), &output, first, total).await?;
        Ok(output)
    }
}

fn scratch(error: &io::Error) -> Failure {
    Failure::new(FailureKind::Output, "can't work in the call's scratch folder").cause(error)
}
