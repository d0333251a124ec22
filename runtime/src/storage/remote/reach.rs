//! What can't be reached beyond the target, and how that is said.

use serde_json::Value;

use super::{download, mentions};
use crate::args::{ArgsSchema, Direction};
use crate::function::FunctionSpec;
use crate::storage::FileRef;
use crate::wire::{Failure, FailureKind};

/// Fails when `args` name a file beyond the target that `function` can't reach, before anything
/// is recorded.
pub fn check(
    function: &FunctionSpec,
    schema: &ArgsSchema<'_>,
    args: &Value,
) -> Result<(), Failure> {
    if !mentions(args, &FileRef::is_remote) {
        return Ok(());
    }
    for file in schema.files(args) {
        let Some(Value::String(text)) = args.pointer(&file.pointer) else { continue };
        let Ok(reference) = FileRef::parse(text) else { continue };
        let output = file.direction == Direction::Output;
        match &reference {
            FileRef::Bucket { name, .. } => match function.buckets.get(name) {
                None => return Err(no_bucket(name, &function.app)),
                Some(mount) if mount.read_only && output => return Err(read_only(name)),
                Some(_) => {}
            },
            FileRef::Web(_) if output => return Err(not_writable(&reference)),
            FileRef::Web(_) if file.fetched => {}
            FileRef::Web(url) => download::check(url, &function.downloads)?,
            FileRef::Object { .. } | FileRef::Path(_) | FileRef::Volume { .. } => {}
        }
    }
    Ok(())
}

/// There is nothing to read.
pub(super) fn nothing_there(address: &str) -> Failure {
    Failure::new(FailureKind::InvalidInput, format!("can't read input `{address}`"))
        .cause("nothing is there")
}

/// No bucket is mounted by that name.
pub(super) fn no_bucket(name: &str, app: &str) -> Failure {
    Failure::new(FailureKind::InvalidArgs, format!("app `{app}` has no bucket `{name}`"))
        .hint(format!("add `[bucket.{name}]` to its manifest, and `vdeploy deploy`"))
}

/// An output can't go there.
pub(super) fn read_only(name: &str) -> Failure {
    Failure::new(FailureKind::InvalidArgs, format!("bucket `{name}` is read-only")).hint(
        "put the output elsewhere, or take `read_only` out of the manifest and `vdeploy deploy`",
    )
}

/// An output can't go there.
pub(super) fn not_writable(reference: &FileRef) -> Failure {
    Failure::new(FailureKind::InvalidArgs, format!("nothing can be written to `{reference}`"))
        .hint("write to a path, `vol://VOLUME/PATH`, `bucket://NAME/PATH` or `s3://BUCKET/KEY`")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(args: Value) -> String {
        let function: FunctionSpec = serde_json::from_value(json!({
            "app": "reel", "name": "f", "entry": { "kind": "builtin", "handler": "transcode" },
            "buckets": { "library": { "bucket": "videos", "read_only": true } },
        }))
        .unwrap();
        let schema = json!({ "properties": {
            "input": { "type": "string", "format": "input-file" },
            "output": { "type": "string", "format": "output-file" },
        }});
        let schema = ArgsSchema::compile(&schema).unwrap();
        check(&function, &schema, &args).map_or_else(|failure| failure.message, |()| "ok".into())
    }

    #[test]
    fn what_a_function_cannot_reach_is_said_before_it_is_called() {
        for (args, said) in [
            (json!({ "input": "bucket://library/a.mp4", "output": "s3://videos/b.mp4" }), "ok"),
            (json!({ "input": "bucket://libary/a.mp4" }), "app `reel` has no bucket `libary`"),
            (json!({ "output": "bucket://library/a.mp4" }), "bucket `library` is read-only"),
            (
                json!({ "output": "https://u:p@a.example/b?token=1" }),
                "nothing can be written to `https://a.example/b`",
            ),
            (json!({ "text": "bucket://nowhere/a" }), "ok"),
        ] {
            assert_eq!(checked(args), said);
        }
    }
}
