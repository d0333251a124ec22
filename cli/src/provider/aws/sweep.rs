//! What an app has in an account by its tags and names, whatever the state remembers.

use super::session::Doing;
use super::tags::belong;
use super::{AwsProvider, CloudResult};
use crate::resource::{Kind, Resource, ResourceId};

impl AwsProvider<'_> {
    /// Everything of this app that is found by its tags.
    pub(crate) async fn sweep(&self) -> CloudResult<Vec<Resource>> {
        let mut ids = self.tagged_in_batch().await?;
        ids.extend(self.tagged_elsewhere().await?);
        let mut found = Vec::new();
        for id in ids {
            let seen = self.see(&id).await?;
            found.extend(seen.and_then(|seen| seen.resource));
        }
        found.extend(self.functions_of_catalog().await?);
        Ok(found)
    }

    async fn tagged_in_batch(&self) -> CloudResult<Vec<ResourceId>> {
        let batch = self.session.batch();
        let mut ids = Vec::new();
        let mut queues = batch.describe_job_queues().into_paginator().send();
        while let Some(page) = queues.next().await {
            let page = page.doing(|| "look for queues".into())?;
            ids.extend(page.job_queues().iter().filter_map(|found| self.id_by_tags(found.tags()?)));
        }
        let mut environments = batch.describe_compute_environments().into_paginator().send();
        while let Some(page) = environments.next().await {
            let page = page.doing(|| "look for compute environments".into())?;
            let found = page.compute_environments().iter();
            ids.extend(found.filter_map(|found| self.id_by_tags(found.tags()?)));
        }
        Ok(ids)
    }

    fn id_by_tags(&self, tags: &std::collections::HashMap<String, String>) -> Option<ResourceId> {
        let pairs = tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        if !belong(pairs, self.environment(), self.app) {
            return None;
        }
        tags.get("vdeploy:resource")?.parse().ok()
    }

    /// Roles, launch templates, repositories, log groups and schedules, by the names that an app's
    /// have.
    async fn tagged_elsewhere(&self) -> CloudResult<Vec<ResourceId>> {
        let mut ids: Vec<_> = ["function", "start", "machine", "schedule"]
            .map(|purpose| ResourceId::new(Kind::Role, purpose))
            .into();
        let name = self.names.name("", 128);
        let filter =
            aws_sdk_ec2::types::Filter::builder().name("tag:vdeploy:app").values(self.app).build();
        let found = self.session.ec2().describe_launch_templates().filters(filter).send().await;
        let found = found.doing(|| "look for launch templates".into())?;
        let templates = found.launch_templates().iter();
        ids.extend(templates.filter_map(|template| {
            let id = template.launch_template_name()?.strip_prefix(&name)?;
            Some(ResourceId::new(Kind::LaunchTemplate, id))
        }));
        let prefix = self.names.log_group("");
        let request = self.session.logs().describe_log_groups().log_group_name_prefix(&prefix);
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.doing(|| "look for log groups".into())?;
            ids.extend(page.log_groups().iter().filter_map(|group| {
                let function = group.log_group_name()?.strip_prefix(&prefix)?;
                Some(ResourceId::new(Kind::LogGroup, function))
            }));
        }
        let prefix = self.names.repository("");
        let mut pages = self.session.ecr().describe_repositories().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.doing(|| "look for repositories".into())?;
            ids.extend(page.repositories().iter().filter_map(|repository| {
                let image = repository.repository_name()?.strip_prefix(&prefix)?;
                Some(ResourceId::new(Kind::Repository, image))
            }));
        }
        let request = self.session.scheduler().list_schedules().name_prefix(&name);
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.doing(|| "look for schedules".into())?;
            ids.extend(page.schedules().iter().filter_map(|schedule| {
                let function = schedule.name()?.strip_prefix(&name)?;
                Some(ResourceId::new(Kind::Schedule, function))
            }));
        }
        Ok(ids)
    }

    /// Functions by their records in the catalog.
    async fn functions_of_catalog(&self) -> CloudResult<Vec<Resource>> {
        let objects = self.session.objects();
        let listed = objects.list(&self.keys.apps()).await?;
        let mut found = Vec::new();
        for object in listed {
            let Some((app, function)) = self.keys.function_of(&object.key) else { continue };
            if app == self.app {
                let id = ResourceId::new(Kind::Function, function);
                found.extend(self.recorded_function(&id).await?);
            }
        }
        Ok(found)
    }
}
