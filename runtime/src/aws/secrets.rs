//! Secrets of an environment, as functions read them: each is a JSON object in Secrets Manager.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use serde_json::Value;

use super::{Aws, AwsError, AwsErrorKind, layout};
use crate::secret::SecretValue;

impl Aws {
    /// The values of a secret by key. No message holds any of them.
    pub async fn secret(
        &self,
        environment: &str,
        name: &str,
    ) -> Result<BTreeMap<String, SecretValue>, AwsError> {
        let doing = || format!("read secret `{name}`");
        let id = layout::secret(environment, name);
        let found = Client::new(&self.config).get_secret_value().secret_id(id).send().await;
        let found = found.map_err(|error| AwsError::of(doing(), &error))?;
        let text = found.secret_string().unwrap_or_default();
        let values: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|_| {
            AwsError::new(doing(), AwsErrorKind::Other, "what it holds isn't a JSON object")
        })?;
        let value = |value: Value| match value {
            Value::String(text) => SecretValue::new(text),
            other => SecretValue::new(other.to_string()),
        };
        Ok(values.into_iter().map(|(key, found)| (key, value(found))).collect())
    }
}
