//! Everything about a call: what it says, who runs it, and where its files are.
//!
//! # The life of a call
//!
//! 1. [`client`] finds a function by name and turns arguments into a [`wire::Invocation`].
//! 2. [`dispatch`] records it in a queue and gives it to a worker.
//! 3. [`worker`] is the door through which the invocation reaches this process.
//! 4. [`handler`] looks the handler up and checks the arguments against its schema.
//! 5. [`handlers`] plan ffmpeg jobs ([`ffmpeg`]) for what this machine can do ([`gpu`]).
//! 6. [`storage`] brings files in, and puts results where they belong, whole or not at all.
//! 7. A [`wire::Outcome`] goes back the same way, once.
//!
//! # What this crate never does
//!
//! It changes no infrastructure, reads no manifest and writes nothing to a terminal: that is the
//! `vdeploy` crate, which depends on this one and never the other way round.

pub mod args;
pub mod aws;
pub mod catalog;
pub mod children;
pub mod client;
pub mod clock;
pub mod color;
pub mod database;
pub mod detect;
pub mod dispatch;
pub mod encode;
pub mod engine;
pub mod environment;
pub mod failpoint;
pub mod ffmpeg;
pub mod function;
pub mod gpu;
pub mod handler;
pub mod handlers;
pub mod home;
pub mod length;
pub mod motion;
pub mod oom;
pub mod packaging;
pub mod process;
mod quantity;
pub mod redact;
pub mod secret;
pub mod settings;
pub mod storage;
pub mod suggestion;
mod web;
pub mod webhook;
pub mod wire;
pub mod worker;

pub use handler::{Context, Handler, Registry};
pub use wire::{CallId, Failure, FailureKind, Outcome, Phase, Progress};
