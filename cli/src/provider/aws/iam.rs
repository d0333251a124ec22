//! IAM: roles, each with one policy of its own, and instance profiles for those of machines.

use aws_sdk_iam::types::Tag;
use serde_json::{Value, json};

use super::error::{missing_is_fine, missing_is_none};
use super::session::Doing;
use super::{AwsProvider, CloudError, CloudResult, seen};
use crate::plan::Seen;
use crate::resource::{Resource, Role};

/// The name of a role's own policy.
const POLICY: &str = "vdeploy";

impl AwsProvider<'_> {
    pub(super) async fn see_role(&self, purpose: &str) -> CloudResult<Option<Seen>> {
        let (iam, name) = (self.session.iam(), self.names.role(purpose));
        let reading = || format!("read role `{name}`");
        let found = missing_is_none(iam.get_role().role_name(&name).send().await.doing(reading))?;
        let Some(found) = found.and_then(|found| found.role) else { return Ok(None) };
        let trust = found.assume_role_policy_document().map(document).unwrap_or_default();
        let policy = iam.get_role_policy().role_name(&name).policy_name(POLICY).send().await;
        let policy = missing_is_none(policy.doing(reading))?;
        let policy = policy.map(|policy| {
            document(&self.session.without_account(&decode(policy.policy_document())))
        });
        let attached =
            iam.list_attached_role_policies().role_name(&name).send().await.doing(reading)?;
        let managed = attached.attached_policies().iter().filter_map(|p| p.policy_arn());
        let managed =
            managed.filter_map(|arn| Some(arn.split_once(":policy/")?.1.to_owned())).collect();
        let for_machines = purpose == "machine" && self.profile_holds(&name).await?;
        let role = Role {
            purpose: purpose.to_owned(),
            services: trusted(&trust),
            policy: policy.unwrap_or_default(),
            managed,
            for_machines,
            name,
        };
        Ok(Some(seen(Some(Resource::Role(Box::new(role))))))
    }

    /// Whether the instance profile of this name holds the role of this name.
    async fn profile_holds(&self, name: &str) -> CloudResult<bool> {
        let sent =
            self.session.iam().get_instance_profile().instance_profile_name(name).send().await;
        let found = missing_is_none(sent.doing(|| format!("read instance profile `{name}`")))?;
        let roles = found.and_then(|found| found.instance_profile).map(|profile| profile.roles);
        Ok(roles.is_some_and(|roles| roles.iter().any(|role| role.role_name() == name)))
    }

    pub(super) async fn put_role(&self, role: &Role) -> CloudResult<()> {
        let (iam, name) = (self.session.iam(), &role.name);
        let tags = self.tags(&Resource::Role(Box::new(role.clone())).id());
        let list: Result<Vec<_>, _> =
            tags.pairs().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let trust = trust(&role.services).to_string();
        let request = iam.create_role().role_name(name).assume_role_policy_document(&trust);
        match request.set_tags(list.ok()).send().await.doing(|| format!("create role `{name}`")) {
            Ok(_) => {}
            Err(error) if error.exists() => {
                let found = iam.list_role_tags().role_name(name).send().await;
                let found = found.doing(|| format!("read tags of role `{name}`"))?;
                if !tags.own(found.tags().iter().map(|tag| (tag.key(), tag.value()))) {
                    return Err(CloudError::NotOurs(format!("role `{name}`")));
                }
                let request =
                    iam.update_assume_role_policy().role_name(name).policy_document(&trust);
                request.send().await.doing(|| format!("say who may take on role `{name}`"))?;
            }
            Err(error) => return Err(error),
        }
        self.failpoint.hit("role-made");
        self.put_policies(role).await?;
        if role.for_machines { self.put_profile(name).await } else { Ok(()) }
    }

    async fn put_policies(&self, role: &Role) -> CloudResult<()> {
        let (iam, name) = (self.session.iam(), &role.name);
        if !role.policy.is_null() {
            let document = self.session.with_account(&role.policy.to_string());
            let request = iam.put_role_policy().role_name(name).policy_name(POLICY);
            let sent = request.policy_document(document).send().await;
            sent.doing(|| format!("allow role `{name}` what it needs"))?;
        }
        let wanted: Vec<_> = role.managed.iter().map(|policy| self.managed_arn(policy)).collect();
        for arn in &wanted {
            let request = iam.attach_role_policy().role_name(name).policy_arn(arn);
            request.send().await.doing(|| format!("attach a policy to role `{name}`"))?;
        }
        let attached = iam.list_attached_role_policies().role_name(name).send().await;
        let attached = attached.doing(|| format!("read role `{name}`"))?;
        let others = attached.attached_policies().iter().filter_map(|policy| policy.policy_arn());
        for arn in others.filter(|arn| !wanted.iter().any(|wanted| wanted == arn)) {
            let request = iam.detach_role_policy().role_name(name).policy_arn(arn);
            request.send().await.doing(|| format!("detach a policy from role `{name}`"))?;
        }
        Ok(())
    }

    fn managed_arn(&self, policy: &str) -> String {
        format!("arn:{}:iam::aws:policy/{policy}", self.session.partition())
    }

    async fn put_profile(&self, name: &str) -> CloudResult<()> {
        let iam = self.session.iam();
        let sent = iam.create_instance_profile().instance_profile_name(name).send().await;
        match sent.doing(|| format!("create instance profile `{name}`")) {
            Err(error) if !error.exists() => return Err(error),
            _ => {}
        }
        if self.profile_holds(name).await? {
            return Ok(());
        }
        let request =
            iam.add_role_to_instance_profile().instance_profile_name(name).role_name(name);
        request.send().await.doing(|| format!("add role `{name}` to its profile")).map(drop)
    }

    pub(super) async fn take_role(&self, role: &Role) -> CloudResult<()> {
        let (iam, name) = (self.session.iam(), &role.name);
        let tags = iam.list_role_tags().role_name(name).send().await;
        let tags = missing_is_none(tags.doing(|| format!("read tags of role `{name}`")))?;
        let tags = tags.map(|found| found.tags).unwrap_or_default();
        if self.is_anothers(tags.iter().map(|tag| (tag.key(), tag.value()))) {
            return Ok(());
        }
        if role.for_machines {
            let request = iam.remove_role_from_instance_profile().instance_profile_name(name);
            let sent = request.role_name(name).send().await;
            missing_is_fine(sent.doing(|| format!("take role `{name}` out of its profile")))?;
            let sent = iam.delete_instance_profile().instance_profile_name(name).send().await;
            missing_is_fine(sent.doing(|| format!("delete instance profile `{name}`")))?;
        }
        let attached = iam.list_attached_role_policies().role_name(name).send().await;
        let attached = missing_is_none(attached.doing(|| format!("read role `{name}`")))?;
        let Some(attached) = attached else { return Ok(()) };
        for arn in attached.attached_policies().iter().filter_map(|policy| policy.policy_arn()) {
            let sent = iam.detach_role_policy().role_name(name).policy_arn(arn).send().await;
            missing_is_fine(sent.doing(|| format!("detach a policy from role `{name}`")))?;
        }
        let sent = iam.delete_role_policy().role_name(name).policy_name(POLICY).send().await;
        missing_is_fine(sent.doing(|| format!("delete the policy of role `{name}`")))?;
        let sent = iam.delete_role().role_name(name).send().await;
        missing_is_fine(sent.doing(|| format!("delete role `{name}`")))
    }
}

/// Who may take on a role, as a policy document.
fn trust(services: &[String]) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": services },
            "Action": "sts:AssumeRole",
        }],
    })
}

/// The services that a trust document names, when it is one of [`trust`].
fn trusted(document: &Value) -> Vec<String> {
    let services: Vec<String> = match &document["Statement"][0]["Principal"]["Service"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(list) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let as_made = document["Statement"].as_array().is_some_and(|list| list.len() == 1);
    if as_made { services } else { Vec::new() }
}

/// A policy document as IAM returns it: JSON with percent signs.
fn document(text: &str) -> Value {
    serde_json::from_str(&decode(text)).unwrap_or_default()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (first, _) => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_trusted_is_read_as_it_is_written() {
        let services =
            vec!["ecs-tasks.amazonaws.com".to_owned(), "lambda.amazonaws.com".to_owned()];
        assert_eq!(trusted(&trust(&services)), services);
        let encoded = trust(&services).to_string().replace('{', "%7B").replace('"', "%22");
        assert_eq!(trusted(&document(&encoded)), services);
        assert!(trusted(&json!({"Statement": [{}, {}]})).is_empty());
    }
}
