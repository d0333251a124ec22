//! The one integration binary: everything a user can do, through the `vdeploy` command.

#![allow(unreachable_pub, reason = "modules of a test binary")]
#![allow(dead_code, reason = "not every module of the suite uses all of the test world")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests start programs, fail loudly and say what they can't test here"
)]

mod aws;
mod cache;
mod call;
mod calls;
mod children;
mod chunked;
mod client;
mod crash;
mod cutting;
mod deploy;
mod detect;
mod dispatch;
mod docker;
mod effects;
mod env;
mod examples;
mod executor;
mod framing;
mod glob;
mod hls;
mod init;
mod kill;
mod ladder;
mod logs;
mod manifest;
mod map;
mod media;
mod media_pictures;
mod media_pieces;
mod misbehave;
mod overlay;
mod picture;
mod pipeline;
mod plan;
mod process;
mod remote;
mod run;
mod secret;
mod soak;
mod state;
mod stream;
mod volume;
mod watch;
