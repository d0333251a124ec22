//! Every variable that passes between the command line, workers and programs.

use std::path::PathBuf;

/// Where the local target keeps everything.
pub const HOME: &str = "VDEPLOY_HOME";
/// Path that a program writes progress and checkpoints to, as JSON lines.
pub const EVENTS: &str = "VDEPLOY_EVENTS";
/// Prefix of the variables that give a function its volumes' paths: `VDEPLOY_VOLUME_<NAME>`.
pub const VOLUME_PREFIX: &str = "VDEPLOY_VOLUME_";
/// The id of the call that a program serves.
pub const CALL: &str = "VDEPLOY_CALL";
/// The attempt of the call that a program serves, from 1.
pub const ATTEMPT: &str = "VDEPLOY_ATTEMPT";
/// The folder that a program may fill as it likes; removed when the call has ended.
pub const SCRATCH: &str = "VDEPLOY_SCRATCH";
/// What the previous attempt stored, as JSON; not set on a first attempt.
pub const CHECKPOINT: &str = "VDEPLOY_CHECKPOINT";
/// The folder whose files become the call's artifacts.
pub const ARTIFACTS: &str = "VDEPLOY_ARTIFACTS";

/// The variable that holds the path of volume `name`.
pub fn volume_variable(name: &str) -> String {
    let upper =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    VOLUME_PREFIX.chars().chain(upper).collect()
}

/// Where programs without a path are looked up.
#[expect(clippy::disallowed_methods, reason = "variables are read here")]
pub fn search_path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}

/// A variable that is set to something.
#[expect(clippy::disallowed_methods, reason = "variables are read here")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A variable that names a path, which may hold any bytes.
#[expect(clippy::disallowed_methods, reason = "variables are read here")]
pub(crate) fn path_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The value of a secret's key, which is in the environment of functions that name the secret.
#[expect(clippy::disallowed_methods, reason = "variables are read here")]
pub fn secret(key: &str) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    std::env::var_os(key).filter(|value| !value.is_empty()).map(OsStringExt::into_vec)
}
