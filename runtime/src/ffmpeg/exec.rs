//! The only place that starts ffmpeg and ffprobe.
//!
//! Success is the exit status and nothing else. Output is drained to the end whatever happens. A
//! child that nobody waits for any more is killed and reaped.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ffmpeg_sidecar::child::FfmpegChild;
use ffmpeg_sidecar::command::FfmpegCommand;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::log::Log;
use super::progress::{Reader, Sample};

/// How long ffmpeg may take to close its files once it was asked to stop.
const GRACE: Duration = Duration::from_secs(2);

/// How long ffprobe may take to read a header.
const HEADER: Duration = Duration::from_secs(60);

/// Bytes that wait in the pipe of frames: as much as anyone may ask for (pipe(7)). Each time that it is
/// full, and each time that it is empty, two processes take turns.
#[cfg(target_os = "linux")]
const PIPE: usize = 1 << 20;

/// Bytes of JSON that ffprobe may write about one file.
const MAX_JSON: u64 = 64 << 20;

/// What ffmpeg said when it had ended well.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// Errors that it survived, and its counts.
    pub log: Log,
    /// Its last report.
    pub last: Sample,
}

/// Why a run gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The program isn't there.
    #[error("there is no program `{}`", .0.display())]
    Missing(PathBuf),
    /// The program can't be started, or its output can't be read.
    #[error("can't run `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was asked to stop, and did.
    #[error("it was cancelled")]
    Cancelled,
    /// It took longer than it may.
    #[error("`{}` took longer than {} s", program.display(), limit.as_secs())]
    TooLong {
        /// The program.
        program: PathBuf,
        /// The limit.
        limit: Duration,
    },
    /// It was stopped because it would not end.
    #[error("it makes more than {hours} hours of video")]
    Endless {
        /// The limit.
        hours: f64,
    },
    /// It ended badly.
    #[error("{status}")]
    Failed {
        /// How.
        status: ExitStatus,
        /// What it said.
        log: Box<Log>,
    },
}

/// Runs ffmpeg to its end. `on_sample` is called with every report of progress. Once `cancel` is
/// cancelled, ffmpeg is asked to stop, and killed if it doesn't.
pub async fn ffmpeg(
    program: &Path,
    args: Vec<OsString>,
    cancel: &CancellationToken,
    mut on_sample: impl FnMut(&Sample) + Send,
) -> Result<Finished, ExecError> {
    let mut child = Child::start(program, args)?;
    let (stdout, stderr) = child.pipes(program)?;
    let mut finished = Finished::default();
    let cancelled = {
        let Finished { log, last } = &mut finished;
        let mut reader = Reader::default();
        let reports = lines(stdout, |line| {
            if let Some(sample) = reader.line(line) {
                on_sample(&sample);
                *last = sample;
            }
        });
        let drained = futures::future::join(reports, lines(stderr, |line| log.line(line)));
        drain(&mut child, drained, cancel).await
    };
    let status = child.wait(program).await?;
    if cancelled || cancel.is_cancelled() {
        Err(ExecError::Cancelled)
    } else if status.success() {
        Ok(finished)
    } else {
        Err(ExecError::Failed { status, log: Box::new(finished.log) })
    }
}

/// Runs ffmpeg to its end, and gives every `size` bytes that it writes to its standard output to
/// `each`; an error of `each` ends the run, and comes back in the result.
pub async fn frames(
    program: &Path,
    args: Vec<OsString>,
    size: usize,
    cancel: &CancellationToken,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()> + Send,
) -> Result<io::Result<u64>, ExecError> {
    let mut child = Child::start(program, args)?;
    let (mut stdout, stderr) = child.pipes(program)?;
    let mut log = Log::default();
    let mut count = Ok(0);
    let refused = cancel.child_token();
    let cancelled = {
        let (count, stop) = (&mut count, refused.clone());
        let pictures = async move {
            let mut frame = vec![0; size];
            while stdout.read_exact(&mut frame).await.is_ok() {
                if let Ok(so_far) = *count {
                    *count = each(so_far, &frame).map(|()| so_far + 1);
                }
                if count.is_err() {
                    stop.cancel();
                }
            }
        };
        let drained = futures::future::join(pictures, lines(stderr, |line| log.line(line)));
        drain(&mut child, drained, &refused).await
    };
    let status = child.wait(program).await?;
    match count {
        Err(error) => Ok(Err(error)),
        Ok(_) if cancelled || cancel.is_cancelled() => Err(ExecError::Cancelled),
        Ok(count) if status.success() => Ok(Ok(count)),
        Ok(_) => Err(ExecError::Failed { status, log: Box::new(log) }),
    }
}

/// Runs ffmpeg to its end, and gives every `size` bytes that it writes to its standard output to `to`, in buffers that
/// come from `spare`. Where there is no spare buffer it waits, and so does ffmpeg: nothing piles up. When nobody takes
/// buffers any more, ffmpeg is stopped, and that is no error. Gives back how many it was.
pub async fn stream(
    program: &Path,
    args: Vec<OsString>,
    size: usize,
    cancel: &CancellationToken,
    (spare, to): (&mut mpsc::Receiver<Vec<u8>>, mpsc::Sender<Vec<u8>>),
) -> Result<u64, ExecError> {
    let mut child = Child::start(program, args)?;
    let (mut stdout, stderr) = child.pipes(program)?;
    // Where it may not be so large, it stays as it is: frames come in more and smaller parts.
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
    let (mut log, mut count) = (Log::default(), 0);
    let unwanted = cancel.child_token();
    let cancelled = {
        let (count, stop) = (&mut count, unwanted.clone());
        let pictures = async move {
            while let Some(mut buffer) = spare.recv().await {
                buffer.resize(size, 0);
                if stdout.read_exact(&mut buffer).await.is_err() {
                    return;
                }
                if to.send(buffer).await.is_err() {
                    break;
                }
                *count += 1;
            }
            stop.cancel();
        };
        let drained = futures::future::join(pictures, lines(stderr, |line| log.line(line)));
        drain(&mut child, drained, &unwanted).await
    };
    let status = child.wait(program).await?;
    if cancel.is_cancelled() {
        Err(ExecError::Cancelled)
    } else if cancelled || status.success() {
        Ok(count)
    } else {
        Err(ExecError::Failed { status, log: Box::new(log) })
    }
}

/// Waits until everything was read; true when `cancel` came first.
async fn drain(
    child: &mut Child,
    drained: impl Future<Output = ((), ())>,
    cancel: &CancellationToken,
) -> bool {
    tokio::pin!(drained);
    tokio::select! {
        _ = &mut drained => return false,
        () = cancel.cancelled() => child.quit(),
    }
    if tokio::time::timeout(GRACE, &mut drained).await.is_err() {
        child.kill();
        drained.await;
    }
    true
}

/// Runs ffprobe, or ffmpeg for an answer about itself, and gives back its standard output.
pub async fn capture(
    program: &Path,
    args: Vec<OsString>,
    limit: Option<Duration>,
    cancel: &CancellationToken,
) -> Result<Vec<u8>, ExecError> {
    let mut child = capture_command(program, args).spawn().map_err(|e| start_error(program, e))?;
    let stdout = child.stdout.take().expect("standard output is piped");
    let stderr = child.stderr.take().expect("standard error is piped");
    let mut json = Vec::new();
    let mut log = Log::default();
    let mut stdout = stdout.take(MAX_JSON);
    let work = async {
        let (read, ()) =
            tokio::join!(stdout.read_to_end(&mut json), lines(stderr, |line| log.line(line)));
        read?;
        child.wait().await
    };
    let limit = limit.unwrap_or(HEADER);
    let status = tokio::select! {
        ended = tokio::time::timeout(limit, work) => ended
            .map_err(|_| ExecError::TooLong { program: program.into(), limit })?
            .map_err(|e| start_error(program, e))?,
        () = cancel.cancelled() => return Err(ExecError::Cancelled),
    };
    if status.success() { Ok(json) } else { Err(ExecError::Failed { status, log: Box::new(log) }) }
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts ffprobe")]
fn capture_command(program: &Path, args: Vec<OsString>) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(program);
    command
        .args(["-hide_banner", "-loglevel", "level+error"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Calls `each` with every line, whatever it is made of. ffmpeg ends some lines with `\r`.
async fn lines(pipe: impl AsyncRead + Unpin, mut each: impl FnMut(&str)) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line);
        text.split(['\r', '\n']).filter(|part| !part.is_empty()).for_each(&mut each);
        line.clear();
    }
}

fn start_error(program: &Path, source: io::Error) -> ExecError {
    match source.kind() {
        io::ErrorKind::NotFound => ExecError::Missing(program.into()),
        _ => ExecError::Start { program: program.into(), source },
    }
}

/// A running ffmpeg that doesn't outlive its owner.
struct Child {
    inner: FfmpegChild,
    ended: bool,
}

impl Child {
    #[expect(clippy::disallowed_methods, reason = "the one place that starts ffmpeg")]
    fn start(program: &Path, args: Vec<OsString>) -> Result<Self, ExecError> {
        let inner = FfmpegCommand::new_with_path(program)
            .args(args)
            .spawn()
            .map_err(|e| start_error(program, e))?;
        Ok(Child { inner, ended: false })
    }

    fn pipes(
        &mut self,
        program: &Path,
    ) -> Result<(tokio::process::ChildStdout, tokio::process::ChildStderr), ExecError> {
        let stdout = self.inner.take_stdout().expect("standard output is piped");
        let stderr = self.inner.take_stderr().expect("standard error is piped");
        let pipes = tokio::process::ChildStdout::from_std(stdout)
            .and_then(|stdout| Ok((stdout, tokio::process::ChildStderr::from_std(stderr)?)));
        pipes.map_err(|e| start_error(program, e))
    }

    /// Asks it to finish its files and end. An error means that it has ended already.
    fn quit(&mut self) {
        let _ = self.inner.quit();
    }

    fn kill(&mut self) {
        let _ = self.inner.kill();
    }

    async fn wait(self, program: &Path) -> Result<ExitStatus, ExecError> {
        let waited = tokio::task::spawn_blocking(move || {
            let mut child = self;
            let status = child.inner.wait();
            child.ended = status.is_ok();
            status
        });
        let status = waited.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        status.map_err(|e| start_error(program, e))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.inner.kill();
            let _ = self.inner.wait();
        }
    }
}
