//! A worker with handlers that only tests have: they call each other in ways that real ones might.

use std::path::PathBuf;
use std::process::ExitCode;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use vdeploy_runtime::dispatch::What;
use vdeploy_runtime::function::Retries;
use vdeploy_runtime::wire::{Outcome, Phase, Progress};
use vdeploy_runtime::{Context, Failure, FailureKind, Handler, Registry, worker};

fn main() -> ExitCode {
    let registry = Registry::new()
        .with(Nest)
        .with(Both)
        .with(Resumes)
        .with(Part)
        .with(Wait)
        .with(Lead)
        .with(Follow);
    worker::main(registry)
}

/// Calls itself, so many levels deep and so many times at each.
struct Nest;

#[derive(Serialize, Deserialize, JsonSchema)]
struct NestArgs {
    depth: u32,
    width: u32,
    /// Calls go to the deployed function of that name instead of to the handler.
    function: Option<String>,
}

impl Handler for Nest {
    type Args = NestArgs;
    type Output = u32;
    const NAME: &'static str = "nest";
    const ABOUT: &'static str = "Counts the leaves of a tree of calls.";

    async fn run(&self, cx: Context, args: NestArgs) -> Result<u32, Failure> {
        let NestArgs { depth, width, function } = args;
        if depth == 0 {
            cx.progress(Progress { frames: Some(1), fraction: Some(1.0), ..Progress::default() });
            return Ok(1);
        }
        let callee = match &function {
            Some(name) => cx.function(name),
            None => cx.handler("nest"),
        };
        let inputs = (0..width).map(move |_| NestArgs {
            depth: depth - 1,
            width,
            function: function.clone(),
        });
        let leaves: Vec<u32> =
            callee.map(inputs).collect(|all| cx.progress(all.progress())).await?;
        Ok(leaves.iter().sum())
    }
}

/// Waits for two calls at the same time, where there may be room for one.
struct Both;

impl Handler for Both {
    type Args = serde_json::Map<String, serde_json::Value>;
    type Output = u32;
    const NAME: &'static str = "both";
    const ABOUT: &'static str = "Waits for two calls at once, then for one that was spawned.";

    async fn run(&self, cx: Context, _: Self::Args) -> Result<u32, Failure> {
        let leaf = || cx.handler("nest");
        let spawned = leaf().spawn(json!({ "depth": 1, "width": 3 })).await?;
        let one = leaf().call::<u32>(json!({ "depth": 0, "width": 0 }));
        let two = leaf().call::<u32>(json!({ "depth": 1, "width": 2 }));
        let (one, two) = tokio::try_join!(one, two)?;
        Ok(one + two + spawned.wait::<u32>().await?)
    }
}

/// Fails at the first attempt, when its parts are done.
struct Resumes;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Folder {
    folder: PathBuf,
}

impl Handler for Resumes {
    type Args = Folder;
    type Output = Vec<String>;
    const NAME: &'static str = "resumes";
    const ABOUT: &'static str = "Fails once its parts are done, and then doesn't do them again.";

    async fn run(&self, cx: Context, args: Folder) -> Result<Vec<String>, Failure> {
        let inputs: Vec<_> =
            (0..3).map(|part| PartArgs { folder: args.folder.clone(), part }).collect();
        let retries = Retries { max: 2, initial_delay_seconds: 0.01, ..Retries::default() };
        let parts = cx.handler("part").retries(retries).resume("parts").map(inputs);
        let parts: Vec<String> = parts.collect(|all| cx.progress(all.progress())).await?;
        if cx.invocation().attempt == 1 {
            return Err(Failure::new(FailureKind::Machine, "the first attempt fails"));
        }
        Ok(parts)
    }
}

/// Leaves a trace of each attempt; the last part fails at its first.
struct Part;

#[derive(Serialize, Deserialize, JsonSchema)]
struct PartArgs {
    folder: PathBuf,
    part: u32,
}

impl Handler for Part {
    type Args = PartArgs;
    type Output = String;
    const NAME: &'static str = "part";
    const ABOUT: &'static str = "One part of `resumes`.";

    async fn run(&self, cx: Context, args: PartArgs) -> Result<String, Failure> {
        let attempt = cx.invocation().attempt;
        let name = format!("part-{}-{}-{attempt}", args.part, cx.invocation().call);
        std::fs::write(args.folder.join(name), "").expect("the folder is there");
        if args.part == 2 && attempt == 1 {
            return Err(Failure::new(FailureKind::Machine, "not yet").retryable(true));
        }
        Ok(format!("part {}", args.part))
    }
}

/// Says that it runs, and waits to be stopped.
struct Wait;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Nothing {}

impl Handler for Wait {
    type Args = Nothing;
    type Output = ();
    const NAME: &'static str = "wait";
    const ABOUT: &'static str = "Waits until it is cancelled.";

    async fn run(&self, cx: Context, _: Nothing) -> Result<(), Failure> {
        cx.progress(Progress { phase: Phase::Processing, ..Progress::default() });
        cx.cancellation().cancelled().await;
        Err(Failure::new(FailureKind::Cancelled, "stopped"))
    }
}

/// Calls `wait` three times and reports when all of them run.
struct Lead;

#[derive(Serialize, Deserialize, JsonSchema)]
struct LeadArgs {
    /// Fails, with its calls running, instead of waiting for them.
    fail: bool,
    /// Calls are made by another level in between.
    deep: bool,
}

impl Handler for Lead {
    type Args = LeadArgs;
    type Output = ();
    const NAME: &'static str = "lead";
    const ABOUT: &'static str = "Waits for calls that never end.";

    async fn run(&self, cx: Context, args: LeadArgs) -> Result<(), Failure> {
        let mut children = if args.deep {
            cx.handler("lead").map(vec![json!({ "fail": false, "deep": false })])
        } else {
            cx.handler("wait").map(vec![json!({}), json!({})])
        };
        let wanted = if args.deep { 1 } else { 2 };
        let mut running = 0;
        while let Some(event) = children.next().await? {
            match event.what {
                What::Progress { .. } => running += 1,
                What::Ended { outcome: Outcome::Failed { failure } } => return Err(failure),
                _ => {}
            }
            if running == wanted {
                cx.progress(Progress { message: Some("all run".into()), ..Progress::default() });
                if args.fail {
                    return Err(Failure::new(FailureKind::Handler, "fails on purpose"));
                }
            }
        }
        Ok(())
    }
}

/// Reports what becomes of calls that can't succeed.
struct Follow;

impl Handler for Follow {
    type Args = Nothing;
    type Output = Vec<String>;
    const NAME: &'static str = "follow";
    const ABOUT: &'static str = "Collects the failures of its calls.";

    async fn run(&self, cx: Context, _: Nothing) -> Result<Vec<String>, Failure> {
        let mut said = Vec::new();
        let folder = std::env::temp_dir().join("there-is-no-such-folder");
        for callee in [cx.function("nets"), cx.handler("tsen"), cx.function("nest")] {
            let failed = callee
                .call::<u32>(json!({ "folder": folder }))
                .await
                .expect_err("it can not succeed");
            let hint = failed.hint.as_deref().unwrap_or("-");
            said.push(format!("{failed} | {} | {hint}", failed.causes.join(" | ")));
        }
        Ok(said)
    }
}
