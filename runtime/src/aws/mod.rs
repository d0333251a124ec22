//! The `aws` target's part of a call: what things are called, and how they are reached.

pub(crate) mod again;
pub mod batch;
pub mod calls;
pub mod catalog;
pub mod error;
pub mod lambda;
pub mod layout;
pub mod objects;
mod secrets;
pub mod why;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder, tls};

pub use error::{AwsError, AwsErrorKind};
use objects::Bucket;

/// What speaks HTTPS to the services: as the SDK does by itself, through a proxy where the environment names
/// one, but by the cryptography that other requests of this program use too.
pub fn https() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let ring = tls::Provider::Rustls(CryptoMode::Ring);
        let mut connector = ConnectorBuilder::default().tls_provider(ring);
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}

/// How the services of an account are reached. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Aws {
    config: SdkConfig,
}

impl Aws {
    /// Credentials and the region as every AWS tool finds them; `region` goes before.
    pub async fn load(region: Option<String>) -> Self {
        let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https());
        let loader = match region {
            Some(region) => loader.region(Region::new(region)),
            None => loader,
        };
        Aws { config: loader.load().await }
    }

    /// With a configuration that a program has made itself.
    pub fn of(config: SdkConfig) -> Self {
        let config = match config.http_client() {
            Some(_) => config,
            None => config.into_builder().http_client(https()).build(),
        };
        Aws { config }
    }

    /// What all clients are made from.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The region, if one is set.
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }

    /// The bucket called `name`.
    pub fn bucket(&self, name: impl Into<String>) -> Bucket {
        Bucket::new(self.s3(), name)
    }

    fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config)
            // Bodies are signed with their SHA-256, which the service checks: a second checksum
            // would only cost time.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // Stores at an address of their own rarely have a name for each bucket.
            .force_path_style(self.config.endpoint_url().is_some());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// Whose account the credentials are of.
    pub async fn account(&self) -> Result<String, AwsError> {
        let identity = aws_sdk_sts::Client::new(&self.config).get_caller_identity().send().await;
        let doing = "find out whose the credentials are";
        let identity = identity.map_err(|error| AwsError::of(doing, &error))?;
        Ok(identity.account.unwrap_or_default())
    }

    /// AWS Batch.
    pub fn batch(&self) -> aws_sdk_batch::Client {
        aws_sdk_batch::Client::new(&self.config)
    }

    /// AWS Lambda.
    pub fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.config)
    }

    /// CloudWatch Logs.
    pub fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        aws_sdk_cloudwatchlogs::Client::new(&self.config)
    }
}
