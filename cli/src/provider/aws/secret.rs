//! Secrets Manager. The keys of a secret stand in its description, so that planning reads no value.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use vdeploy_runtime::aws::layout;
use vdeploy_runtime::secret::{SecretError, SecretSummary, SecretValue, check_name, check_values};

use super::error::{missing_is_fine, missing_is_none};
use super::session::{Doing, Session};
use super::{AwsProvider, CloudError, CloudResult, seen};
use crate::error::CliError;
use crate::plan::Seen;
use crate::resource::{Resource, Secret};

/// What descriptions start with; the keys follow, with spaces between them.
const DESCRIPTION: &str = "vdeploy keys:";
/// Tags of secrets, which belong to an environment and no app.
const TAG: &str = "vdeploy:environment";

/// A secret as it was found.
#[derive(Clone, Debug)]
pub(super) struct FoundSecret {
    pub(super) arn: String,
    pub(super) keys: Vec<String>,
    created: Option<Timestamp>,
    updated: Option<Timestamp>,
}

impl AwsProvider<'_> {
    pub(super) async fn see_secret(&self, name: &str) -> CloudResult<Option<Seen>> {
        Ok(self.find_secret(name).await?.map(|found| {
            seen(Some(Resource::Secret(Secret { name: name.to_owned(), keys: found.keys })))
        }))
    }

    pub(super) async fn find_secret(&self, name: &str) -> CloudResult<Option<FoundSecret>> {
        find(self.session, self.environment(), name).await
    }
}

async fn find(
    session: &Session,
    environment: &str,
    name: &str,
) -> CloudResult<Option<FoundSecret>> {
    let id = layout::secret(environment, name);
    let sent = session.secrets_manager().describe_secret().secret_id(id).send().await;
    let found = missing_is_none(sent.doing(|| format!("look at secret `{name}`")))?;
    let Some(found) = found.filter(|found| found.deleted_date().is_none()) else { return Ok(None) };
    Ok(Some(FoundSecret {
        arn: found.arn().unwrap_or_default().to_owned(),
        keys: keys_of(found.description()),
        created: found.created_date().and_then(timestamp),
        updated: found.last_changed_date().and_then(timestamp),
    }))
}

fn keys_of(description: Option<&str>) -> Vec<String> {
    let keys = description.and_then(|text| text.strip_prefix(DESCRIPTION)).unwrap_or_default();
    keys.split_whitespace().map(str::to_owned).collect()
}

fn timestamp(time: &aws_sdk_secretsmanager::primitives::DateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.secs()).ok()
}

/// The secrets of an environment, for those who set them.
#[derive(Debug)]
pub(crate) struct CloudSecrets {
    session: Box<Session>,
    environment: String,
}

impl CloudSecrets {
    /// The secrets of `environment`.
    pub(crate) fn of(session: Box<Session>, environment: String) -> Self {
        CloudSecrets { session, environment }
    }

    /// Sets a secret's values; an existing secret is replaced only if `overwrite`.
    pub(crate) async fn create(
        &self,
        name: &str,
        values: BTreeMap<String, SecretValue>,
        overwrite: bool,
    ) -> Result<(), CliError> {
        check_name(name)?;
        check_values(name, &values)?;
        let exists = self.find(name).await?.is_some();
        if exists && !overwrite {
            return Err(SecretError::Exists(name.into()).into());
        }
        let keys: Vec<_> = values.keys().map(String::as_str).collect();
        let description = format!("{DESCRIPTION} {}", keys.join(" "));
        let values: serde_json::Map<String, Value> =
            values.iter().map(|(key, value)| (key.clone(), value.expose().into())).collect();
        let text = Value::Object(values).to_string();
        Ok(self.write(name, description, text, exists).await?)
    }

    async fn write(
        &self,
        name: &str,
        description: String,
        text: String,
        exists: bool,
    ) -> CloudResult<()> {
        let (client, id) =
            (self.session.secrets_manager(), layout::secret(&self.environment, name));
        let writing = || format!("write secret `{name}`");
        if !exists {
            let tag =
                aws_sdk_secretsmanager::types::Tag::builder().key(TAG).value(&self.environment);
            let request = client.create_secret().name(&id).description(&description);
            let sent = request.secret_string(&text).tags(tag.build()).send().await.doing(writing);
            match sent {
                Err(error) if error.exists() => {}
                // Deleted a while ago, and kept by AWS to be brought back.
                Err(error) if error.says("scheduled for deletion") => {
                    client.restore_secret().secret_id(&id).send().await.doing(writing)?;
                }
                sent => return sent.map(drop),
            }
        }
        let request = client.update_secret().secret_id(&id).description(description);
        request.secret_string(text).send().await.doing(writing).map(drop)
    }

    /// The values of a secret.
    pub(crate) async fn get(&self, name: &str) -> Result<BTreeMap<String, SecretValue>, CliError> {
        let id = layout::secret(&self.environment, name);
        let sent = self.session.secrets_manager().get_secret_value().secret_id(id).send().await;
        let found = missing_is_none(sent.doing(|| format!("read secret `{name}`")))?;
        let Some(found) = found else { return Err(self.not_found(name).await) };
        let values: BTreeMap<String, String> =
            serde_json::from_str(found.secret_string().unwrap_or_default())
                .map_err(|_| SecretError::Damaged(name.into()))?;
        Ok(values.into_iter().map(|(key, value)| (key, SecretValue::new(value))).collect())
    }

    /// What may be known of one secret.
    pub(crate) async fn summary(&self, name: &str) -> Result<Option<SecretSummary>, CliError> {
        check_name(name)?;
        Ok(self.find(name).await?.map(|found| summary(name, &found)))
    }

    async fn find(&self, name: &str) -> CloudResult<Option<FoundSecret>> {
        find(&self.session, &self.environment, name).await
    }

    /// What may be known of all secrets, by name.
    pub(crate) async fn list(&self) -> Result<Vec<SecretSummary>, CliError> {
        use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType};
        let prefix = layout::secret(&self.environment, "");
        let filter = Filter::builder().key(FilterNameStringType::Name).values(&prefix).build();
        let request = self.session.secrets_manager().list_secrets().filters(filter);
        let mut pages = request.into_paginator().send();
        let mut all = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.doing(|| "list secrets".into())?;
            for found in page.secret_list() {
                let Some(name) = found.name().and_then(|name| name.strip_prefix(&prefix)) else {
                    continue;
                };
                all.push(SecretSummary {
                    name: name.to_owned(),
                    keys: keys_of(found.description()),
                    created_at: found.created_date().and_then(timestamp).unwrap_or_default(),
                    updated_at: found.last_changed_date().and_then(timestamp).unwrap_or_default(),
                });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Deletes a secret for good.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), CliError> {
        check_name(name)?;
        if self.find(name).await?.is_none() {
            return Err(self.not_found(name).await);
        }
        let id = layout::secret(&self.environment, name);
        let request = self.session.secrets_manager().delete_secret().secret_id(id);
        let sent = request.force_delete_without_recovery(true).send().await;
        Ok(missing_is_fine(sent.doing(|| format!("delete secret `{name}`")))?)
    }

    async fn not_found(&self, name: &str) -> CliError {
        let known = self.list().await.unwrap_or_default();
        let names = known.iter().map(|secret| secret.name.as_str());
        let suggestion = crate::error::did_you_mean(name, names).map(str::to_owned);
        SecretError::NotFound { name: name.into(), suggestion }.into()
    }
}

fn summary(name: &str, found: &FoundSecret) -> SecretSummary {
    SecretSummary {
        name: name.to_owned(),
        keys: found.keys.clone(),
        created_at: found.created.unwrap_or_default(),
        updated_at: found.updated.unwrap_or_default(),
    }
}

impl From<CloudError> for CliError {
    fn from(error: CloudError) -> Self {
        let hint = error.hint();
        let edge = match &error {
            CloudError::Aws(aws) => CliError::failed(aws.to_string()).cause(&aws.cause),
            other => CliError::chain(other),
        };
        match hint {
            Some(hint) => edge.hint(hint),
            None => edge,
        }
    }
}
