//! The built-in handlers on real files and a real ffmpeg, without a worker in between.

#![allow(unreachable_pub, reason = "modules of a test binary")]
#![allow(dead_code, reason = "not every module uses all of the rig")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests start programs and fail loudly"
)]

mod bad_input;
mod check;
mod fuzz;
mod machine;
mod planes;
mod probe;
mod rig;
mod transcode;
