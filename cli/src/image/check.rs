//! Whether an image holds what it promises: the worker program looks, from inside.

use bollard::Docker;
use bollard::errors::Error as BollardError;
use vdeploy_runtime::dispatch::local::WORKER_IN_IMAGE;
use vdeploy_runtime::wire::VERSION;
use vdeploy_runtime::worker::in_image::InImage;

use super::inside;

/// What an image lacks.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The engine can't run it.
    #[error("the image can't be tried")]
    Engine(#[from] Box<BollardError>),
    /// The worker program doesn't run in it.
    #[error("the worker program doesn't run in the image: {0}")]
    Silent(String),
    /// It doesn't hold what it promises.
    #[error("the image doesn't hold what it promises: {}", .0.join("; "))]
    Lacks(Vec<String>),
}

impl CheckError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Silent(said) if said.contains("GLIBC") => Some(
                "the image's C library is older than the worker program: use a newer base".into(),
            ),
            Self::Silent(said) if said.contains("exec format error") => {
                Some("the image is for another kind of processor than the worker program".into())
            }
            Self::Lacks(lacks) if lacks.iter().any(|text| text.contains("ffmpeg")) => {
                Some("add ffmpeg to it: `apt = [\"ffmpeg\"]`".into())
            }
            _ => None,
        }
    }
}

/// Runs the worker program's own check in `image`, a name or an id.
pub async fn check(docker: &Docker, image: &str, cuda: bool) -> Result<InImage, CheckError> {
    let command = [WORKER_IN_IMAGE, "check", "--in-image"];
    let printed = inside::run(docker, image, &command).await.map_err(Box::new)?;
    let line = printed.stdout.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let found: InImage = serde_json::from_str(line).map_err(|_| {
        let said = format!("{}{}", printed.stdout, printed.stderr);
        CheckError::Silent(said.trim().replace('\n', "; "))
    })?;
    let lacks = lacks(&found, cuda);
    if lacks.is_empty() { Ok(found) } else { Err(CheckError::Lacks(lacks)) }
}

/// What is wrong with an image, in words.
fn lacks(found: &InImage, cuda: bool) -> Vec<String> {
    let mut lacks = Vec::new();
    if found.v != VERSION {
        lacks.push(format!(
            "its worker program speaks version {} and this vdeploy speaks {VERSION}",
            found.v
        ));
    }
    if found.uid == 0 {
        lacks.push("it starts programs as root".into());
    }
    if found.ffmpeg.is_none() {
        lacks.push("ffmpeg doesn't run in it".into());
    } else if found.encoders.is_empty() {
        lacks.push("its ffmpeg encodes nothing".into());
    }
    let unresolved = found.unresolved.iter().map(|name| format!("`{name}` is missing"));
    lacks.extend(unresolved);
    if cuda {
        if !found.nvenc {
            lacks.push("its ffmpeg was built without NVENC".into());
        }
        let asked = found.driver_capabilities.as_deref().unwrap_or_default();
        if !asked.contains("video") && asked != "all" {
            lacks.push("it doesn't ask the driver for `video`".into());
        }
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> InImage {
        InImage {
            v: VERSION,
            uid: 65532,
            ffmpeg: Some("5.1".into()),
            encoders: vec!["libx264".into()],
            nvenc: true,
            unresolved: Vec::new(),
            driver_capabilities: Some("compute,video,utility".into()),
            missing: Vec::new(),
        }
    }

    #[test]
    fn each_thing_that_is_missing_is_said() {
        assert!(lacks(&good(), true).is_empty());
        let bad = InImage {
            v: 0,
            uid: 0,
            ffmpeg: None,
            nvenc: false,
            unresolved: vec!["libnppig.so.12".into()],
            driver_capabilities: None,
            ..good()
        };
        assert_eq!(lacks(&bad, true).len(), 6);
    }
}
