//! Every kind of image, built from packages, and what runs in it.

use std::process::Stdio;

use super::{Docked, docked};
use crate::env::ran;

/// A function that transcodes in an image, with one call's arguments.
const TRANSCODE: &str = "\
[target.local]
isolation = \"docker\"
[function.transcode]
handler = \"transcode\"
image = \"box\"
";
const CODING: &str = "threads=1 preset=ultrafast";

fn transcoded(docked: &Docked, image: &str, args: &str) -> serde_json::Value {
    docked.manifest(&format!("{image}\n{TRANSCODE}"));
    docked.clip("in.mp4");
    docked.vdeploy("deploy -y").exits(0);
    let call = format!("call transcode --json --args input=in.mp4 output=out.mp4 {CODING} {args}");
    docked.vdeploy(&call).exits(0).json()
}

#[test]
fn a_cpu_image_transcodes_and_comes_back_from_a_registry_by_its_digest() {
    let Some(docked) = docked() else { return };
    transcoded(&docked, "[image.box]\nkind = \"cpu\"", "hardware=off");
    assert_eq!(docked.frames("out.mp4").lines().count(), 25);
    let found = docked.vdeploy("image check box --json").exits(0).json();
    let encoders = found["encoders"].as_array().unwrap();
    assert!(encoders.iter().any(|encoder| encoder == "libx264"), "{found}");

    let pushed = docked.vdeploy("image push box 127.0.0.1:5000/team/cpu").exits(0);
    let digest = pushed.stdout.trim();
    docked.vdeploy("destroy -y").exits(0);
    docked.daemon.docker(&format!("pull --quiet {digest}"));
    let check = format!("run --rm --network none {digest} vdeploy-runtime check --in-image");
    let pulled: serde_json::Value = serde_json::from_str(&docked.daemon.docker(&check)).unwrap();
    docked.daemon.docker(&format!("rmi {digest}"));
    assert_eq!((&pulled["encoders"], &pulled["uid"]), (&found["encoders"], &found["uid"]));
}

#[test]
fn an_image_shaped_for_cuda_falls_back_to_the_processor_and_says_why() {
    let Some(docked) = docked() else { return };
    let cuda = "[image.box]\nkind = \"cuda\"\ncuda = \"12.4.1\"\nflavor = \"base\"";
    let said = transcoded(&docked, cuda, "hardware=auto");
    assert!(said.to_string().contains("libx264"), "{said}");
    assert_eq!(docked.frames("out.mp4").lines().count(), 25);
    let found = docked.vdeploy("image check box --json").exits(0).json();
    assert_eq!(found["nvenc"], true);
    assert_eq!(found["driver_capabilities"], "compute,video,utility");
    assert_eq!(found["uid"], 65532);
    let call = "call transcode --args input=in.mp4 output=no.mp4 hardware=required";
    let refused = docked.vdeploy(call).exits(5);
    assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
}

#[test]
fn a_python_handler_has_its_packages_and_ffmpeg() {
    let Some(docked) = docked() else { return };
    docked.env.write(
        "handlers/measure.py",
        "import json, subprocess, sys\nimport six\n\
         args = json.load(sys.stdin)\n\
         said = subprocess.run(['ffprobe', '-v', 'error', '-count_packets', '-select_streams', 'v',\n\
         '-show_entries', 'stream=nb_read_packets', '-of', 'json', args['input']],\n\
         capture_output=True, check=True).stdout\n\
         frames = json.loads(said)['streams'][0]['nb_read_packets']\n\
         print(json.dumps({'frames': int(frames), 'six': six.__version__, 'prefix': sys.prefix}))\n",
    );
    docked.env.write(
        "handlers/measure.json",
        r#"{"type": "object", "properties": {"input": {"type": "string", "format": "input-file"}}}"#,
    );
    docked.manifest(
        "[image.py]\nkind = \"python\"\npip = [\"six==1.16.0\"]\n\
         [function.measure]\ncommand = [\"python3\", \"handlers/measure.py\"]\nimage = \"py\"\n\
         source = [\"handlers/\"]\nargs = \"handlers/measure.json\"\nisolation = \"docker\"\n",
    );
    docked.clip("in.mp4");
    docked.vdeploy("deploy -y").exits(0);
    let said = docked.vdeploy("call measure --json --args input=in.mp4").exits(0).json();
    let result = said.get("result").unwrap_or(&said);
    assert_eq!(*result, serde_json::json!({"frames": 25, "six": "1.16.0", "prefix": "/opt/venv"}));
}

/// There is no CUDA in the stand-in's bases, and nothing else may be missing.
#[test]
fn an_image_for_detection_lacks_what_its_base_would_bring_and_nothing_else() {
    let Some(docked) = docked() else { return };
    docked.manifest("[image.box]\nkind = \"detect\"\n");
    let failed = docked.vdeploy("image build").exits(1);
    let message = failed.stderr.lines().find(|line| line.contains("doesn't hold")).unwrap();
    let missing: Vec<_> = message.matches(" is missing").collect();
    for library in [
        "libcublas.so.12",
        "libcublasLt.so.12",
        "libcudart.so.12",
        "libcudnn.so.9",
        "libcufft.so.11",
        "libcurand.so.10",
    ] {
        assert!(message.contains(library), "{library}: {message}");
    }
    assert_eq!(missing.len(), 6, "{message}");
}

#[test]
fn the_same_layers_of_packages_serve_several_kinds() {
    let Some(docked) = docked() else { return };
    docked.manifest("[image.cpu]\nkind = \"cpu\"\n[image.py]\nkind = \"python\"\n");
    let built = docked.vdeploy("image build --json").exits(0);
    let references = built.stdout.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["reference"].as_str().unwrap().to_owned()
    });
    let layers = |reference: String| {
        // `docker` splits at spaces here.
        let format = "{{.RootFS.Layers}}";
        let said = docked.daemon.docker(&format!("image inspect --format {format} {reference}"));
        said.trim_matches(['[', ']']).split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let layers: Vec<_> = references.map(layers).collect();
    // The base, and ffmpeg with what it needs.
    assert_eq!(layers[0][..2], layers[1][..2]);
}

#[test]
fn the_classic_builder_builds_the_same() {
    let Some(docked) = docked() else { return };
    docked.manifest("[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\nrun = [\"echo 1 > /one\"]\n");
    let classic = |line: &str| {
        let mut command = docked.command(line.split_whitespace());
        command.env("DOCKER_BUILDKIT", "0").stdin(Stdio::null());
        ran(command.output().unwrap())
    };
    let built = classic("-v image build").exits(0);
    assert!(built.stderr.contains("RUN echo 1 > /one"), "{}", built.stderr);
    let again = docked.vdeploy("image build").exits(0);
    assert_eq!(again.stdout, built.stdout);
    assert_eq!(docked.vdeploy("image shell box -- cat /one").exits(0).stdout, "1\n");
    docked.manifest("[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\nrun = [\"exit 3\"]\n");
    let failed = classic("image build").exits(1);
    assert!(failed.stderr.contains("line 5 of the manifest"), "{}", failed.stderr);
    assert!(failed.stderr.contains("`RUN exit 3` failed: exit code 3"), "{}", failed.stderr);
}

#[test]
fn what_is_in_an_image_is_listed_with_versions() {
    let Some(docked) = docked() else { return };
    docked.manifest("[image.py]\nkind = \"python\"\npip = [\"six==1.16.0\"]\n");
    let unbuilt = docked.vdeploy("image sbom py").exits(1);
    assert!(unbuilt.stderr.contains("hint: build it: `vdeploy image build py`"));
    let reference = docked.vdeploy("image build").exits(0).stdout;
    let document = docked.vdeploy("image sbom py").exits(0);
    assert_eq!(docked.vdeploy("image sbom py").exits(0).stdout, document.stdout);
    let document = document.json();
    assert_eq!(document["spdxVersion"], "SPDX-2.3");
    assert_eq!(document["name"], reference.trim());
    let packages = document["packages"].as_array().unwrap();
    let url_of = |name: &str| {
        let package = packages.iter().find(|package| package["name"] == name);
        package.map(|found| found["externalRefs"][0]["referenceLocator"].as_str().unwrap())
    };
    assert_eq!(url_of("six"), Some("pkg:pypi/six@1.16.0"));
    let installed = docked.vdeploy("image shell py -- dpkg-query -W -f ${Version} ffmpeg").exits(0);
    let ffmpeg = installed.stdout.trim().replace('+', "%2B");
    let expected = format!("pkg:deb/debian/ffmpeg@{ffmpeg}?arch=amd64&distro=debian-12");
    assert_eq!(url_of("ffmpeg").map(|url| url.replace("arm64", "amd64")), Some(expected));
    assert!(url_of("vdeploy-runtime").unwrap().starts_with("pkg:cargo/vdeploy-runtime@"));
    // Every package is one that the image contains.
    let relations = document["relationships"].as_array().unwrap();
    assert_eq!(relations.len(), packages.len());
}
