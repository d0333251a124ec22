//! CloudWatch Logs: one group per function.

use std::collections::HashMap;

use aws_sdk_cloudwatchlogs::types::LogGroup as Found;

use super::error::missing_is_fine;
use super::session::Doing;
use super::{AwsProvider, CloudResult, seen};
use crate::plan::Seen;
use crate::resource::{LogGroup, Resource, ResourceId};

impl AwsProvider<'_> {
    /// All of these log groups, by one list of the app's: each by itself would take a request.
    pub(super) async fn see_log_groups(
        &self,
        ids: &[ResourceId],
    ) -> CloudResult<Vec<(ResourceId, Seen)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let prefix = self.names.log_group("");
        let request = self.session.logs().describe_log_groups().log_group_name_prefix(prefix);
        let mut pages = request.into_paginator().send();
        let mut days = HashMap::new();
        while let Some(page) = pages.next().await {
            let page = page.doing(|| "look at log groups".into())?;
            for group in page.log_groups.unwrap_or_default() {
                let kept = group.retention_in_days.and_then(|days| u32::try_from(days).ok());
                days.extend(group.log_group_name.map(|name| (name, kept)));
            }
        }
        let found = ids.iter().filter_map(|id| {
            let name = self.names.log_group(&id.name);
            let days = days.get(&name)?;
            let function = id.name.clone();
            let group = |retention_days| LogGroup { function, name, retention_days };
            Some((id.clone(), seen(days.map(group).map(Resource::LogGroup))))
        });
        Ok(found.collect())
    }

    pub(super) async fn see_log_group(&self, function: &str) -> CloudResult<Option<Seen>> {
        let name = self.names.log_group(function);
        Ok(self.find_log_group(&name).await?.map(|found| {
            let days = found.retention_in_days.and_then(|days| u32::try_from(days).ok());
            let function = function.to_owned();
            seen(days.map(|retention_days| {
                Resource::LogGroup(LogGroup { function, name, retention_days })
            }))
        }))
    }

    async fn find_log_group(&self, name: &str) -> CloudResult<Option<Found>> {
        let request = self.session.logs().describe_log_groups().log_group_name_prefix(name);
        let found = request.send().await.doing(|| format!("look at log group `{name}`"))?;
        let groups = found.log_groups.unwrap_or_default();
        Ok(groups.into_iter().find(|group| group.log_group_name() == Some(name)))
    }

    pub(super) async fn put_log_group(&self, group: &LogGroup) -> CloudResult<()> {
        let (logs, name) = (self.session.logs(), &group.name);
        let id = Resource::LogGroup(group.clone()).id();
        let request =
            logs.create_log_group().log_group_name(name).set_tags(Some(self.tags(&id).map()));
        match request.send().await.doing(|| format!("create log group `{name}`")) {
            Err(error) if !error.exists() => return Err(error),
            _ => {}
        }
        let days = i32::try_from(group.retention_days).unwrap_or(i32::MAX);
        let request = logs.put_retention_policy().log_group_name(name).retention_in_days(days);
        request
            .send()
            .await
            .doing(|| format!("set how long log group `{name}` keeps logs"))
            .map(drop)
    }

    pub(super) async fn take_log_group(&self, group: &LogGroup) -> CloudResult<()> {
        let name = &group.name;
        let sent = self.session.logs().delete_log_group().log_group_name(name).send().await;
        missing_is_fine(sent.doing(|| format!("delete log group `{name}`")))
    }
}
