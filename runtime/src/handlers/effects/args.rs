//! What `effects` takes.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::color::Color;
use crate::encode::Coding;
use crate::encode::part::Part;
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// Steps of one chain.
const MOST: usize = 32;

/// What `effects` takes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video to read.
    #[schemars(extend("x-ranged" = "/part/frames"))]
    pub input: InputFile,
    /// Where the result goes; the extension (mp4, m4v, mov, mkv or webm) decides the container.
    /// Without it the result is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// What is done to the picture, one after the other, such as
    /// `[{"effect":"denoise"},{"effect":"color","contrast":1.1}]`.
    pub chain: Vec<Step>,
    /// Only a part of the work, as `chunked` asks for it; not with `stabilise`.
    #[serde(default)]
    pub part: Option<Part>,
    /// How the result is coded.
    #[serde(flatten)]
    pub coding: Coding,
}

/// One thing that is done to the picture.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "effect", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Blurs (Gaussian).
    Blur {
        /// Sigma in pixels.
        #[serde(default = "five")]
        #[schemars(range(min = 0.1, max = 200.0))]
        sigma: f64,
    },
    /// White lines along edges, on black (Canny).
    Edges {
        /// Changes of brightness below it are no edges, 0 to 1.
        #[serde(default = "low_edge")]
        #[schemars(range(min = 0.0, max = 1.0))]
        low: f64,
        /// Changes above it are, 0 to 1.
        #[serde(default = "high_edge")]
        #[schemars(range(min = 0.0, max = 1.0))]
        high: f64,
    },
    /// Takes noise out.
    Denoise {
        /// 1 is usual.
        #[serde(default = "one")]
        #[schemars(range(min = 0.1, max = 5.0))]
        strength: f64,
        /// A slower method that keeps more detail.
        #[serde(default)]
        thorough: bool,
    },
    /// Makes edges stronger.
    Sharpen {
        /// 1 is usual.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0, max = 5.0))]
        strength: f64,
    },
    /// Takes the shaking of a hand-held camera out, in a pass of its own.
    Stabilise {
        /// Seconds to each side over which movement is evened out.
        #[serde(default = "half")]
        #[schemars(range(min = 0.05, max = 10.0))]
        smoothing: f64,
    },
    /// Makes whole frames of interlaced video, also where the file doesn't say that it is.
    Deinterlace {},
    /// Brightness, contrast, saturation, gamma.
    Color {
        /// Around 0.
        #[serde(default)]
        #[schemars(range(min = -1.0, max = 1.0))]
        brightness: f64,
        /// Around 1.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0, max = 3.0))]
        contrast: f64,
        /// Around 1.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0, max = 3.0))]
        saturation: f64,
        /// Around 1.
        #[serde(default = "one")]
        #[schemars(range(min = 0.1, max = 10.0))]
        gamma: f64,
    },
    /// Colours by a table.
    Lut {
        /// A `.cube` file with a three-dimensional table.
        file: InputFile,
    },
    /// Takes all colours out.
    Greyscale {},
    /// Replaces a colour, such as that of a green screen.
    ChromaKey {
        /// The colour that goes.
        #[serde(default = "green")]
        color: Color,
        /// How far from it still counts as it.
        #[serde(default = "similar")]
        #[schemars(range(min = 0.01, max = 1.0))]
        similarity: f64,
        /// How soft the edge is.
        #[serde(default = "soft")]
        #[schemars(range(min = 0.0, max = 1.0))]
        blend: f64,
        /// The colour that comes instead.
        #[serde(default = "black")]
        background: Color,
        /// A picture that comes instead; it fills the frame.
        #[serde(default)]
        image: Option<InputFile>,
    },
}

fn five() -> f64 {
    5.0
}

fn one() -> f64 {
    1.0
}

fn half() -> f64 {
    0.5
}

fn low_edge() -> f64 {
    0.08
}

fn high_edge() -> f64 {
    0.2
}

fn similar() -> f64 {
    0.15
}

fn soft() -> f64 {
    0.05
}

fn green() -> Color {
    Color::opaque(0x00_ff00)
}

fn black() -> Color {
    Color::BLACK
}

impl Step {
    /// The name in arguments, and each of its numbers with its limits.
    fn numbers(&self) -> Vec<(&'static str, f64, std::ops::RangeInclusive<f64>)> {
        match self {
            Step::Blur { sigma } => vec![("sigma", *sigma, 0.1..=200.0)],
            Step::Edges { low, high } => {
                vec![("low", *low, 0.0..=*high), ("high", *high, 0.0..=1.0)]
            }
            Step::Denoise { strength, .. } => vec![("strength", *strength, 0.1..=5.0)],
            Step::Sharpen { strength } => vec![("strength", *strength, 0.0..=5.0)],
            Step::Stabilise { smoothing } => vec![("smoothing", *smoothing, 0.05..=10.0)],
            Step::Color { brightness, contrast, saturation, gamma } => vec![
                ("brightness", *brightness, -1.0..=1.0),
                ("contrast", *contrast, 0.0..=3.0),
                ("saturation", *saturation, 0.0..=3.0),
                ("gamma", *gamma, 0.1..=10.0),
            ],
            Step::ChromaKey { similarity, blend, .. } => {
                vec![("similarity", *similarity, 0.01..=1.0), ("blend", *blend, 0.0..=1.0)]
            }
            Step::Deinterlace {} | Step::Greyscale {} | Step::Lut { .. } => Vec::new(),
        }
    }
}

impl Args {
    /// Refuses arguments that each are right and together make no sense.
    pub fn check(&self) -> Result<(), Failure> {
        let wrong = |message: String| Err(Failure::new(FailureKind::InvalidArgs, message));
        if self.chain.is_empty() || self.chain.len() > MOST {
            return wrong(format!("`chain` has {} effects, not 1 to {MOST}", self.chain.len()));
        }
        for (index, step) in self.chain.iter().enumerate() {
            for (name, value, range) in step.numbers() {
                if !range.contains(&value) {
                    let (least, most) = (range.start(), range.end());
                    return wrong(format!(
                        "`chain.{index}.{name}` is {value}, not between {least} and {most}"
                    ));
                }
            }
        }
        let steady = |step: &&Step| matches!(step, Step::Stabilise { .. });
        if self.part.is_some() && self.chain.iter().any(|step| steady(&step)) {
            return wrong("`stabilise` has to see the whole video, not a part of it".into());
        }
        if self.chain.iter().filter(steady).count() > 1 {
            return wrong("`stabilise` is in `chain` twice".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(chain: Value) -> String {
        match serde_json::from_value::<Args>(json!({ "input": "a.mp4", "chain": chain })) {
            Ok(args) => args.check().map_or_else(|failure| failure.message, |()| "fine".into()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn chains_are_checked() {
        assert_eq!(
            message(json!([{ "effect": "greyscale" }, { "effect": "blur", "sigma": 3 }])),
            "fine"
        );
        insta::assert_snapshot!(message(json!([])), @"`chain` has 0 effects, not 1 to 32");
        insta::assert_snapshot!(message(json!([{ "effect": "edges", "low": 0.5, "high": 0.2 }])), @"`chain.0.low` is 0.5, not between 0 and 0.2");
        insta::assert_snapshot!(message(json!([{ "effect": "stabilise" }, { "effect": "stabilise" }])), @"`stabilise` is in `chain` twice");
        assert!(message(json!([{ "effect": "blur", "vf": "movie=/etc/passwd" }])).contains("vf"));
        assert!(message(json!([{ "effect": "movie=/etc/passwd" }])).contains("unknown variant"));
    }
}
