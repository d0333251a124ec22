//! The awkward files of `media.rs` through `overlay`, `framing` and `effects`, judged by
//! ffprobe and a full decode. What is expected is in `media_pictures.tsv`.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use crate::env::TestEnv;
use crate::media::{Part, failed, folder, judged};

pub const EXPECTED: &str = include_str!("media_pictures.tsv");

/// How many tests share the files, so that they run at the same time.
const SHARDS: usize = 4;

/// What each handler is asked for.
fn asked() -> [(&'static str, Value); 3] {
    let moving = json!([
        { "at": 0, "x": "10%", "y": "10%", "width": "20%", "height": "30%" },
        { "at": 1, "x": "60%", "y": "50%", "width": "30%", "height": "30%" },
    ]);
    let crop = json!({ "keyframes": [{ "at": 0, "x": "20%" }, { "at": 1, "x": "80%" }] });
    [
        (
            "overlay",
            json!({ "texts": [{ "text": "Hi" }], "dim": 0.5,
                            "highlights": [{ "keyframes": moving, "shape": "ellipse" }] }),
        ),
        ("framing", json!({ "aspect": "9:16", "height": 240, "crop": crop })),
        ("effects", json!({ "chain": [{ "effect": "blur" }, { "effect": "greyscale" }] })),
    ]
}

macro_rules! shards {
    ($($name:ident $rest:ident $index:literal),*) => { $(
        #[test]
        fn $name() {
            shard(Part::First, $index);
        }

        #[test]
        #[ignore = "`make media`: minutes"]
        fn $rest() {
            shard(Part::Rest, $index);
        }
    )* };
}

shards!(first_0 rest_0 0, first_1 rest_1 1, first_2 rest_2 2, first_3 rest_3 3);

fn shard(part: Part, index: usize) {
    let Some(folder) = folder() else { return };
    let env = TestEnv::new();
    for (handler, _) in asked() {
        let builtin = Entry::Builtin { handler: handler.into() };
        env.publish(handler, builtin, |function| function.timeout_seconds = 1800.0);
    }
    let mut differences = String::new();
    for line in part.shard(EXPECTED, (index, SHARDS)) {
        let name = line.split('\t').next().unwrap();
        let mut found = name.to_owned();
        for (handler, args) in asked() {
            write!(found, "\t{}", made(&env, handler, args, &folder.join(name))).unwrap();
        }
        if found != line {
            writeln!(differences, "expected\n{line}\nfound\n{found}").unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// What became of the file, in one line. Nothing that the handler says of it is believed.
fn made(env: &TestEnv, handler: &str, mut args: Value, path: &Path) -> String {
    let output = env.project().join("out.mp4");
    args["input"] = path.to_str().into();
    args["output"] = output.to_str().into();
    args["preset"] = "ultrafast".into();
    args["hardware"] = "off".into();
    let ran = env.run(["call", handler, "--args", &args.to_string()]);
    if ran.code != 0 {
        assert!(!output.exists(), "a failed call left `{}`", output.display());
        return failed(&ran, path);
    }
    let line = judged(&output);
    std::fs::remove_file(output).unwrap();
    line
}
