//! `[target.aws]` of a manifest.

use std::collections::BTreeMap;

use super::app::{StatePlace, Target};
use super::check;
use super::decode::{At, Entries};
use super::problem::{Problem, Problems};
use super::raw::{RawAws, RawTargets};
use super::resolve::{text, values};
use crate::error::did_you_mean;
use crate::hardware::INSTANCES;

/// Days that CloudWatch can keep logs for.
const RETENTIONS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];
/// Days that logs and calls are kept when nothing is said.
const KEPT_DAYS: u32 = 30;
/// CPUs of a compute environment when nothing is said.
const MAX_VCPUS: u32 = 256;

impl Default for Limits {
    fn default() -> Self {
        Limits { max_vcpus: MAX_VCPUS, log_days: KEPT_DAYS, call_days: KEPT_DAYS }
    }
}

/// The numbers of a target.
pub(super) struct Limits {
    max_vcpus: u32,
    log_days: u32,
    call_days: u32,
}

impl Target {
    /// What holds for an app that says nothing about AWS.
    pub fn unsaid() -> Self {
        let Limits { max_vcpus, log_days, call_days } = Limits::default();
        Target {
            max_vcpus,
            log_retention_days: log_days,
            call_retention_days: call_days,
            ..Target::default()
        }
    }
}

impl Target {
    /// What exists already and is used, by key.
    pub fn brought_along(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let named = [
            ("vpc", &self.vpc),
            ("bucket", &self.bucket),
            ("role", &self.role),
            ("repository", &self.repository),
            ("compute_environment", &self.compute_environment),
            ("queue", &self.queue),
        ];
        named.into_iter().filter_map(|(key, name)| Some((key, name.as_deref()?)))
    }
}

/// The targets that a manifest sets up, by name.
pub(super) fn targets(
    raw: Option<At<RawTargets>>,
    problems: &mut Problems,
) -> BTreeMap<String, Target> {
    let aws = raw.and_then(|targets| targets.value.aws);
    aws.map(|aws| ("aws".to_owned(), target(aws.value, problems))).into_iter().collect()
}

fn target(raw: RawAws, problems: &mut Problems) -> Target {
    if let Some(region) = &raw.region {
        check_region(region, problems);
    }
    ids("vpc", "vpc-", raw.vpc.iter(), problems);
    ids("subnets", "subnet-", raw.subnets.iter().flat_map(|list| &list.value), problems);
    ids("security_groups", "sg-", raw.security_groups.iter().flat_map(|l| &l.value), problems);
    for (key, name) in [
        ("bucket", &raw.bucket),
        ("role", &raw.role),
        ("repository", &raw.repository),
        ("compute_environment", &raw.compute_environment),
        ("queue", &raw.queue),
    ] {
        own_name(key, name.as_ref(), problems);
    }
    let Limits { max_vcpus, log_days, call_days } = limits(&raw, problems);
    Target {
        prices: raw.prices.map(|list| prices(list.value, problems)).unwrap_or_default(),
        region: text(raw.region),
        vpc: text(raw.vpc),
        subnets: raw.subnets.map(|list| values(list.value)).unwrap_or_default(),
        security_groups: raw.security_groups.map(|list| values(list.value)).unwrap_or_default(),
        bucket: text(raw.bucket),
        state: match raw.state {
            Some(place) if place.value.0 == "local" => StatePlace::Local,
            _ => StatePlace::Bucket,
        },
        role: text(raw.role),
        repository: text(raw.repository),
        compute_environment: text(raw.compute_environment),
        queue: text(raw.queue),
        max_vcpus,
        log_retention_days: log_days,
        call_retention_days: call_days,
    }
}

fn limits(raw: &RawAws, problems: &mut Problems) -> Limits {
    let default = Limits::default();
    let max = check::number("max_vcpus", raw.max_vcpus.clone(), 1..=100_000, problems);
    let calls = raw.call_retention_days.clone();
    let calls = check::number("call_retention_days", calls, 1..=3650, problems);
    if let Some(days) = &raw.log_retention_days
        && !RETENTIONS.contains(&days.value)
    {
        let near = RETENTIONS.iter().find(|kept| **kept >= days.value).unwrap_or(&3653);
        problems.push(
            Problem::new(&days.span, format!("logs can't be kept for {} days", days.value))
                .hint(format!("CloudWatch keeps them for {near} days, among others")),
        );
    }
    Limits {
        max_vcpus: max.unwrap_or(default.max_vcpus),
        log_days: raw.log_retention_days.as_ref().map_or(default.log_days, |days| days.value),
        call_days: calls.unwrap_or(default.call_days),
    }
}

fn check_region(region: &At<String>, problems: &mut Problems) {
    let parts: Vec<&str> = region.value.split('-').collect();
    let number =
        parts.last().is_some_and(|last| last.len() == 1 && last.as_bytes()[0].is_ascii_digit());
    let words = parts.len() >= 3
        && parts[..parts.len() - 1]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()));
    if !(number && words) {
        problems.push(
            Problem::new(&region.span, format!("`{}` isn't a region", region.value))
                .hint("write it as `region = \"us-east-1\"`"),
        );
    }
}

/// Notes ids that aren't of their kind.
fn ids<'a>(
    key: &str,
    prefix: &str,
    ids: impl Iterator<Item = &'a At<String>>,
    problems: &mut Problems,
) {
    for id in ids.filter(|id| !id.value.starts_with(prefix)) {
        problems.push(
            Problem::new(&id.span, format!("`{}` can't be one of `{key}`", id.value))
                .hint(format!("give an id that starts with `{prefix}`")),
        );
    }
}

/// Notes a name that is empty or an ARN, which would tell the account's number to whoever reads it.
fn own_name(key: &str, name: Option<&At<String>>, problems: &mut Problems) {
    let Some(name) = name else { return };
    check::text(key, name, problems);
    if name.value.starts_with("arn:") {
        let last = name.value.rsplit(['/', ':']).next().unwrap_or_default();
        problems.push(
            Problem::new(&name.span, format!("`{key}` is a name, not an ARN"))
                .hint(format!("write it as `{key} = \"{last}\"`")),
        );
    }
}

fn prices(entries: Entries<f64>, problems: &mut Problems) -> BTreeMap<String, f64> {
    let mut prices = BTreeMap::new();
    for (name, price) in entries.0 {
        let known = INSTANCES.iter().map(|instance| instance.name);
        if !known.clone().any(|known| known == name.value) {
            let problem =
                Problem::new(&name.span, format!("no instance type is named `{}`", name.value));
            problems.push(match did_you_mean(&name.value, known) {
                Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
                None => problem.hint("name a type that functions can get, such as `g6.xlarge`"),
            });
        }
        check::more_than_zero(&name.value, &price.span, price.value, problems);
        prices.insert(name.value, price.value);
    }
    prices
}
