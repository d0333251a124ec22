//! The projects in examples/, in an account: made, unchanged by the second deploy, and gone.

use std::fs;

use super::yard::Yard;
use crate::examples::{example, stripped};

/// The app of examples/NAME on `aws`, with images that start from what there is here.
fn yard(name: &'static str) -> Option<Yard> {
    let yard = Yard::new(name)?;
    example(&yard.env, name);
    let path = yard.env.project().join("vdeploy.toml");
    let manifest = fs::read_to_string(&path).unwrap();
    let line = |line: &str| match line {
        "kind = \"cpu\"" | "kind = \"python\"" => "base = \"vdeploy-standin:ffmpeg\"".to_owned(),
        line if line.starts_with("apt = ") => String::new(),
        line => line.to_owned(),
    };
    let lines: Vec<_> = manifest.lines().map(line).collect();
    fs::write(path, lines.join("\n")).unwrap();
    Some(yard)
}

fn comes_and_goes(yard: &Yard) {
    yard.vdeploy("deploy -y").exits(0);
    let again = yard.vdeploy("deploy -y").exits(0);
    assert!(again.stderr.contains("No changes."), "{}", again.stderr);
    yard.vdeploy("destroy -y").exits(0);
    assert_eq!(yard.aws.everything(), Vec::<String>::new());
}

#[test]
fn the_app_of_the_demo() {
    let Some(yard) = yard("transcode") else { return };
    comes_and_goes(&yard);
}

#[test]
fn detection() {
    let Some(yard) = yard("detect") else { return };
    comes_and_goes(&yard);
}

#[test]
fn a_handler_in_python() {
    let Some(yard) = yard("python-handler") else { return };
    comes_and_goes(&yard);
}

#[test]
fn a_handler_in_rust() {
    let Some(yard) = yard("rust-handler") else { return };
    let binary = yard.env.write("target/release/rust-handler", "");
    fs::copy(stripped("rust-handler"), binary).unwrap();
    comes_and_goes(&yard);
}

#[test]
fn reels() {
    let Some(yard) = yard("reel-studio") else { return };
    let prod = yard.alone("plan -e prod").exits(0).stdout;
    assert!(prod.contains("g6.xlarge") && prod.contains("batch (it needs a GPU)"), "{prod}");
    let main = yard.alone("plan").exits(0).stdout;
    assert!(!main.contains("g6.xlarge") && main.contains("lambda"), "{main}");
    comes_and_goes(&yard);
}
