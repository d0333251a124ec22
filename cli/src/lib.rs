//! Everything about changing infrastructure and talking to people.
//!
//! # Where is the thing that …
//!
//! | … | module |
//! | --- | --- |
//! | reads `vdeploy.toml` and says what is wrong with it | [`manifest`] |
//! | renders a project to start from | [`scaffold`] |
//! | knows GPU models | [`hardware`] |
//! | turns an app into the resources it wants | [`desired`], [`resource`] |
//! | remembers what was created | [`state`], [`store`] |
//! | decides what to do | [`plan`] |
//! | does it | [`apply`], [`provider`] |
//! | says what happened | [`event`], [`ui`] |
//! | merges flags, variables, profile and defaults | [`settings`] |
//! | is one verb of the command line | [`command`] |
//!
//! `manifest → desired → (+ state + observed) → plan → apply` is also the order to read in. A file
//! without a folder is pure or a recipe; effects live in `provider/`, `store/`, `image/` and `ui/`.

pub mod command;
pub mod error;
pub mod hardware;
pub mod manifest;
pub mod scaffold;
pub mod settings;
pub mod ui;
