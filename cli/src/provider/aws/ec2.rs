//! EC2: launch templates, and which network there is.

use aws_sdk_ec2::types::{
    Filter, LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateHttpTokensState, LaunchTemplateInstanceMetadataOptionsRequest,
    RequestLaunchTemplateData, ResourceType, Tag, TagSpecification, VolumeType,
};

use super::error::{missing_is_fine, missing_is_none};
use super::session::Doing;
use super::{AwsProvider, CloudError, CloudResult, seen};
use crate::plan::Seen;
use crate::resource::{ComputeEnvironment, LaunchTemplate, Resource};

/// The disk of images that AWS makes for ECS.
const DISK: &str = "/dev/xvda";

/// The network of machines.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) subnets: Vec<String>,
    pub(super) security_groups: Vec<String>,
}

impl AwsProvider<'_> {
    pub(super) async fn see_launch_template(&self, id: &str) -> CloudResult<Option<Seen>> {
        let name = self.names.name(id, 128);
        let request = self.session.ec2().describe_launch_template_versions();
        let sent = request.launch_template_name(&name).versions("$Default").send().await;
        let found = missing_is_none(sent.doing(|| format!("look at launch template `{name}`")))?;
        let Some(version) = found.and_then(|found| found.launch_template_versions?.pop()) else {
            return Ok(None);
        };
        let data = version
            .launch_template_data
            .unwrap_or_else(|| aws_sdk_ec2::types::ResponseLaunchTemplateData::builder().build());
        let disk = data.block_device_mappings().iter().find(|m| m.device_name() == Some(DISK));
        let size = disk.and_then(|disk| disk.ebs()).and_then(|ebs| ebs.volume_size());
        let disk_gib = size.and_then(|size| u64::try_from(size).ok());
        Ok(Some(seen(
            disk_gib.map(|disk_gib| Resource::LaunchTemplate(LaunchTemplate { name, disk_gib })),
        )))
    }

    pub(super) async fn put_launch_template(&self, template: &LaunchTemplate) -> CloudResult<()> {
        let (ec2, name) = (self.session.ec2(), &template.name);
        let tags = self.tags(&Resource::LaunchTemplate(template.clone()).id());
        let list = tags.pairs().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let spec = TagSpecification::builder()
            .resource_type(ResourceType::LaunchTemplate)
            .set_tags(Some(list.collect()))
            .build();
        let request = ec2.create_launch_template().launch_template_name(name);
        let request = request.launch_template_data(data(template)).tag_specifications(spec);
        match request.send().await.doing(|| format!("create launch template `{name}`")) {
            Ok(_) => return Ok(()),
            Err(error) if error.exists() => {}
            Err(error) => return Err(error),
        }
        let found = ec2.describe_launch_templates().launch_template_names(name).send().await;
        let found = found.doing(|| format!("look at launch template `{name}`"))?;
        let own = found.launch_templates().iter().any(|found| {
            tags.own(found.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?))))
        });
        if !own {
            return Err(CloudError::NotOurs(format!("launch template `{name}`")));
        }
        let request = ec2.create_launch_template_version().launch_template_name(name);
        let made = request.launch_template_data(data(template)).send().await;
        let made = made.doing(|| format!("change launch template `{name}`"))?;
        let version = made.launch_template_version().and_then(|v| v.version_number()).unwrap_or(1);
        let request = ec2.modify_launch_template().launch_template_name(name);
        let sent = request.default_version(version.to_string()).send().await;
        sent.doing(|| format!("change launch template `{name}`")).map(drop)
    }

    pub(super) async fn take_launch_template(&self, template: &LaunchTemplate) -> CloudResult<()> {
        let name = &template.name;
        let found = self.session.ec2().describe_launch_templates().launch_template_names(name);
        let found = found.send().await.doing(|| format!("look at launch template `{name}`"));
        let found = missing_is_none(found)?.and_then(|found| found.launch_templates);
        let tags = found.iter().flatten().flat_map(|found| found.tags());
        if self.is_anothers(tags.filter_map(|tag| Some((tag.key()?, tag.value()?)))) {
            return Ok(());
        }
        let sent =
            self.session.ec2().delete_launch_template().launch_template_name(name).send().await;
        missing_is_fine(sent.doing(|| format!("delete launch template `{name}`")))
    }

    /// The network of an environment: what is named, and of the rest what the VPC has.
    pub(super) async fn network(&self, wanted: &ComputeEnvironment) -> CloudResult<Network> {
        let mut network = Network {
            subnets: wanted.subnets.clone(),
            security_groups: wanted.security_groups.clone(),
        };
        if !network.subnets.is_empty() && !network.security_groups.is_empty() {
            return Ok(network);
        }
        let vpc = match (&wanted.vpc, network.subnets.first()) {
            (Some(vpc), _) => vpc.clone(),
            (None, Some(subnet)) => self.vpc_of(subnet).await?,
            (None, None) => self.default_vpc().await?,
        };
        if network.subnets.is_empty() {
            network.subnets = self.subnets_of(&vpc).await?;
        }
        if network.security_groups.is_empty() {
            network.security_groups = vec![self.security_group_of(&vpc).await?];
        }
        Ok(network)
    }

    async fn vpc_of(&self, subnet: &str) -> CloudResult<String> {
        let request = self.session.ec2().describe_subnets().subnet_ids(subnet);
        let found = request.send().await.doing(|| format!("look at subnet `{subnet}`"))?;
        let vpc = found.subnets().first().and_then(|subnet| subnet.vpc_id());
        vpc.map(str::to_owned).ok_or_else(|| CloudError::Missing(format!("subnet `{subnet}`")))
    }

    async fn default_vpc(&self) -> CloudResult<String> {
        let request = self.session.ec2().describe_vpcs().filters(filter("is-default", "true"));
        let found = request.send().await.doing(|| "look for the default VPC".into())?;
        let vpc = found.vpcs().first().and_then(|vpc| vpc.vpc_id()).map(str::to_owned);
        let missing = || format!("default VPC in `{}`: name one by `vpc`", self.session.region);
        vpc.ok_or_else(|| CloudError::Missing(missing()))
    }

    async fn subnets_of(&self, vpc: &str) -> CloudResult<Vec<String>> {
        let request = self.session.ec2().describe_subnets().filters(filter("vpc-id", vpc));
        let found = request.send().await.doing(|| format!("look at subnets of `{vpc}`"))?;
        let mut subnets: Vec<_> =
            found.subnets().iter().filter_map(|s| s.subnet_id().map(str::to_owned)).collect();
        subnets.sort();
        if subnets.is_empty() {
            return Err(CloudError::Missing(format!("subnet in VPC `{vpc}`")));
        }
        Ok(subnets)
    }

    async fn security_group_of(&self, vpc: &str) -> CloudResult<String> {
        let request = self.session.ec2().describe_security_groups().filters(filter("vpc-id", vpc));
        let request = request.filters(filter("group-name", "default"));
        let found = request.send().await.doing(|| format!("look at security groups of `{vpc}`"))?;
        let group = found.security_groups().first().and_then(|group| group.group_id());
        group
            .map(str::to_owned)
            .ok_or_else(|| CloudError::Missing(format!("default security group in VPC `{vpc}`")))
    }
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// An encrypted disk, and metadata for those that ask as they should.
fn data(template: &LaunchTemplate) -> RequestLaunchTemplateData {
    let disk = LaunchTemplateEbsBlockDeviceRequest::builder()
        .volume_size(i32::try_from(template.disk_gib).unwrap_or(i32::MAX))
        .volume_type(VolumeType::Gp3)
        .encrypted(true)
        .delete_on_termination(true)
        .build();
    let mapping =
        LaunchTemplateBlockDeviceMappingRequest::builder().device_name(DISK).ebs(disk).build();
    let metadata = LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_tokens(LaunchTemplateHttpTokensState::Required)
        .http_put_response_hop_limit(2)
        .build();
    RequestLaunchTemplateData::builder()
        .block_device_mappings(mapping)
        .metadata_options(metadata)
        .build()
}
