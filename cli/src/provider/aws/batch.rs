//! Batch: compute environments and queues.

use aws_sdk_batch::types::{
    CeState, CeStatus, CeType, ComputeEnvironmentDetail, ComputeEnvironmentOrder, ComputeResource,
    ComputeResourceUpdate, CrAllocationStrategy, CrType, Ec2Configuration, JobQueueDetail,
    JobStatus, JqState, JqStatus, LaunchTemplateSpecification,
};

use super::error::missing_is_fine;
use super::session::Doing;
use super::wait::{self, Look, PATIENCE, again_while, propagated};
use super::{AwsProvider, CloudError, CloudResult, seen};
use crate::plan::Seen;
use crate::resource::{ComputeEnvironment, Queue, Resource};

/// Jobs that are ended by one request.
const ENDED_AT_ONCE: usize = 50;

impl AwsProvider<'_> {
    pub(super) async fn see_compute(&self, id: &str) -> CloudResult<Option<Seen>> {
        let name = self.compute_name(id);
        let Some(found) = self.find_compute(&name).await? else { return Ok(None) };
        let made = found.state() == Some(&CeState::Enabled)
            && found.status() != Some(&CeStatus::Invalid)
            && found.status() != Some(&CeStatus::Deleting);
        let environment = environment_of(id, &found).filter(|_| made);
        Ok(Some(seen(environment.map(|found| Resource::Compute(Box::new(found))))))
    }

    /// The name of a compute environment by its id: that of its kind, and the hash.
    fn compute_name(&self, id: &str) -> String {
        match id.rsplit_once('-') {
            Some((kind, hash)) => format!("{}-{hash}", self.names.compute_environment(kind)),
            None => self.names.compute_environment(id),
        }
    }

    async fn find_compute(&self, name: &str) -> CloudResult<Option<ComputeEnvironmentDetail>> {
        let request =
            self.session.batch().describe_compute_environments().compute_environments(name);
        let found =
            request.send().await.doing(|| format!("look at compute environment `{name}`"))?;
        let found = found.compute_environments.unwrap_or_default().pop();
        Ok(found.filter(|found| found.status() != Some(&CeStatus::Deleted)))
    }

    pub(super) async fn put_compute(&self, wanted: &ComputeEnvironment) -> CloudResult<()> {
        let name = &wanted.name;
        match self.find_compute(name).await? {
            None => self.create_compute(wanted).await?,
            Some(found) => {
                let tags = self.tags(&Resource::Compute(Box::new(wanted.clone())).id());
                if !tags.own(found.tags().into_iter().flatten()) {
                    return Err(CloudError::NotOurs(format!("compute environment `{name}`")));
                }
                self.update_compute(wanted).await?;
            }
        }
        self.failpoint.hit("compute-made");
        self.wait_for_compute(name).await
    }

    async fn create_compute(&self, wanted: &ComputeEnvironment) -> CloudResult<()> {
        let name = &wanted.name;
        let network = self.network(wanted).await?;
        let tags = self.tags(&Resource::Compute(Box::new(wanted.clone())).id()).map();
        let profile = self.session.iam_arn(&format!("instance-profile/{}", wanted.machine_role));
        let template = LaunchTemplateSpecification::builder()
            .launch_template_name(&wanted.launch_template)
            .version("$Default")
            .build();
        // The default strategy can never be changed; these are what AWS advises.
        let (kind, strategy) = if wanted.spot {
            (CrType::Spot, CrAllocationStrategy::SpotPriceCapacityOptimized)
        } else {
            (CrType::Ec2, CrAllocationStrategy::BestFitProgressive)
        };
        let image = if wanted.gpu.is_some() { "ECS_AL2023_NVIDIA" } else { "ECS_AL2023" };
        let image = Ec2Configuration::builder().image_type(image).build();
        let resources = ComputeResource::builder()
            .r#type(kind)
            .allocation_strategy(strategy)
            .minv_cpus(0)
            .maxv_cpus(count(wanted.max_vcpus))
            .set_instance_types(Some(wanted.instance_types.clone()))
            .set_subnets(Some(network.subnets))
            .set_security_group_ids(Some(network.security_groups))
            .instance_role(profile)
            .launch_template(template)
            .ec2_configuration(image)
            .set_tags(Some(tags.clone()))
            .build();
        let batch = self.session.batch();
        propagated(|| async {
            let request = batch.create_compute_environment().compute_environment_name(name);
            let request = request.r#type(CeType::Managed).state(CeState::Enabled);
            let request = request.compute_resources(resources.clone()).set_tags(Some(tags.clone()));
            let sent =
                request.send().await.doing(|| format!("create compute environment `{name}`"));
            match sent {
                // An answer got lost.
                Err(error) if error.exists() => Ok(()),
                sent => sent.map(drop),
            }
        })
        .await
    }

    /// Puts back what can be changed in place, however it came to be otherwise.
    async fn update_compute(&self, wanted: &ComputeEnvironment) -> CloudResult<()> {
        let name = &wanted.name;
        let network = self.network(wanted).await?;
        let resources = ComputeResourceUpdate::builder()
            .maxv_cpus(count(wanted.max_vcpus))
            .set_instance_types(Some(wanted.instance_types.clone()))
            .set_subnets(Some(network.subnets))
            .set_security_group_ids(Some(network.security_groups))
            .build();
        let request = self.session.batch().update_compute_environment().compute_environment(name);
        let request = request.state(CeState::Enabled).compute_resources(resources);
        request.send().await.doing(|| format!("change compute environment `{name}`")).map(drop)
    }

    async fn wait_for_compute(&self, name: &str) -> CloudResult<()> {
        wait::until(&format!("compute environment `{name}`"), "valid", || async {
            let found = self.find_compute(name).await?;
            Ok(match found.as_ref().and_then(|found| found.status()) {
                Some(CeStatus::Valid) => Look::Reached,
                Some(CeStatus::Invalid) => Look::Never(reason(&found)),
                Some(status) => Look::NotYet(status.as_str().to_ascii_lowercase()),
                None => Look::NotYet("missing".into()),
            })
        })
        .await
    }

    pub(super) async fn take_compute(&self, name: &str) -> CloudResult<()> {
        let Some(found) = self.find_compute(name).await? else { return Ok(()) };
        if self.is_anothers(found.tags().into_iter().flatten()) {
            return Ok(());
        }
        let batch = self.session.batch();
        if found.state() != Some(&CeState::Disabled) {
            let request = batch.update_compute_environment().compute_environment(name);
            let sent = request.state(CeState::Disabled).send().await;
            missing_is_fine(sent.doing(|| format!("disable compute environment `{name}`")))?;
        }
        self.wait_while_updating(name).await?;
        // Batch goes on for a while to see the queue that was deleted a moment ago.
        let lingers =
            |error: &CloudError| error.says("relationship") || error.says("being modified");
        let mut delete = || async {
            let sent = batch.delete_compute_environment().compute_environment(name).send().await;
            missing_is_fine(sent.doing(|| format!("delete compute environment `{name}`")))
        };
        again_while(PATIENCE, lingers, &mut delete).await?;
        wait::until(&format!("compute environment `{name}`"), "deleted", || async {
            let found = self.find_compute(name).await?;
            Ok(match found.as_ref().and_then(|found| found.status()) {
                None => Look::Reached,
                Some(CeStatus::Invalid) => Look::Never(reason(&found)),
                Some(status) => Look::NotYet(status.as_str().to_ascii_lowercase()),
            })
        })
        .await
    }

    async fn wait_while_updating(&self, name: &str) -> CloudResult<()> {
        wait::until(&format!("compute environment `{name}`"), "disabled", || async {
            let found = self.find_compute(name).await?;
            Ok(match found.as_ref().and_then(|found| found.status()) {
                Some(CeStatus::Creating | CeStatus::Updating) => Look::NotYet("updating".into()),
                _ => Look::Reached,
            })
        })
        .await
    }

    pub(super) async fn see_queue(&self, id: &str) -> CloudResult<Option<Seen>> {
        let name = self.names.queue(id);
        let Some(found) = self.find_queue(&name).await? else { return Ok(None) };
        let enabled = found.state() == Some(&JqState::Enabled);
        let queue = Queue { id: id.to_owned(), compute_environments: order_of(&found), name };
        Ok(Some(seen(enabled.then_some(Resource::Queue(queue)))))
    }

    async fn find_queue(&self, name: &str) -> CloudResult<Option<JobQueueDetail>> {
        let request = self.session.batch().describe_job_queues().job_queues(name);
        let found = request.send().await.doing(|| format!("look at queue `{name}`"))?;
        let found = found.job_queues.unwrap_or_default().pop();
        Ok(found.filter(|found| found.status() != Some(&JqStatus::Deleted)))
    }

    pub(super) async fn put_queue(&self, wanted: &Queue) -> CloudResult<()> {
        let name = &wanted.name;
        let tags = self.tags(&Resource::Queue(wanted.clone()).id());
        match self.find_queue(name).await? {
            None => self.create_queue(wanted, &tags).await?,
            Some(found) if !tags.own(found.tags().into_iter().flatten()) => {
                return Err(CloudError::NotOurs(format!("queue `{name}`")));
            }
            Some(_) => {
                let request = self.session.batch().update_job_queue().job_queue(name);
                let request = request.state(JqState::Enabled);
                let request = request.set_compute_environment_order(Some(self.order(wanted)));
                request.send().await.doing(|| format!("change queue `{name}`"))?;
            }
        }
        self.failpoint.hit("queue-made");
        self.wait_for_queue(name).await
    }

    async fn create_queue(&self, wanted: &Queue, tags: &super::tags::Tags) -> CloudResult<()> {
        let name = &wanted.name;
        let request = self.session.batch().create_job_queue().job_queue_name(name);
        let request = request.state(JqState::Enabled).priority(1).set_tags(Some(tags.map()));
        let request = request.set_compute_environment_order(Some(self.order(wanted)));
        match request.send().await.doing(|| format!("create queue `{name}`")) {
            Err(error) if !error.exists() => Err(error),
            _ => Ok(()),
        }
    }

    fn order(&self, queue: &Queue) -> Vec<ComputeEnvironmentOrder> {
        let order = |(name, order): (&String, i32)| {
            let arn = self.session.arn("batch", &format!("compute-environment/{name}"));
            ComputeEnvironmentOrder::builder().order(order).compute_environment(arn).build()
        };
        queue.compute_environments.iter().zip(1..).map(order).collect()
    }

    async fn wait_for_queue(&self, name: &str) -> CloudResult<()> {
        wait::until(&format!("queue `{name}`"), "valid", || async {
            let found = self.find_queue(name).await?;
            Ok(match found.as_ref().and_then(|found| found.status()) {
                Some(JqStatus::Valid) => Look::Reached,
                Some(JqStatus::Invalid) => {
                    Look::Never(found.and_then(|f| f.status_reason).unwrap_or_default())
                }
                Some(status) => Look::NotYet(status.as_str().to_ascii_lowercase()),
                None => Look::NotYet("missing".into()),
            })
        })
        .await
    }

    /// Closes a queue, ends what is in it, and deletes it.
    pub(super) async fn take_queue(&self, queue: &Queue) -> CloudResult<()> {
        let name = &queue.name;
        let Some(found) = self.find_queue(name).await? else { return Ok(()) };
        if self.is_anothers(found.tags().into_iter().flatten()) {
            return Ok(());
        }
        let batch = self.session.batch();
        if found.state() != Some(&JqState::Disabled) {
            let sent =
                batch.update_job_queue().job_queue(name).state(JqState::Disabled).send().await;
            missing_is_fine(sent.doing(|| format!("close queue `{name}`")))?;
        }
        self.end_jobs(name).await?;
        wait::until(&format!("queue `{name}`"), "closed", || async {
            let found = self.find_queue(name).await?;
            Ok(match found.and_then(|found| found.status) {
                Some(JqStatus::Creating | JqStatus::Updating) => Look::NotYet("updating".into()),
                _ => Look::Reached,
            })
        })
        .await?;
        let modified = |error: &CloudError| error.says("being modified");
        let mut delete = || async {
            let sent = batch.delete_job_queue().job_queue(name).send().await;
            missing_is_fine(sent.doing(|| format!("delete queue `{name}`")))
        };
        again_while(PATIENCE, modified, &mut delete).await?;
        wait::until(&format!("queue `{name}`"), "deleted", || async {
            let found = self.find_queue(name).await?;
            Ok(found.map_or(Look::Reached, |_| Look::NotYet("being deleted".into())))
        })
        .await
    }

    /// Ends every job that waits or runs. CancelJob would not end those that run.
    async fn end_jobs(&self, queue: &str) -> CloudResult<()> {
        use JobStatus::{Pending, Runnable, Running, Starting, Submitted};
        let batch = self.session.batch();
        for status in [Submitted, Pending, Runnable, Starting, Running] {
            let request = batch.list_jobs().job_queue(queue).job_status(status);
            let mut pages = request.into_paginator().send();
            let mut ids = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.doing(|| format!("list jobs of queue `{queue}`"))?;
                ids.extend(page.job_summary_list().iter().filter_map(|job| job.job_id.clone()));
            }
            for group in ids.chunks(ENDED_AT_ONCE) {
                let end = |id: &String| {
                    let request =
                        batch.terminate_job().job_id(id).reason("its app is being destroyed");
                    async move { request.send().await }
                };
                for ended in futures::future::join_all(group.iter().map(end)).await {
                    missing_is_fine(ended.doing(|| format!("end jobs of queue `{queue}`")))?;
                }
            }
        }
        Ok(())
    }
}

fn count(vcpus: u32) -> i32 {
    i32::try_from(vcpus).unwrap_or(i32::MAX)
}

fn reason(found: &Option<ComputeEnvironmentDetail>) -> String {
    let reason = found.as_ref().and_then(|found| found.status_reason());
    reason.unwrap_or("AWS gives no reason").to_owned()
}

/// What was found, as this program would describe it; none when it can't.
fn environment_of(id: &str, found: &ComputeEnvironmentDetail) -> Option<ComputeEnvironment> {
    let resources = found.compute_resources()?;
    let types = resources.instance_types().to_vec();
    let gpu = crate::hardware::INSTANCES
        .iter()
        .find(|instance| types.iter().any(|name| name == instance.name))
        .and_then(|instance| instance.gpu);
    let image = resources.ec2_configuration().first().and_then(|image| image.image_type());
    let image_fits = image.is_some_and(|image| image.ends_with("NVIDIA") == gpu.is_some());
    let profile = resources.instance_role()?;
    Some(ComputeEnvironment {
        id: id.to_owned(),
        name: found.compute_environment_name()?.to_owned(),
        gpu: gpu.filter(|_| image_fits).map(str::to_owned),
        spot: resources.r#type() == Some(&CrType::Spot),
        instance_types: types,
        max_vcpus: u32::try_from(resources.maxv_cpus?).ok()?,
        vpc: None,
        subnets: resources.subnets().to_vec(),
        security_groups: resources.security_group_ids().to_vec(),
        launch_template: resources.launch_template()?.launch_template_name()?.to_owned(),
        machine_role: profile.rsplit('/').next().unwrap_or(profile).to_owned(),
    })
}

/// Names of a queue's compute environments, in order.
fn order_of(found: &JobQueueDetail) -> Vec<String> {
    let mut order: Vec<_> = found.compute_environment_order().iter().collect();
    order.sort_by_key(|entry| entry.order());
    let name = |arn: &str| arn.rsplit('/').next().unwrap_or(arn).to_owned();
    order.into_iter().filter_map(|entry| entry.compute_environment().map(name)).collect()
}
