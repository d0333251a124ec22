//! Which images of CUDA there are, and which drivers they need. From NVIDIA's list of supported
//! tags of `nvidia/cuda` and the table of minimum drivers in the release notes of CUDA.

/// What a recipe starts from when it doesn't say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// CUDA, such as `12.4.1`.
    pub cuda: &'static str,
    /// Its parts.
    pub flavor: &'static str,
    /// Its system.
    pub system: &'static str,
}

/// What images of `kind` start from.
pub fn defaults(kind: &str) -> Defaults {
    match kind {
        DETECT => Defaults { cuda: "12.6.3", flavor: "runtime", system: DETECT_SYSTEM },
        _ => Defaults { cuda: "12.4.1", flavor: "base", system: "ubuntu22.04" },
    }
}

/// The kind that has ONNX Runtime.
const DETECT: &str = "detect";
/// Where there is a Python that ONNX Runtime has packages for: 3.11 or newer.
const DETECT_SYSTEM: &str = "ubuntu24.04";
/// The CUDA that ONNX Runtime was built with; those of other numbers have libraries of other names.
const DETECT_CUDA: &str = "12.";
/// There are images of cuDNN with these parts of CUDA only.
const CUDNN_FLAVORS: [&str; 2] = ["runtime", "devel"];

/// A release of CUDA that has images.
struct Release {
    version: &'static str,
    systems: &'static [&'static str],
    /// The oldest driver branch on Linux, with compatibility between minor versions.
    driver: u32,
}

const RELEASES: [Release; 12] = [
    Release { version: "11.8.0", systems: &["ubuntu20.04", "ubuntu22.04"], driver: 450 },
    Release { version: "12.0.1", systems: &["ubuntu20.04", "ubuntu22.04"], driver: 525 },
    Release { version: "12.1.1", systems: &["ubuntu20.04", "ubuntu22.04"], driver: 525 },
    Release { version: "12.2.2", systems: &["ubuntu20.04", "ubuntu22.04"], driver: 525 },
    Release { version: "12.3.2", systems: &["ubuntu20.04", "ubuntu22.04"], driver: 525 },
    Release { version: "12.4.1", systems: &["ubuntu20.04", "ubuntu22.04"], driver: 525 },
    Release { version: "12.5.1", systems: &["ubuntu20.04", "ubuntu22.04"], driver: 525 },
    Release {
        version: "12.6.3",
        systems: &["ubuntu20.04", "ubuntu22.04", "ubuntu24.04"],
        driver: 525,
    },
    Release {
        version: "12.8.1",
        systems: &["ubuntu20.04", "ubuntu22.04", "ubuntu24.04"],
        driver: 525,
    },
    Release {
        version: "12.9.1",
        systems: &["ubuntu20.04", "ubuntu22.04", "ubuntu24.04"],
        driver: 525,
    },
    Release { version: "13.0.0", systems: &["ubuntu22.04", "ubuntu24.04"], driver: 580 },
    Release { version: "13.0.1", systems: &["ubuntu22.04", "ubuntu24.04"], driver: 580 },
];

/// A pair that doesn't exist, and the nearest that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairError {
    /// No image has this CUDA.
    Version {
        /// One that images have.
        nearest: &'static str,
    },
    /// This CUDA isn't on this system.
    System {
        /// Where it is.
        systems: &'static [&'static str],
        /// A CUDA that is on this system, if any is.
        version: Option<&'static str>,
    },
    /// This driver is too old for this CUDA.
    Driver {
        /// The oldest that will do.
        needs: u32,
        /// The newest CUDA that this driver does.
        version: Option<&'static str>,
    },
    /// ONNX Runtime doesn't run on this CUDA, or has no package for the Python of this system.
    OnnxRuntime {
        /// Those that it runs on.
        versions: Vec<&'static str>,
        /// Where it does.
        system: &'static str,
    },
    /// There is no image of cuDNN with these parts of CUDA.
    Flavor {
        /// Those that there are.
        flavors: &'static [&'static str],
    },
}

/// Whether there is an image for `kind` with these parts of CUDA `version` on `system`.
pub fn check_kind(kind: &str, version: &str, flavor: &str, system: &str) -> Result<(), PairError> {
    if kind != DETECT {
        return Ok(());
    }
    let fits = |release: &&Release| {
        release.version.starts_with(DETECT_CUDA) && release.systems.contains(&DETECT_SYSTEM)
    };
    let versions: Vec<_> = RELEASES.iter().filter(fits).map(|release| release.version).collect();
    if system != DETECT_SYSTEM || !versions.contains(&version) {
        return Err(PairError::OnnxRuntime { versions, system: DETECT_SYSTEM });
    }
    match CUDNN_FLAVORS.contains(&flavor) {
        true => Ok(()),
        false => Err(PairError::Flavor { flavors: &CUDNN_FLAVORS }),
    }
}

/// Whether there is an image of CUDA `version` on `system` that `driver` runs.
pub fn check_pair(version: &str, system: &str, driver: Option<u32>) -> Result<(), PairError> {
    let Some(release) = RELEASES.iter().find(|release| release.version == version) else {
        return Err(PairError::Version { nearest: nearest(version) });
    };
    if !release.systems.contains(&system) {
        let mut newest = RELEASES.iter().rev();
        let other = newest.find(|release| release.systems.contains(&system));
        let version = other.map(|release| release.version);
        return Err(PairError::System { systems: release.systems, version });
    }
    match driver {
        Some(driver) if driver < release.driver => {
            let mut newest = RELEASES.iter().rev();
            let version = newest.find(|release| release.driver <= driver).map(|r| r.version);
            Err(PairError::Driver { needs: release.driver, version })
        }
        _ => Ok(()),
    }
}

/// The release whose version is the least away from `version`, the later of two.
fn nearest(version: &str) -> &'static str {
    let place = |version: &str| {
        let mut parts = version.split('.').map(|part| part.parse::<i64>().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        next() * 10_000 + next() * 100 + next()
    };
    let wanted = place(version);
    let distance = |release: &&Release| (place(release.version) - wanted).abs();
    RELEASES.iter().rev().min_by_key(distance).map_or("12.4.1", |release| release.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kinds_start_from_exists() {
        for kind in ["cuda", "cuda-ffmpeg", "detect"] {
            let Defaults { cuda, flavor, system } = defaults(kind);
            assert_eq!(check_pair(cuda, system, None), Ok(()), "{kind}");
            assert_eq!(check_kind(kind, cuda, flavor, system), Ok(()), "{kind}");
        }
    }

    #[test]
    fn onnx_runtime_wants_its_own_cuda_and_python() {
        let versions = vec!["12.6.3", "12.8.1", "12.9.1"];
        let refused = Err(PairError::OnnxRuntime { versions, system: "ubuntu24.04" });
        assert_eq!(check_kind("detect", "12.4.1", "runtime", "ubuntu22.04"), refused);
        assert_eq!(check_kind("detect", "13.0.1", "runtime", "ubuntu24.04"), refused);
        let base = check_kind("detect", "12.6.3", "base", "ubuntu24.04");
        assert_eq!(base, Err(PairError::Flavor { flavors: &["runtime", "devel"] }));
    }

    #[test]
    fn what_does_not_exist_has_a_neighbour_that_does() {
        assert_eq!(check_pair("12.4.1", "ubuntu22.04", Some(535)), Ok(()));
        assert_eq!(
            check_pair("12.4", "ubuntu22.04", None),
            Err(PairError::Version { nearest: "12.4.1" })
        );
        assert_eq!(
            check_pair("14.2.0", "ubuntu22.04", None),
            Err(PairError::Version { nearest: "13.0.1" })
        );
        let systems = &["ubuntu20.04", "ubuntu22.04"][..];
        assert_eq!(
            check_pair("12.4.1", "ubuntu24.04", None),
            Err(PairError::System { systems, version: Some("13.0.1") })
        );
        assert_eq!(
            check_pair("13.0.1", "ubuntu22.04", Some(535)),
            Err(PairError::Driver { needs: 580, version: Some("12.9.1") })
        );
    }
}
