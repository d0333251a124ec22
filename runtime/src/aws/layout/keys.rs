//! Keys in the bucket, and what the id of a call says about where it is.

use super::ROOT;
use crate::wire::CallId;

/// Keys of one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    environment: String,
}

impl Keys {
    /// The keys of `environment`, whose name holds letters, digits, `-` and `_`.
    pub fn of(environment: impl Into<String>) -> Self {
        Keys { environment: environment.into() }
    }

    /// The environment's name.
    pub fn environment(&self) -> &str {
        &self.environment
    }

    fn own(&self, rest: impl std::fmt::Display) -> String {
        format!("{ROOT}environments/{}/{rest}", self.environment)
    }

    /// The records of all deployed functions.
    pub fn apps(&self) -> String {
        self.own("apps/")
    }

    /// The record of a deployed function: [`crate::catalog::Published`] as JSON.
    pub fn function(&self, app: &str, function: &str) -> String {
        self.own(format_args!("apps/{app}/functions/{function}.json"))
    }

    /// The app and the function of a record's key.
    pub fn function_of<'k>(&self, key: &'k str) -> Option<(&'k str, &'k str)> {
        let (app, file) = key.strip_prefix(&self.apps())?.split_once("/functions/")?;
        Some((app, file.strip_suffix(".json")?))
    }

    /// The records of an app's images that were pushed.
    pub fn images(&self, app: &str) -> String {
        self.own(format_args!("apps/{app}/images/"))
    }

    /// The record of an image that was pushed.
    pub fn image(&self, app: &str, image: &str) -> String {
        format!("{}{image}.json", self.images(app))
    }

    /// Everything about the state of `app`.
    pub fn state(&self, app: &str) -> String {
        self.own(format_args!("state/{app}/"))
    }

    /// The lock of the environment, whose apps share volumes.
    pub fn lock(&self) -> String {
        self.own("lock.json")
    }

    /// A deployed copy of code, by content hash.
    pub fn source(&self, hash: &str) -> String {
        self.own(format_args!("sources/{hash}/"))
    }

    /// The files of a volume.
    pub fn volume(&self, name: &str) -> String {
        self.own(format_args!("volumes/{name}/"))
    }

    /// What is known of all volumes beside their files.
    pub fn volume_records(&self) -> String {
        self.own("volume-records/")
    }

    /// What is known of a volume: [`crate::storage::VolumeRecord`] as JSON.
    pub fn volume_record(&self, name: &str) -> String {
        self.own(format_args!("volume-records/{name}.json"))
    }

    /// The files that callers pass to calls and get from them, see [`crate::aws::layout`].
    pub fn call_files(&self) -> String {
        format!("{ROOT}files/{}/", self.environment)
    }

    /// The calls of the environment.
    pub fn calls(&self) -> String {
        format!("{ROOT}calls/{}/", self.environment)
    }

    /// Calls that were made together.
    pub fn group(&self, group: &str) -> GroupKeys {
        GroupKeys { prefix: format!("{}{group}/", self.calls()) }
    }

    /// Which groups hold the inputs of a map.
    pub fn map(&self, map: &str) -> String {
        format!("{ROOT}maps/{}/{map}/", self.environment)
    }

    /// Which group holds the inputs of a map from place `first` on. Keys sort by place.
    pub fn map_part(&self, map: &str, first: u64) -> String {
        format!("{}{first:012}.json", self.map(map))
    }
}

/// Keys of calls that were made together: one, or as many as an array job has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKeys {
    prefix: String,
}

impl GroupKeys {
    /// What all of them start with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What is called, and how.
    pub fn record(&self) -> String {
        format!("{}record.json", self.prefix)
    }

    /// The arguments of all its calls.
    pub fn inputs(&self) -> String {
        format!("{}inputs", self.prefix)
    }

    /// What runs them; written after it was started.
    pub fn job(&self) -> String {
        format!("{}job.json", self.prefix)
    }

    /// How far calls are.
    pub fn statuses(&self) -> String {
        format!("{}status/", self.prefix)
    }

    /// Attempts and progress of a call.
    pub fn status(&self, index: u64) -> String {
        format!("{}status/{index}.json", self.prefix)
    }

    /// How calls ended.
    pub fn outcomes(&self) -> String {
        format!("{}outcome/", self.prefix)
    }

    /// How a call ended.
    pub fn outcome(&self, index: u64) -> String {
        format!("{}outcome/{index}.json", self.prefix)
    }

    /// What the next attempt of a call gets back.
    pub fn checkpoint(&self, index: u64) -> String {
        format!("{}checkpoint/{index}.json", self.prefix)
    }

    /// Requests for calls to be cancelled.
    pub fn cancels(&self) -> String {
        format!("{}cancel/", self.prefix)
    }

    /// The request for a call to be cancelled.
    pub fn cancel(&self, index: u64) -> String {
        format!("{}cancel/{index}", self.prefix)
    }

    /// The request for all calls of the group to be cancelled.
    pub fn cancel_all(&self) -> String {
        format!("{}cancel/all", self.prefix)
    }

    /// The log of a call. Parts sort in the order they were written.
    pub fn log(&self, index: u64) -> String {
        format!("{}log/{index}/", self.prefix)
    }

    /// A part of a call's log.
    pub fn log_part(&self, index: u64, attempt: u32, part: u32) -> String {
        format!("{}{attempt:03}-{part:06}", self.log(index))
    }

    /// Files of a call that have no place of their own.
    pub fn artifacts(&self, index: u64) -> String {
        format!("{}artifacts/{index}/", self.prefix)
    }

    /// The index in a key such as `PREFIX17.json` or `PREFIX17`, below a prefix of this group's.
    pub fn index_of(key: &str, prefix: &str) -> Option<u64> {
        let rest = key.strip_prefix(prefix)?;
        rest.strip_suffix(".json").unwrap_or(rest).parse().ok()
    }
}

/// A call by the group that it was made in and its place there, as its id says:
/// `c-01k…` is the only call of its group, `c-01k…-17` the eighteenth of its.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallPlace {
    /// The group, `c-` and 26 characters.
    pub group: String,
    /// The call's place, from 0.
    pub index: u64,
    /// The group is one call.
    pub single: bool,
}

impl CallPlace {
    /// The only call of `group`.
    pub fn single(group: impl Into<String>) -> Self {
        CallPlace { group: group.into(), index: 0, single: true }
    }

    /// The call at `index` of `group`.
    pub fn of_many(group: impl Into<String>, index: u64) -> Self {
        CallPlace { group: group.into(), index, single: false }
    }

    /// What `id` says; none when it is no call's id.
    pub fn of(id: &CallId) -> Option<Self> {
        let rest = id.0.strip_prefix("c-")?;
        let (group, index) = rest.split_at_checked(26)?;
        let plain = group.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        let group = format!("c-{group}");
        match index.strip_prefix('-') {
            _ if !plain => None,
            None if index.is_empty() => Some(CallPlace::single(group)),
            None => None,
            Some(index) => Some(CallPlace::of_many(group, index.parse().ok()?)),
        }
    }

    /// Its id.
    pub fn id(&self) -> CallId {
        CallId(match self.single {
            true => self.group.clone(),
            false => format!("{}-{}", self.group, self.index),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::EXPIRING;
    use super::*;

    #[test]
    fn a_call_is_found_by_its_id_and_nothing_else_is() {
        let group = "c-01k0000000000000000000000a";
        for place in [CallPlace::single(group), CallPlace::of_many(group, 17)] {
            assert_eq!(CallPlace::of(&place.id()), Some(place));
        }
        for id in
            ["", "c-", "c-short", "m-01k0000000000000000000000a", "c-01k000000000000000000000/a"]
        {
            assert_eq!(CallPlace::of(&CallId(id.into())), None, "{id}");
        }
        for rest in ["x", "-", "-x", "-1-2", "/../x"] {
            assert_eq!(CallPlace::of(&CallId(format!("{group}{rest}"))), None, "{rest}");
        }
    }

    #[test]
    fn keys_are_where_the_table_says() {
        let keys = Keys::of("main");
        let group = keys.group("c-1");
        insta::assert_snapshot!(
            [
                keys.function("reel", "probe"),
                keys.lock(),
                keys.volume("footage"),
                keys.volume_record("footage"),
                keys.map_part("m-1", 10_000),
                group.record(),
                group.status(7),
                group.log_part(7, 1, 12),
                group.outcome(7),
            ]
            .join("\n"),
            @r"
        vdeploy/environments/main/apps/reel/functions/probe.json
        vdeploy/environments/main/lock.json
        vdeploy/environments/main/volumes/footage/
        vdeploy/environments/main/volume-records/footage.json
        vdeploy/maps/main/m-1/000000010000.json
        vdeploy/calls/main/c-1/record.json
        vdeploy/calls/main/c-1/status/7.json
        vdeploy/calls/main/c-1/log/7/001-000012
        vdeploy/calls/main/c-1/outcome/7.json
        "
        );
        let key = keys.function("reel", "probe");
        assert_eq!(keys.function_of(&key), Some(("reel", "probe")));
        assert_eq!(GroupKeys::index_of(&group.outcome(7), &group.outcomes()), Some(7));
        assert!(EXPIRING.iter().any(|prefix| group.prefix().starts_with(prefix)));
    }
}
