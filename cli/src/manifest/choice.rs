//! Values that are one of a few names.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use vdeploy_runtime::function::Hardware;

use super::decode::{Decode, mismatch, one_of};
use super::document::Node;
use super::problem::{Problem, Problems};
use crate::engine::Wish;
use crate::error::did_you_mean;

/// Declares types whose values are names: read, checked and told to editors by one list.
macro_rules! choices {
    ($($(#[$about:meta])* $name:ident, $expected:literal, $all:expr;)+) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) struct $name(pub(super) &'static str);

        impl Decode for $name {
            const EXPECTED: &'static str = $expected;

            fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
                choice::<Self>(key, node, $all, problems).map($name)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "enum": $all })
            }
        }
    )+};
}

choices! {
    /// A ready-made image recipe.
    ImageKind, "the name of a recipe", &["cpu", "cuda", "cuda-ffmpeg", "detect", "python"];
    /// A part of CUDA.
    Flavor, "`base`, `runtime` or `devel`", &["base", "runtime", "devel"];
    /// What a function runs in on this machine.
    Isolation, "`process` or `docker`", &["process", "docker"];
    /// Where the state of target `aws` is kept.
    StateChoice, "`bucket` or `local`", &["bucket", "local"];
    /// A codec that GPUs encode to.
    HardwareCodec, "`h264`, `hevc` or `av1`", &["h264", "hevc", "av1"];
}

const ENGINES: &[&str] = &["auto", "batch", "lambda"];

const HARDWARE: &[&str] = &["auto", "required", "off"];

impl Decode for Hardware {
    const EXPECTED: &'static str = "`auto`, `required` or `off`";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        choice::<Self>(key, node, HARDWARE, problems).map(|name| match name {
            "required" => Hardware::Required,
            "off" => Hardware::Off,
            _ => Hardware::Auto,
        })
    }
}

impl Decode for Wish {
    const EXPECTED: &'static str = "`auto`, `batch` or `lambda`";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        choice::<Self>(key, node, ENGINES, problems).map(|name| match name {
            "batch" => Wish::Batch,
            "lambda" => Wish::Lambda,
            _ => Wish::Auto,
        })
    }
}

impl JsonSchema for Wish {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Engine".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ENGINES })
    }
}

/// The one of `choices` that a value is.
fn choice<T: Decode>(
    key: &str,
    node: &Node<'_>,
    choices: &[&'static str],
    problems: &mut Problems,
) -> Option<&'static str> {
    let Some(text) = node.get_ref().as_str() else {
        mismatch::<T>(key, node, problems);
        return None;
    };
    let chosen = choices.iter().copied().find(|choice| *choice == text);
    if chosen.is_none() {
        let hint = match did_you_mean(text, choices.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it may be {}", one_of(choices)),
        };
        problems.push(Problem::new(&node.span(), format!("`{key}` can't be `{text}`")).hint(hint));
    }
    chosen
}
