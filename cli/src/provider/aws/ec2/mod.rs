//! EC2: launch templates, and which network there is.

mod element;
mod query;

use element::Element;
use query::Request;

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
    /// Asks EC2 for something.
    async fn ec2(&self, request: Request, doing: impl FnOnce() -> String) -> CloudResult<Element> {
        request.send(self.session.config()).await.doing(doing)
    }

    pub(super) async fn see_launch_template(&self, id: &str) -> CloudResult<Option<Seen>> {
        let name = self.names.name(id, 128);
        let request = Request::new("DescribeLaunchTemplateVersions")
            .with("LaunchTemplateName", &name)
            .with("LaunchTemplateVersion.1", "$Default");
        let found = self.ec2(request, || format!("look at launch template `{name}`")).await;
        let Some(found) = missing_is_none(found)? else { return Ok(None) };
        let Some(version) = found.items("launchTemplateVersionSet").next() else {
            return Ok(None);
        };
        let mut disks = version.items("launchTemplateData/blockDeviceMappingSet");
        let disk = disks.find(|disk| disk.text("deviceName") == Some(DISK));
        let disk_gib = disk.and_then(|disk| disk.text("ebs/volumeSize")?.parse().ok());
        Ok(Some(seen(
            disk_gib.map(|disk_gib| Resource::LaunchTemplate(LaunchTemplate { name, disk_gib })),
        )))
    }

    pub(super) async fn put_launch_template(&self, template: &LaunchTemplate) -> CloudResult<()> {
        let name = &template.name;
        let tags = self.tags(&Resource::LaunchTemplate(template.clone()).id());
        let mut request = with_data("CreateLaunchTemplate", template)
            .once()
            .with("TagSpecification.1.ResourceType", "launch-template");
        for (number, (key, value)) in (1..).zip(tags.pairs()) {
            request = request
                .with(format!("TagSpecification.1.Tag.{number}.Key"), key)
                .with(format!("TagSpecification.1.Tag.{number}.Value"), value);
        }
        match self.ec2(request, || format!("create launch template `{name}`")).await {
            Ok(_) => return Ok(()),
            Err(error) if error.exists() => {}
            Err(error) => return Err(error),
        }
        let found = self.launch_template(name).await?;
        if !found.items("launchTemplates").any(|found| tags.own(found.tags())) {
            return Err(CloudError::NotOurs(format!("launch template `{name}`")));
        }
        let changing = || format!("change launch template `{name}`");
        let request = with_data("CreateLaunchTemplateVersion", template).once();
        let made = self.ec2(request, changing).await?;
        let version = made.text("launchTemplateVersion/versionNumber").unwrap_or("1");
        let request = Request::new("ModifyLaunchTemplate")
            .once()
            .with("LaunchTemplateName", name)
            .with("SetDefaultVersion", version);
        self.ec2(request, changing).await.map(drop)
    }

    pub(super) async fn take_launch_template(&self, template: &LaunchTemplate) -> CloudResult<()> {
        let name = &template.name;
        let found = missing_is_none(self.launch_template(name).await)?;
        let templates = found.iter().flat_map(|found| found.items("launchTemplates"));
        if self.is_anothers(templates.flat_map(Element::tags)) {
            return Ok(());
        }
        let request = Request::new("DeleteLaunchTemplate").with("LaunchTemplateName", name);
        missing_is_fine(self.ec2(request, || format!("delete launch template `{name}`")).await)
    }

    async fn launch_template(&self, name: &str) -> CloudResult<Element> {
        let request = Request::new("DescribeLaunchTemplates").with("LaunchTemplateName.1", name);
        self.ec2(request, || format!("look at launch template `{name}`")).await
    }

    /// The names of launch templates with a tag.
    pub(super) async fn launch_templates_tagged(
        &self,
        key: &str,
        value: &str,
    ) -> CloudResult<Vec<String>> {
        let request = Request::new("DescribeLaunchTemplates").filter(&format!("tag:{key}"), value);
        let found = self.ec2(request, || "look for launch templates".into()).await?;
        Ok(texts(&found, "launchTemplates", "launchTemplateName"))
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
        let request = Request::new("DescribeSubnets").with("SubnetId.1", subnet);
        let found = self.ec2(request, || format!("look at subnet `{subnet}`")).await?;
        let vpc = texts(&found, "subnetSet", "vpcId").pop();
        vpc.ok_or_else(|| CloudError::Missing(format!("subnet `{subnet}`")))
    }

    async fn default_vpc(&self) -> CloudResult<String> {
        let request = Request::new("DescribeVpcs").filter("is-default", "true");
        let found = self.ec2(request, || "look for the default VPC".into()).await?;
        let missing = || format!("default VPC in `{}`: name one by `vpc`", self.session.region);
        texts(&found, "vpcSet", "vpcId").pop().ok_or_else(|| CloudError::Missing(missing()))
    }

    async fn subnets_of(&self, vpc: &str) -> CloudResult<Vec<String>> {
        let request = Request::new("DescribeSubnets").filter("vpc-id", vpc);
        let found = self.ec2(request, || format!("look at subnets of `{vpc}`")).await?;
        let mut subnets = texts(&found, "subnetSet", "subnetId");
        subnets.sort();
        if subnets.is_empty() {
            return Err(CloudError::Missing(format!("subnet in VPC `{vpc}`")));
        }
        Ok(subnets)
    }

    async fn security_group_of(&self, vpc: &str) -> CloudResult<String> {
        let request = Request::new("DescribeSecurityGroups")
            .filter("vpc-id", vpc)
            .filter("group-name", "default");
        let found = self.ec2(request, || format!("look at security groups of `{vpc}`")).await?;
        let group = texts(&found, "securityGroupInfo", "groupId").pop();
        group.ok_or_else(|| CloudError::Missing(format!("default security group in VPC `{vpc}`")))
    }
}

/// What the items of a list have under a name.
fn texts(found: &Element, list: &str, name: &str) -> Vec<String> {
    found.items(list).filter_map(|item| item.text(name)).map(str::to_owned).collect()
}

/// A request about a launch template with its data: an encrypted disk, and metadata for those that ask as
/// they should.
fn with_data(action: &'static str, template: &LaunchTemplate) -> Request {
    const MAPPING: &str = "LaunchTemplateData.BlockDeviceMapping.1";
    const METADATA: &str = "LaunchTemplateData.MetadataOptions";
    Request::new(action)
        .with("LaunchTemplateName", &template.name)
        .with(format!("{MAPPING}.DeviceName"), DISK)
        .with(format!("{MAPPING}.Ebs.VolumeSize"), template.disk_gib)
        .with(format!("{MAPPING}.Ebs.VolumeType"), "gp3")
        .with(format!("{MAPPING}.Ebs.Encrypted"), true)
        .with(format!("{MAPPING}.Ebs.DeleteOnTermination"), true)
        .with(format!("{METADATA}.HttpTokens"), "required")
        .with(format!("{METADATA}.HttpPutResponseHopLimit"), 2)
}
