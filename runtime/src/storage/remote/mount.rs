//! A mounted bucket: where it is, and the credentials that reach it.

use std::collections::BTreeMap;

use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation,
};
use tokio::sync::OnceCell;

use crate::aws::objects::Bucket;
use crate::aws::{Aws, https};
use crate::function::BucketMount;
use crate::secret::{SecretError, SecretStore, SecretValue};
use crate::storage::BucketFolder;
use crate::wire::{Failure, FailureKind};

/// The region of stores that have none, as Cloudflare and MinIO take it.
const ANY_REGION: &str = "us-east-1";

/// A mounted bucket with what its secret holds.
#[derive(Clone, Debug)]
pub(super) struct Mount {
    pub(super) spec: BucketMount,
    values: BTreeMap<String, SecretValue>,
}

impl Mount {
    pub(super) fn of(spec: BucketMount, secrets: &SecretStore) -> Result<Self, SecretError> {
        let values = spec.secret.as_deref().map(|secret| secrets.get(secret)).transpose()?;
        Ok(Mount { spec, values: values.unwrap_or_default() })
    }

    /// The files in it; `own` are the credentials of this process, for one without a secret.
    pub(super) async fn open(&self, own: &OnceCell<Aws>) -> Result<BucketFolder, Failure> {
        let mut config = match &self.spec.secret {
            Some(secret) => Builder::new()
                .behavior_version(BehaviorVersion::latest())
                .http_client(https())
                .region(Region::new(ANY_REGION))
                .credentials_provider(self.credentials(secret)?),
            None => Builder::from(own.get_or_init(|| Aws::load(None)).await.config()),
        };
        if let Some(region) = self.spec.region.as_deref().or_else(|| self.value("REGION")) {
            config = config.region(Region::new(region.to_owned()));
        }
        let endpoint = self.spec.endpoint.as_deref().or_else(|| self.value("ENDPOINT_URL"));
        if let Some(endpoint) = endpoint {
            // Stores at an address of their own rarely have a name for each bucket.
            config = config.endpoint_url(endpoint).force_path_style(true);
        }
        let config = config
            // Not every store knows the newer checksums; bodies are signed with their SHA-256.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let client = aws_sdk_s3::Client::from_conf(config.build());
        Ok(BucketFolder::new(Bucket::new(client, &self.spec.bucket), &self.spec.prefix))
    }

    fn credentials(&self, secret: &str) -> Result<Credentials, Failure> {
        let needed = |key: &str| {
            self.value(key).map(str::to_owned).ok_or_else(|| {
                let message = format!("secret `{secret}` has no key that ends with `{key}`");
                Failure::new(FailureKind::InvalidArgs, message).hint(format!(
                    "create it with `vdeploy secret create {secret} --force \
                     R2_ACCESS_KEY_ID=- R2_SECRET_ACCESS_KEY=-`"
                ))
            })
        };
        let token = self.value("SESSION_TOKEN").map(str::to_owned);
        let (id, key) = (needed("ACCESS_KEY_ID")?, needed("SECRET_ACCESS_KEY")?);
        Ok(Credentials::new(id, key, token, None, "secret"))
    }

    /// The value of the key that ends with `ending`: keys may say whose they are, as in
    /// `R2_ACCESS_KEY_ID`.
    fn value(&self, ending: &str) -> Option<&str> {
        let mut found = self.values.iter().filter(|(key, _)| {
            key.strip_suffix(ending).is_some_and(|start| start.is_empty() || start.ends_with('_'))
        });
        found.next().map(|(_, value)| value.expose())
    }
}
