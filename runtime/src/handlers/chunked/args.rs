//! What `chunked` takes.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::cost::Goal;
use crate::encode::part::Part;
use crate::encode::single;
use crate::ffmpeg::container::Container;
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// Handlers that make one frame of each frame, and take a part of the work.
pub const PER_FRAME: &[&str] = &["effects", "framing", "overlay", "transcode"];

/// Arguments that `chunked` gives itself.
const OWN: &[&str] = &["input", "output", "part"];

/// What `chunked` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video to read.
    pub input: InputFile,
    /// Where the result goes; the extension decides the container. Without it the result is an
    /// artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// The handler that does the work on each chunk, with the resources of this function.
    #[serde(default = "transcode")]
    pub handler: String,
    /// A deployed function that does it instead, with resources of its own: `function` or
    /// `app/function`. It has to be one of a handler that can work on a part of a video.
    #[serde(default)]
    pub function: Option<String>,
    /// What the handler takes besides `input` and `output`. Other files in it are absolute paths
    /// or `vol://VOLUME/PATH`.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// What is wanted of the number of workers.
    #[serde(default)]
    pub goal: Goal,
    /// So many workers, whatever they cost.
    #[serde(default)]
    #[schemars(range(min = 1, max = 64))]
    pub workers: Option<u64>,
    /// What a worker costs per second, for the table of choices.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub price_per_second: Option<f64>,
    /// Only says what each number of workers would take and cost, and which would be chosen.
    #[serde(default)]
    pub explain: bool,
}

fn transcode() -> String {
    "transcode".into()
}

impl Args {
    /// Refuses arguments that make no sense together.
    pub fn check(&self) -> Result<(), Failure> {
        let wrong = |message: String| Failure::new(FailureKind::InvalidArgs, message);
        if self.function.is_none() && !PER_FRAME.contains(&self.handler.as_str()) {
            return Err(wrong(format!("`{}` can't work on a part of a video", self.handler))
                .hint(format!("these can: {}", PER_FRAME.join(", "))));
        }
        if let Some(name) = OWN.iter().find(|name| self.with.contains_key(**name)) {
            return Err(wrong(format!("`{name}` is an argument of `chunked`, not of `with`")));
        }
        if self.with.contains_key("fps") {
            return Err(wrong("`fps` makes other frames, and chunks are counted in frames".into())
                .hint("change the rate in a call of its own"));
        }
        Ok(())
    }

    /// The container of the whole.
    pub fn container(&self) -> Result<Container, Failure> {
        single::container(self.output.as_ref(), None)
    }

    /// The arguments of the handler for the whole.
    pub fn whole(&self) -> Value {
        let mut args = self.with.clone();
        args.insert("input".into(), self.input.as_str().into());
        if let Some(output) = &self.output {
            args.insert("output".into(), output.as_str().into());
        }
        Value::Object(args)
    }

    /// The arguments of the handler for a part. Several parts on one machine share its cores, so
    /// each gets as many `threads` as it has.
    pub fn part(&self, part: &Part, threads: u64) -> Value {
        let mut args = self.with.clone();
        args.insert("input".into(), self.input.as_str().into());
        args.insert("part".into(), json!(part));
        args.entry("threads").or_insert_with(|| threads.into());
        let webm = self.container().is_ok_and(|container| container == Container::WebM);
        if webm {
            // Parts aren't WebM, and have to be coded as if they were.
            args.entry("codec").or_insert_with(|| "vp9".into());
        }
        Value::Object(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(mut json: Value) -> String {
        json["input"] = "a.mp4".into();
        let args: Args = serde_json::from_value(json).unwrap();
        args.check().unwrap_err().message
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(
            refused(json!({ "handler": "probe" })),
            "`probe` can't work on a part of a video"
        );
        assert_eq!(
            refused(json!({ "with": { "input": "b.mp4" } })),
            "`input` is an argument of `chunked`, not of `with`"
        );
        assert!(refused(json!({ "with": { "fps": 25 } })).contains("counted in frames"));
    }
}
