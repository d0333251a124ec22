//! What an app has in an account by its tags and names, whatever the state remembers.

use super::session::Doing;
use super::tags::belong;
use super::{AwsProvider, CloudResult};
use crate::resource::{Kind, Resource, ResourceId};

impl AwsProvider<'_> {
    /// Everything of this app that is found by its tags.
    pub(crate) async fn sweep(&self) -> CloudResult<Vec<Resource>> {
        let mut ids = self.tagged_in_batch().await?;
        ids.extend(self.named().await?);
        let mut found = Vec::new();
        for id in ids {
            let seen = self.see(&id).await?;
            found.extend(seen.and_then(|seen| seen.resource));
        }
        for id in self.recorded_images().await? {
            found.extend(self.recorded_image(&id.name).await?.map(Resource::Image));
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
    async fn named(&self) -> CloudResult<Vec<ResourceId>> {
        let mut ids: Vec<_> = ["function", "start", "machine", "schedule"]
            .map(|purpose| ResourceId::new(Kind::Role, purpose))
            .into();
        ids.extend(self.named_templates().await?);
        ids.extend(self.named_log_groups().await?);
        ids.extend(self.named_repositories().await?);
        ids.extend(self.named_schedules().await?);
        Ok(ids)
    }

    async fn named_templates(&self) -> CloudResult<Vec<ResourceId>> {
        let prefix = self.names.name("", 128);
        let found = self.launch_templates_tagged("vdeploy:app", self.app).await?;
        let names = found.iter().map(String::as_str);
        Ok(after(&prefix, Kind::LaunchTemplate, names))
    }

    async fn named_log_groups(&self) -> CloudResult<Vec<ResourceId>> {
        let prefix = self.names.log_group("");
        let request = self.session.logs().describe_log_groups().log_group_name_prefix(&prefix);
        let (mut pages, mut ids) = (request.into_paginator().send(), Vec::new());
        while let Some(page) = pages.next().await {
            let page = page.doing(|| "look for log groups".into())?;
            let names = page.log_groups().iter().filter_map(|found| found.log_group_name());
            ids.extend(after(&prefix, Kind::LogGroup, names));
        }
        Ok(ids)
    }

    async fn named_repositories(&self) -> CloudResult<Vec<ResourceId>> {
        let prefix = self.names.repository("");
        let mut pages = self.session.ecr().describe_repositories().into_paginator().send();
        let mut ids = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.doing(|| "look for repositories".into())?;
            let names = page.repositories().iter().filter_map(|found| found.repository_name());
            ids.extend(after(&prefix, Kind::Repository, names));
        }
        Ok(ids)
    }

    async fn named_schedules(&self) -> CloudResult<Vec<ResourceId>> {
        let prefix = self.names.name("", 128);
        let request = self.session.scheduler().list_schedules().name_prefix(&prefix);
        let (mut pages, mut ids) = (request.into_paginator().send(), Vec::new());
        while let Some(page) = pages.next().await {
            let page = page.doing(|| "look for schedules".into())?;
            ids.extend(after(
                &prefix,
                Kind::Schedule,
                page.schedules().iter().filter_map(|found| found.name()),
            ));
        }
        Ok(ids)
    }

    /// Images by their records.
    async fn recorded_images(&self) -> CloudResult<Vec<ResourceId>> {
        let prefix = self.keys.images(self.app);
        let listed = self.session.objects().list(&prefix).await?;
        let name = |key: &str| key.strip_prefix(&prefix)?.strip_suffix(".json").map(str::to_owned);
        let names = listed.iter().filter_map(|object| name(&object.key));
        Ok(names.map(|name| ResourceId::new(Kind::Image, name)).collect())
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

/// The ids of what has a name that starts with `prefix`, by the rest of it.
fn after<'n>(prefix: &str, kind: Kind, names: impl Iterator<Item = &'n str>) -> Vec<ResourceId> {
    let rests = names.filter_map(|name| name.strip_prefix(prefix));
    rests.map(|rest| ResourceId::new(kind, rest)).collect()
}
