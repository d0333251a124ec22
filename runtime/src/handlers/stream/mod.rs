//! Records a stream in segments, or sends a file as a stream. Connections that break are made
//! again.

pub mod endpoint;
mod segments;

use std::ffi::OsString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use self::endpoint::{Endpoint, Protocol};
use self::segments::Segments;
use crate::ffmpeg::exec::{self, ExecError};
use crate::ffmpeg::probe::Count;
use crate::ffmpeg::progress::Sample;
use crate::ffmpeg::{failure, input};
use crate::handler::{Context, Handler};
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// The longest pause before a connection is made again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The `stream` handler.
#[derive(Debug)]
pub struct Stream;

/// What `stream` takes: `from`, or `input` and `to`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The stream to record: `rtmp://`, `rtsp://`, `srt://`, or the URL of an HLS playlist.
    #[serde(default)]
    pub from: Option<String>,
    /// The folder that the recording's segments go into; without it they are artifacts.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// How long to record; without it until the source ends or the call is cancelled.
    #[serde(default)]
    #[schemars(range(min = 0.1))]
    pub seconds: Option<f64>,
    /// How long a segment lasts at least; it goes on until the next keyframe. A crash loses no
    /// more than the segment that is being written.
    #[serde(default = "ten")]
    #[schemars(range(min = 0.1, max = 3600))]
    pub segment_seconds: f64,
    /// The file to send.
    #[serde(default)]
    pub input: Option<InputFile>,
    /// Where it is sent, at the speed at which it plays: `rtmp://`, `rtsp://` or `srt://`.
    #[serde(default)]
    pub to: Option<String>,
    /// How often in a row a connection is made again that brings nothing.
    #[serde(default = "five")]
    #[schemars(range(max = 1000))]
    pub reconnects: u32,
    /// Seconds before a connection is made again; each later pause is twice as long, up to 30 s.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 30))]
    pub reconnect_seconds: f64,
}

fn one() -> f64 {
    1.0
}

fn five() -> u32 {
    5
}

fn ten() -> f64 {
    10.0
}

/// What `stream` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The files of the recording, in order.
    pub segments: Vec<segments::Segment>,
    /// Seconds of video that were recorded or sent.
    pub seconds: f64,
    /// How often a connection was made again.
    pub reconnects: u32,
}

impl Handler for Stream {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "stream";
    const ABOUT: &'static str = "Records a stream, or sends a file as one.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        match (&args.from, &args.input, &args.to) {
            (Some(from), None, None) => record(&cx, &args, &Endpoint::parse(from)?).await,
            (None, Some(file), Some(to)) => {
                if args.output.is_some() || args.seconds.is_some() {
                    return Err(wrong("`output` and `seconds` are for recordings, with `from`"));
                }
                send(&cx, &args, file, &Endpoint::parse(to)?).await
            }
            _ => Err(wrong("give either `from`, or `input` and `to`")),
        }
    }
}

fn wrong(message: &str) -> Failure {
    Failure::new(FailureKind::InvalidArgs, message)
}

/// Connections to one endpoint, one after the other.
struct Line<'a> {
    cx: &'a Context,
    args: &'a Args,
    endpoint: &'a Endpoint,
    /// Microseconds of video of this connection.
    micros: AtomicU64,
    /// Seconds of video of those before it.
    before: f64,
    /// How long it is altogether.
    total: Option<f64>,
    /// Connections after the first.
    again: u32,
    /// Connections in a row that brought nothing.
    empty: u32,
    woken: Notify,
}

impl<'a> Line<'a> {
    fn new(cx: &'a Context, args: &'a Args, endpoint: &'a Endpoint, total: Option<f64>) -> Self {
        let (micros, woken) = (AtomicU64::new(0), Notify::new());
        Line { cx, args, endpoint, micros, before: 0.0, total, again: 0, empty: 0, woken }
    }

    fn seconds(&self) -> f64 {
        self.before + self.micros.load(Ordering::Relaxed) as f64 / 1e6
    }

    /// Less than a tenth of a second is missing.
    fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.seconds() >= total - 0.1)
    }

    fn report(&self, sample: &Sample) {
        let micros = Duration::try_from_secs_f64(sample.seconds).unwrap_or_default().as_micros();
        self.micros.store(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Relaxed);
        let share = self.total.map(|total| (self.seconds() / total).clamp(0.0, 1.0));
        self.cx.progress(Progress {
            phase: Phase::Processing,
            fraction: share,
            frames: Some(sample.frames),
            message: Some(format!("{:.0} s", self.seconds())),
            ..Progress::default()
        });
        self.woken.notify_one();
    }

    /// One connection, from its start to its end.
    async fn connect(&self, args: Vec<OsString>) -> Result<(), ExecError> {
        let ffmpeg = &self.cx.tools().ffmpeg;
        let report = |sample: &Sample| self.report(sample);
        exec::ffmpeg(ffmpeg, args, self.cx.cancellation(), report).await.map(drop)
    }

    /// After a connection: waits before the next, or gives up.
    async fn pause(&mut self, ended: Result<(), ExecError>) -> Result<(), Failure> {
        let brought = self.micros.swap(0, Ordering::Relaxed);
        self.before += brought as f64 / 1e6;
        self.empty = if brought > 0 { 0 } else { self.empty + 1 };
        if self.empty > self.args.reconnects {
            return Err(self.lost(ended.err()));
        }
        self.again += 1;
        let pause = Duration::from_secs_f64(self.args.reconnect_seconds.clamp(0.0, 30.0));
        let pause = pause * 2_u32.saturating_pow(self.empty.saturating_sub(1));
        tokio::select! {
            () = tokio::time::sleep(pause.min(LONGEST_PAUSE)) => Ok(()),
            () = self.cx.cancellation().cancelled() => Err(cancelled()),
        }
    }

    /// The failure after the last connection, without the secrets of the URL.
    fn lost(&self, error: Option<ExecError>) -> Failure {
        let what = format!("lost `{}`", self.endpoint.shown);
        let tried = format!("{} connections in a row brought nothing", self.empty);
        let Some(error) = error else {
            return Failure::new(FailureKind::InvalidInput, what).cause(tried);
        };
        let failure = failure::failure(error, &what);
        let causes = failure.causes.iter().map(|cause| self.endpoint.redact(cause)).collect();
        Failure { causes, retryable: true, ..failure }.cause(tried)
    }
}

fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "the call was cancelled")
}

async fn record(cx: &Context, args: &Args, endpoint: &Endpoint) -> Result<Output, Failure> {
    let mut segments = Segments::new(cx, args.output.as_ref())?;
    let mut line = Line::new(cx, args, endpoint, args.seconds);
    loop {
        let argv = recording(&line, &segments);
        let ended = listen(&line, &mut segments, argv).await?;
        segments.place_rest()?;
        if matches!(ended, Err(ExecError::Cancelled)) {
            return Err(cancelled());
        }
        // A playlist that is complete ends; other sources are gone only when nothing comes again.
        let over = ended.is_ok() && endpoint.protocol == Protocol::Hls;
        if line.is_complete() || over {
            break;
        }
        match line.pause(ended).await {
            Err(failure) if failure.kind == FailureKind::Cancelled => return Err(failure),
            Err(failure) if segments.done.is_empty() || args.seconds.is_some() => {
                return Err(failure);
            }
            Err(_) => break,
            Ok(()) => {}
        }
    }
    if segments.done.is_empty() {
        return Err(line.lost(None));
    }
    Ok(Output { seconds: line.seconds(), reconnects: line.again, segments: segments.done })
}

/// Records until the connection ends, and puts segments in their place meanwhile.
async fn listen(
    line: &Line<'_>,
    segments: &mut Segments<'_>,
    argv: Vec<OsString>,
) -> Result<Result<(), ExecError>, Failure> {
    let connection = line.connect(argv);
    tokio::pin!(connection);
    loop {
        tokio::select! {
            ended = &mut connection => return Ok(ended),
            () = line.woken.notified() => segments.place_whole()?,
        }
    }
}

/// The arguments of one connection of a recording: packets are kept as they are.
fn recording(line: &Line<'_>, segments: &Segments<'_>) -> Vec<OsString> {
    let mut argv = start();
    argv.extend(line.endpoint.input_options().into_iter().map(OsString::from));
    if let Some(total) = line.total {
        argv.extend(["-t".into(), format!("{:.6}", total - line.before).into()]);
    }
    argv.extend(["-i".into(), OsString::from(&line.endpoint.url)]);
    let length = line.args.segment_seconds.to_string();
    argv.extend(
        [
            "-map",
            "0:v?",
            "-map",
            "0:a?",
            "-c",
            "copy",
            "-f",
            "segment",
            "-segment_format",
            "matroska",
            "-segment_time",
            &length,
            "-reset_timestamps",
            "1",
            "-segment_list_type",
            "csv",
            "-segment_list",
        ]
        .map(OsString::from),
    );
    argv.push(segments.list().into());
    argv.push(segments.pattern(line.again).into());
    argv
}

fn start() -> Vec<OsString> {
    [
        "-y",
        "-hide_banner",
        "-loglevel",
        "level+verbose",
        "-nostats",
        "-progress",
        "pipe:1",
        "-stats_period",
        "0.25",
    ]
    .map(OsString::from)
    .into()
}

async fn send(
    cx: &Context,
    args: &Args,
    file: &InputFile,
    endpoint: &Endpoint,
) -> Result<Output, Failure> {
    let Some(format) = endpoint.output_format() else {
        return Err(wrong(
            "an HLS playlist can't be sent to; use `rtmp://`, `rtsp://` or `srt://`",
        ));
    };
    let path = cx.files().input(file).await?;
    let media = cx.tools().inspect(&path, file.as_str(), Count::Nothing, cx.cancellation()).await?;
    let mut line = Line::new(cx, args, endpoint, media.duration);
    loop {
        let mut argv = start();
        argv.push("-re".into());
        if line.before > 0.0 {
            // It goes on where the last connection broke.
            argv.extend(["-ss".into(), format!("{:.6}", line.before).into()]);
        }
        argv.extend(input::guards());
        argv.extend(["-i".into(), input::url(&path)]);
        argv.extend(
            ["-map", "0:v:0?", "-map", "0:a:0?", "-c", "copy", "-f", format].map(OsString::from),
        );
        argv.push(OsString::from(&endpoint.url));
        let ended = line.connect(argv).await;
        match ended {
            Ok(()) => break,
            Err(ExecError::Cancelled) => return Err(cancelled()),
            Err(_) if line.is_complete() => break,
            Err(error) => line.pause(Err(error)).await?,
        }
    }
    Ok(Output { segments: Vec::new(), seconds: line.seconds(), reconnects: line.again })
}
