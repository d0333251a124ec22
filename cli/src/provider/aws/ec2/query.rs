//! A client of EC2's query API for the few actions that are used, on the SDK's own runtime: its credentials,
//! signatures, time limits and retries.
//!
//! The SDK's crate for EC2 is generated from a model of some 700 actions: it took a fifth of the time of a
//! build, for eight of them. Names are those of the "Amazon EC2 API Reference", version 2016-11-15.

use std::fmt;

use aws_config::SdkConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{
    AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
};
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::config_bag::{FrozenLayer, Layer};
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SigningName;
use aws_types::region::{Region, SigningRegion};
use aws_types::service_config::ServiceConfigKey;

use super::element::Element;

/// The version of the API.
const VERSION: &str = "2016-11-15";

/// An action and its parameters, such as `Filter.1.Name`.
#[derive(Clone, Debug)]
pub(super) struct Request {
    action: &'static str,
    parameters: Vec<(String, String)>,
    filters: usize,
}

impl Request {
    pub(super) fn new(action: &'static str) -> Self {
        Request { action, parameters: Vec::new(), filters: 0 }
    }

    pub(super) fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.parameters.push((name.into(), value.to_string()));
        self
    }

    /// Leaves what doesn't have this value out of an answer.
    pub(super) fn filter(mut self, name: &str, value: &str) -> Self {
        self.filters += 1;
        let number = self.filters;
        self.with(format!("Filter.{number}.Name"), name)
            .with(format!("Filter.{number}.Value.1"), value)
    }

    /// The body of the request.
    fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", self.action).append_pair("Version", VERSION);
        form.extend_pairs(&self.parameters).finish()
    }

    /// Asks EC2, again where that may help.
    pub(super) async fn send(
        self,
        config: &SdkConfig,
    ) -> Result<Element, SdkError<Ec2Error, HttpResponse>> {
        operation(config, self.action).invoke(self).await
    }
}

/// What EC2 says when it says no.
#[derive(Debug)]
pub(super) struct Ec2Error(ErrorMetadata);

impl fmt::Display for Ec2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Ec2Error {}

impl ProvideErrorMetadata for Ec2Error {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

fn operation(config: &SdkConfig, action: &'static str) -> Operation<Request, Element, Ec2Error> {
    let mut operation = Operation::builder()
        .service_name("ec2")
        .operation_name(action)
        .endpoint_url(&endpoint(config))
        .standard_retry(config.retry_config().unwrap_or(&RetryConfig::standard()))
        .retry_classifier(HttpStatusCodeClassifier::default())
        .retry_classifier(TransientErrorClassifier::<Ec2Error>::new())
        .retry_classifier(AwsErrorCodeClassifier::<Ec2Error>::new())
        .timeout_config(config.timeout_config().cloned().unwrap_or(TimeoutConfig::disabled()))
        .with_connection_poisoning()
        .runtime_plugin(
            StaticRuntimePlugin::new()
                .with_config(signing(config))
                .with_runtime_components(credentials(config)),
        );
    if let Some(version) = config.behavior_version() {
        operation = operation.behavior_version(version);
    }
    if let Some(client) = config.http_client() {
        operation = operation.http_client(client);
    }
    operation.serializer(request).deserializer(answer).build()
}

/// Where EC2 is: at the address that is set for it or for all services, or where AWS says that it is
/// ("Amazon EC2 service endpoints").
fn endpoint(config: &SdkConfig) -> String {
    let key = ServiceConfigKey::builder()
        .service_id("ec2")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let own = config.service_config().zip(key.ok()).and_then(|(all, key)| all.load_config(key));
    own.or_else(|| config.endpoint_url().map(str::to_owned)).unwrap_or_else(|| {
        let region = config.region().map_or("us-east-1", Region::as_ref);
        let fips = config.use_fips().unwrap_or_default();
        host(region, fips, config.use_dual_stack().unwrap_or_default())
    })
}

/// The endpoint of a region.
fn host(region: &str, fips: bool, dual_stack: bool) -> String {
    let service = if fips { "ec2-fips" } else { "ec2" };
    let domain = match (region.starts_with("cn-"), dual_stack) {
        (false, false) => "amazonaws.com",
        (false, true) => "api.aws",
        (true, false) => "amazonaws.com.cn",
        (true, true) => "api.amazonwebservices.com.cn",
    };
    format!("https://{service}.{region}.{domain}")
}

/// What requests are signed for.
fn signing(config: &SdkConfig) -> FrozenLayer {
    let mut layer = Layer::new("ec2");
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        signing_options: SigningOptions::default(),
        ..Default::default()
    });
    layer.store_put(SigningName::from_static("ec2"));
    if let Some(region) = config.region() {
        layer.store_put(SigningRegion::from(region.clone()));
    }
    layer.freeze()
}

/// Who signs them.
fn credentials(config: &SdkConfig) -> RuntimeComponentsBuilder {
    let scheme = StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]);
    let mut components = RuntimeComponentsBuilder::new("ec2")
        .with_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(scheme)))
        .with_auth_scheme(SharedAuthScheme::new(SigV4AuthScheme::new()))
        .with_identity_cache(config.identity_cache())
        .with_sleep_impl(config.sleep_impl())
        .with_time_source(config.time_source());
    if let Some(provider) = config.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, SharedIdentityResolver::new(provider));
    }
    components
}

fn request(request: Request) -> Result<HttpRequest, BoxError> {
    let mut http = HttpRequest::new(SdkBody::from(request.form()));
    http.set_method("POST")?;
    http.set_uri("/")?;
    http.headers_mut().insert("content-type", "application/x-www-form-urlencoded");
    Ok(http)
}

fn answer(response: &HttpResponse) -> Result<Element, OrchestratorError<Ec2Error>> {
    let body = response.body().bytes().unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    let root = Element::parse(&text);
    if response.status().is_success() {
        return root.map_err(OrchestratorError::other);
    }
    // Whoever answers without XML is not EC2 but something before it.
    let root = root.unwrap_or_default();
    let mut error = ErrorMetadata::builder();
    if let Some(code) = root.text("Errors/Error/Code") {
        error = error.code(code);
    }
    if let Some(message) = root.text("Errors/Error/Message") {
        error = error.message(message);
    }
    Err(OrchestratorError::operation(Ec2Error(error.build())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_a_form() {
        let request = Request::new("DescribeSubnets")
            .with("SubnetId.1", "subnet-1")
            .filter("vpc-id", "vpc-1")
            .filter("tag:a&b", "1 2");
        assert_eq!(
            request.form(),
            "Action=DescribeSubnets&Version=2016-11-15&SubnetId.1=subnet-1&Filter.1.Name=vpc-id\
             &Filter.1.Value.1=vpc-1&Filter.2.Name=tag%3Aa%26b&Filter.2.Value.1=1+2"
        );
    }

    #[test]
    fn each_partition_has_hosts_of_its_own() {
        assert_eq!(host("eu-west-1", false, false), "https://ec2.eu-west-1.amazonaws.com");
        assert_eq!(
            host("us-gov-west-1", true, false),
            "https://ec2-fips.us-gov-west-1.amazonaws.com"
        );
        assert_eq!(host("eu-west-1", false, true), "https://ec2.eu-west-1.api.aws");
        assert_eq!(host("cn-north-1", false, false), "https://ec2.cn-north-1.amazonaws.com.cn");
    }
}
