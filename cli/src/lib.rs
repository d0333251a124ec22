//! Everything about changing infrastructure and talking to people.
//!
//! # Where is the thing that …
//!
//! | … | module |
//! | --- | --- |
//! | reads `vdeploy.toml` and says what is wrong with it | [`manifest`] |
//! | renders a project to start from | [`scaffold`] |
//! | knows GPU models, machines and prices | [`hardware`] |
//! | chooses what runs a function on AWS | [`engine`] |
//! | renders, builds, checks and pushes images | [`image`] |
//! | reads the files that functions name | [`prepare`] |
//! | turns an app into the resources it wants | [`desired`], [`resource`] |
//! | compares resources by content | [`fingerprint`] |
//! | remembers what was created | [`state`], [`store`] |
//! | decides what to do | [`plan`] |
//! | does it | [`apply`], [`provider`] |
//! | says what happened | [`event`], [`ui`] |
//! | merges flags, variables, profile and defaults | [`settings`] |
//! | is one verb of the command line | [`command`]; what several share is in `change` |
//!
//! `manifest → desired → (+ state + observed) → plan → apply` is also the order to read in. A file
//! without a folder is pure or a recipe; effects live in `provider/`, `store/`, `image/` and `ui/`.

pub mod apply;
mod change;
pub mod command;
pub mod desired;
pub mod engine;
pub mod error;
pub mod event;
pub mod fingerprint;
pub mod hardware;
pub mod image;
mod interrupt;
pub mod manifest;
pub mod plan;
pub mod prepare;
pub mod provider;
pub mod resource;
pub mod scaffold;
pub mod settings;
pub mod state;
pub mod store;
pub mod ui;
