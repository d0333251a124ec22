//! What the parts of an app may do: policy documents rendered from `templates/aws`, with names of
//! the app's own and nothing wider. Pure.

use handlebars::Handlebars;
use serde::Serialize;
use serde_json::Value;

use crate::resource::ACCOUNT;

/// Everything that policies name.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Names {
    pub(super) app: String,
    pub(super) environment: String,
    /// ARN of the bucket.
    pub(super) bucket: String,
    /// What keys of calls start with.
    pub(super) calls: Vec<String>,
    /// What ARNs of Batch start with.
    pub(super) arn_batch: String,
    /// What ARNs of CloudWatch Logs start with.
    pub(super) arn_logs: String,
    /// Volumes that functions write to, by name.
    pub(super) volumes: Vec<String>,
    /// Existing buckets that functions reach as who they are.
    pub(super) mounts: Vec<Mount>,
    /// ARNs of secrets.
    pub(super) secrets: Vec<String>,
    /// ARNs of job definitions and queues.
    pub(super) jobs: Vec<String>,
    /// ARNs of Lambda functions.
    pub(super) lambdas: Vec<String>,
    /// ARNs of repositories.
    pub(super) repositories: Vec<String>,
}

/// An existing bucket that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Mount {
    /// Its ARN.
    pub(super) bucket: String,
    /// What keys in the mount begin with.
    pub(super) prefix: String,
    pub(super) read_only: bool,
}

/// A policy document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Policy {
    /// Of functions while they run.
    Function,
    /// Of what starts their containers.
    Start,
    /// Of what calls them at their times.
    Schedule,
}

impl Policy {
    fn template(self) -> &'static str {
        match self {
            Policy::Function => include_str!("../../../templates/aws/function.json.hbs"),
            Policy::Start => include_str!("../../../templates/aws/start.json.hbs"),
            Policy::Schedule => include_str!("../../../templates/aws/schedule.json.hbs"),
        }
    }

    /// The document that allows what `names` say.
    pub(super) fn render(self, names: &Names) -> Value {
        let mut engine = Handlebars::new();
        engine.register_escape_fn(handlebars::no_escape);
        let text = engine
            .render_template(self.template(), names)
            .expect("templates are rendered by the tests of this file");
        serde_json::from_str(&text).expect("names hold nothing that JSON would have to escape")
    }
}

/// The part of ARNs that says whose AWS a region belongs to.
pub(super) fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// What ARNs of a service start with.
pub(super) fn arn(service: &str, region: &str) -> String {
    format!("arn:{}:{service}:{region}:{ACCOUNT}", partition(region))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sids(policy: Policy, names: &Names) -> Vec<String> {
        let document = policy.render(names);
        let statements = document["Statement"].as_array().unwrap();
        statements.iter().map(|s| s["Sid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn nothing_is_allowed_that_no_function_needs() {
        let bare = Names { app: "reel".into(), environment: "main".into(), ..Names::default() };
        assert_eq!(sids(Policy::Function, &bare), ["Calls", "Deployed", "List", "Log"]);
        assert_eq!(sids(Policy::Start, &bare), ["Log"]);
        let pulls = Names { repositories: vec!["r".into()], ..bare.clone() };
        assert_eq!(sids(Policy::Start, &pulls), ["Login", "Pull", "Log"]);
        assert!(sids(Policy::Schedule, &bare).is_empty());
        let full = Names {
            volumes: vec!["footage".into(), "out".into()],
            mounts: vec![Mount {
                bucket: "arn:aws:s3:::videos".into(),
                prefix: "raw/".into(),
                read_only: false,
            }],
            secrets: vec!["s".into()],
            jobs: vec!["j".into(), "q".into()],
            lambdas: vec!["l".into()],
            ..bare
        };
        let all = [
            "Calls",
            "Deployed",
            "Volumes",
            "List",
            "ReadMounts",
            "WriteMounts",
            "ListMounts",
            "Secrets",
            "CallJobs",
            "TagJobs",
            "EndJobs",
            "WatchJobs",
            "CallLambda",
            "Log",
        ];
        assert_eq!(sids(Policy::Function, &full), all);
        assert_eq!(sids(Policy::Schedule, &full), ["CallJobs", "CallLambda"]);
    }

    #[test]
    fn only_what_has_no_resources_is_allowed_on_everything() {
        let one = || vec!["x".to_owned()];
        let names = Names { jobs: one(), repositories: one(), calls: one(), ..Names::default() };
        for policy in [Policy::Function, Policy::Start, Policy::Schedule] {
            let document = policy.render(&names);
            for statement in document["Statement"].as_array().unwrap() {
                let everything = statement["Resource"] == serde_json::json!(["*"]);
                let actions = statement["Action"].to_string();
                let unscoped = ["ecr:GetAuthorizationToken", "batch:DescribeJobs"];
                assert!(!everything || unscoped.iter().any(|a| actions.contains(a)), "{actions}");
                assert!(!actions.contains('*'), "{actions}");
            }
        }
    }
}
