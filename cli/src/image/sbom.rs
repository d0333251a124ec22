//! What is in an image, package by package: a software bill of materials in SPDX 2.3
//! (<https://spdx.github.io/spdx-spec/v2.3/>), with package URLs
//! (<https://github.com/package-url/purl-spec>).

use std::collections::BTreeSet;
use std::fmt::Write;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::inside;

/// Lists packages, one in a line: a kind, a name, a version and an architecture, with tabs between.
/// The line of kind `os` comes first.
const LIST: &str = r#"
. /etc/os-release 2>/dev/null
printf 'os\t%s\t%s\t\n' "${ID:-linux}" "${VERSION_ID:-}"
if command -v dpkg-query >/dev/null; then
  dpkg-query --show --showformat 'deb\t${Package}\t${Version}\t${Architecture}\n'
fi
if command -v rpm >/dev/null; then
  rpm --query --all --queryformat 'rpm\t%{NAME}\t%{VERSION}-%{RELEASE}\t%{ARCH}\n'
fi
if command -v python3 >/dev/null; then
  python3 -I -c 'import importlib.metadata as m
for d in m.distributions(): print("pypi", d.metadata["Name"], d.version, "", sep="\t")'
fi
if [ -x /opt/ffmpeg/bin/ffmpeg ]; then
  /opt/ffmpeg/bin/ffmpeg -version | awk 'NR==1 {print "generic\tffmpeg\t" $3 "\t"}'
fi
"#;

/// An image whose packages are listed.
#[derive(Clone, Debug)]
pub struct Contents {
    /// What it is called in the engine.
    pub reference: String,
    /// The engine's id of it.
    pub id: String,
    /// When it was built.
    pub created: Timestamp,
    packages: BTreeSet<Package>,
}

/// A package in an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    /// Its package URL.
    url: String,
}

/// Looks into the image `reference`.
pub async fn contents(docker: &Docker, reference: &str) -> Result<Contents, BollardError> {
    let found = docker.inspect_image(reference).await?;
    let listed = inside::run(docker, reference, &["/bin/sh", "-c", LIST]).await?;
    let created = found.created.and_then(|text| text.parse().ok());
    let created = created.unwrap_or(Timestamp::UNIX_EPOCH);
    let mut packages = parse(&listed.stdout);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let url = format!("pkg:cargo/vdeploy-runtime@{version}");
    packages.insert(Package { name: "vdeploy-runtime".into(), version, url });
    let id = found.id.unwrap_or_default();
    Ok(Contents { reference: reference.to_owned(), id, created, packages })
}

/// The packages in what [`LIST`] prints.
fn parse(listed: &str) -> BTreeSet<Package> {
    let mut system = ("linux".to_owned(), String::new());
    let mut packages = BTreeSet::new();
    for line in listed.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [kind, name, version, architecture] = fields[..] else { continue };
        if kind == "os" {
            system = (name.to_owned(), version.to_owned());
        } else if !name.is_empty() {
            let url = url((kind, name, version), architecture, (&system.0, &system.1));
            packages.insert(Package { name: name.to_owned(), version: version.to_owned(), url });
        }
    }
    packages
}

/// The package URL of a package, as the definition of its type asks for.
fn url(
    (kind, name, version): (&str, &str, &str),
    architecture: &str,
    (system, release): (&str, &str),
) -> String {
    let version = escape(version);
    match kind {
        "deb" | "rpm" => {
            let distro = if release.is_empty() { "" } else { "-" };
            format!(
                "pkg:{kind}/{system}/{}@{version}?arch={architecture}&distro={system}{distro}{release}",
                escape(name)
            )
        }
        // Names on PyPI are the same in either case, with either stroke.
        "pypi" => format!("pkg:pypi/{}@{version}", name.to_lowercase().replace('_', "-")),
        kind => format!("pkg:{kind}/{}@{version}", escape(name)),
    }
}

/// Percent-encodes what isn't a letter, a digit or one of `.-_~:`.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                escaped.push(char::from(byte));
            }
            byte => write!(escaped, "%{byte:02X}").expect("a text grows"),
        }
    }
    escaped
}

/// The document about an image; the same image gives the same bytes.
pub fn document(contents: &Contents) -> Value {
    let image = json!({
        "SPDXID": "SPDXRef-image",
        "name": contents.reference,
        "versionInfo": contents.id,
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
    });
    let numbered = || contents.packages.iter().enumerate();
    let listed = numbered().map(|(number, package)| {
        json!({
            "SPDXID": format!("SPDXRef-package-{number}"),
            "name": package.name,
            "versionInfo": package.version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package.url,
            }],
        })
    });
    let relation = |from: &str, kind: &str, to: &str| json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to});
    let describes = relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image");
    let contains = numbered().map(|(number, _)| {
        relation("SPDXRef-image", "CONTAINS", &format!("SPDXRef-package-{number}"))
    });
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": contents.reference,
        "documentNamespace": format!("urn:{}", contents.id),
        "creationInfo": {
            "created": contents.created.strftime("%FT%TZ").to_string(),
            "creators": [format!("Tool: vdeploy-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": std::iter::once(image).chain(listed).collect::<Vec<_>>(),
        "relationships": std::iter::once(describes).chain(contains).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_the_urls_of_their_kinds() {
        let listed = "os\tdebian\t12\t\ndeb\tlibstdc++6\t7:5.1.6-0+deb12u1\tamd64\n\
                      pypi\tTyping_Extensions\t4.12\t\ngeneric\tffmpeg\tn7.1\t\nnoise\n";
        let urls: Vec<_> = parse(listed).into_iter().map(|package| package.url).collect();
        insta::assert_snapshot!(urls.join("\n"), @r"
        pkg:pypi/typing-extensions@4.12
        pkg:generic/ffmpeg@n7.1
        pkg:deb/debian/libstdc%2B%2B6@7:5.1.6-0%2Bdeb12u1?arch=amd64&distro=debian-12
        ");
    }
}
