//! A place to run handlers in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use vdeploy_runtime::ffmpeg::Tools;
use vdeploy_runtime::function::{Entry, FunctionSpec};
use vdeploy_runtime::handler::Report;
use vdeploy_runtime::storage::Files;
use vdeploy_runtime::wire::{CallId, Failure, Invocation, Progress, VERSION};
use vdeploy_runtime::{Context, handlers};

/// One test's folder, tools and what handlers reported.
pub struct Rig {
    pub root: TempDir,
    pub tools: Tools,
    pub cancel: CancellationToken,
    pub progress: Arc<Mutex<Vec<Progress>>>,
    pub overwrite: bool,
}

impl Rig {
    pub fn new() -> Self {
        let root = TempDir::with_prefix("vdeploy-handlers-").unwrap();
        // What is proven of this machine is shared by all tests of a run, as by calls.
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let tools =
            Tools { ffmpeg: "ffmpeg".into(), ffprobe: "ffprobe".into(), cache, onnxruntime: None };
        Rig {
            root,
            tools,
            cancel: CancellationToken::new(),
            progress: Arc::default(),
            overwrite: false,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Makes a clip of ffmpeg's own sources.
    pub fn clip(&self, name: &str, args: &str) -> String {
        let path = self.text(name);
        ffmpeg(&format!("-y {args}"), &[&path]);
        path
    }

    /// Runs a handler as a worker would.
    pub async fn run(&self, handler: &str, args: Value) -> Result<Value, Failure> {
        let registry = handlers::builtin();
        registry.run(handler, self.context(handler, &args), args).await
    }

    fn context(&self, handler: &str, args: &Value) -> Context {
        let spec: FunctionSpec = serde_json::from_value(json!({
            "app": "test",
            "name": handler,
            "entry": Entry::Builtin { handler: handler.into() },
        }))
        .unwrap();
        let invocation = Invocation {
            v: VERSION,
            call: CallId("c-test".into()),
            attempt: 1,
            function: spec,
            args: args.clone(),
            overwrite: self.overwrite,
            checkpoint: None,
            scratch: self.path("scratch"),
            artifacts: self.path("artifacts"),
            volumes: Default::default(),
            ranged: Default::default(),
        };
        let files = Files::of(&invocation);
        let seen = Arc::clone(&self.progress);
        Context::new(invocation, self.tools.clone(), files, self.cancel.clone(), move |report| {
            if let Report::Progress(progress) = report {
                seen.lock().unwrap().push(progress);
            }
        })
    }

    /// Everything in the rig's folder, to see that nothing was left behind.
    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = walkdir::WalkDir::new(self.root.path())
            .min_depth(1)
            .into_iter()
            .map(|entry| {
                let path = entry.unwrap().into_path();
                path.strip_prefix(self.root.path()).unwrap().display().to_string()
            })
            .collect();
        names.sort();
        names
    }
}

/// Runs ffmpeg with words split at spaces, then `more` as they are.
pub fn ffmpeg(words: &str, more: &[&str]) {
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(words.split_whitespace())
        .args(more)
        .status()
        .unwrap();
    assert!(status.success(), "ffmpeg {words}");
}

/// What ffprobe says of a file, independently of the handlers.
pub fn ffprobe(path: impl AsRef<Path>) -> Value {
    let path = format!("file:{}", path.as_ref().display());
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_format", "-show_streams", "-count_frames"])
        .arg(path)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The first video stream of what ffprobe said.
pub fn video(probe: &Value) -> &Value {
    probe["streams"].as_array().unwrap().iter().find(|s| s["codec_type"] == "video").unwrap()
}
