//! A client of EC2's query API for the few actions that are used, on the SDK's own runtime, put together as
//! the SDK's crates are: its credentials, signatures, time limits, retries and corrections of the clock.
//!
//! The SDK's crate for EC2 is generated from a model of some 700 actions: it took a fifth of the time of a
//! build, for eight of them. Names are those of the "Amazon EC2 API Reference", version 2016-11-15.

use std::fmt;

use aws_config::SdkConfig;
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::recursion_detection::RecursionDetectionInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{ServiceClockSkewClassifier, ServiceClockSkewInterceptor};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime::client::stalled_stream_protection::StalledStreamProtectionInterceptor;
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

    /// Done once, however often it is asked for: an answer may be lost.
    pub(super) fn once(self) -> Self {
        self.with("ClientToken", format!("{:032x}", rand::random::<u128>()))
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
        .retry_classifier(ServiceClockSkewClassifier::<Ec2Error>::new())
        .interceptor(ServiceClockSkewInterceptor::new())
        .interceptor(StalledStreamProtectionInterceptor::default())
        .interceptor(RequestInfoInterceptor::new())
        .interceptor(InvocationIdInterceptor::new())
        .interceptor(UserAgentInterceptor::new())
        .interceptor(RecursionDetectionInterceptor::new())
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
    let set = config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() {
        return set.unwrap_or_default();
    }
    let key = ServiceConfigKey::builder()
        .service_id("ec2")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let own = config.service_config().zip(key.ok()).and_then(|(all, key)| all.load_config(key));
    own.or(set).unwrap_or_else(|| {
        let region = config.region().map_or("us-east-1", Region::as_ref);
        let fips = config.use_fips().unwrap_or_default();
        host(region, fips, config.use_dual_stack().unwrap_or_default())
    })
}

/// The domains of AWS's partitions by the beginnings of their regions: the usual ones and those that also
/// answer over IPv6. From the SDK's table of partitions; what begins otherwise is in the first partition.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("", "amazonaws.com", "api.aws"),
];

/// The endpoint of a region.
fn host(region: &str, fips: bool, dual_stack: bool) -> String {
    let found = PARTITIONS.iter().find(|(begin, ..)| region.starts_with(begin));
    let domain = found.map_or("amazonaws.com", |it| if dual_stack { it.2 } else { it.1 });
    // All of GovCloud is validated.
    let plain = !fips || (region.starts_with("us-gov-") && !dual_stack);
    let service = if plain { "ec2" } else { "ec2-fips" };
    format!("https://{service}.{region}.{domain}")
}

/// What requests are signed for.
fn signing(config: &SdkConfig) -> FrozenLayer {
    let mut layer = Layer::new("ec2");
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig::default());
    layer.store_put(ApiMetadata::new("ec2", env!("CARGO_PKG_VERSION")));
    if let Some(app) = config.app_name() {
        layer.store_put(app.clone());
    }
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
    use std::time::Duration;

    use aws_config::BehaviorVersion;
    use aws_sdk_s3::config::{Credentials, SharedAsyncSleep, SharedCredentialsProvider};
    use aws_smithy_async::rt::sleep::TokioSleep;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

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
        let hosts = [
            (("eu-west-1", false, false), "https://ec2.eu-west-1.amazonaws.com"),
            (("eu-west-1", false, true), "https://ec2.eu-west-1.api.aws"),
            (("us-east-1", true, false), "https://ec2-fips.us-east-1.amazonaws.com"),
            (("us-gov-west-1", true, false), "https://ec2.us-gov-west-1.amazonaws.com"),
            (("us-gov-west-1", true, true), "https://ec2-fips.us-gov-west-1.api.aws"),
            (("cn-north-1", false, false), "https://ec2.cn-north-1.amazonaws.com.cn"),
            (("eusc-de-east-1", false, false), "https://ec2.eusc-de-east-1.amazonaws.eu"),
            (("us-iso-east-1", false, false), "https://ec2.us-iso-east-1.c2s.ic.gov"),
        ];
        for ((region, fips, dual_stack), expected) in hosts {
            assert_eq!(host(region, fips, dual_stack), expected);
        }
    }

    /// Answers one request after the other on this machine, and returns them.
    async fn served(answers: &[&str], request: Request) -> (Vec<String>, Result<Element, String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let credentials = Credentials::new("AKID", "secret", Some("session".into()), None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(format!("http://{}", listener.local_addr().unwrap()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .http_client(vdeploy_runtime::aws::https())
            .build();
        let serving = async {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = vec![0; 64 << 10];
                let mut size = 0;
                while !String::from_utf8_lossy(&bytes[..size]).contains("Version=2016-11-15") {
                    size += stream.read(&mut bytes[size..]).await.unwrap();
                }
                asked.push(String::from_utf8_lossy(&bytes[..size]).to_lowercase());
                let (status, body) = answer.split_once(' ').unwrap();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close");
                stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
            }
            asked
        };
        let (asked, answer) = tokio::join!(serving, request.send(&config));
        (asked, answer.map_err(|error| format!("{:?} {:?}", error.code(), error.message())))
    }

    #[tokio::test]
    async fn requests_are_signed_and_made_again_and_are_the_same_ones() {
        let found = "200 <A><subnetSet><item><vpcId>vpc-1</vpcId></item></subnetSet></A>";
        let request = Request::new("DescribeSubnets").once();
        let (asked, answer) = served(&["503 <html>", "500 ", found], request).await;
        let answer = answer.unwrap();
        assert_eq!(answer.items("subnetSet").next().unwrap().text("vpcId"), Some("vpc-1"));
        let scope = "/eu-west-1/ec2/aws4_request";
        for part in ["credential=akid/", scope, "x-amz-security-token: session", "api/ec2/"] {
            assert!(asked[0].contains(part), "{part}: {}", asked[0]);
        }
        let bodies: Vec<_> = asked.iter().map(|it| it.split("\r\n\r\n").nth(1).unwrap()).collect();
        assert!(bodies[0].contains("&clienttoken="), "{}", bodies[0]);
        assert!(bodies.iter().all(|body| body == &bodies[0]), "{bodies:?}");
    }

    #[tokio::test]
    async fn what_ec2_refuses_is_told_by_its_code() {
        let refusal = "400 <Response><Errors><Error><Code>InvalidSubnetID.NotFound</Code>\
                       <Message>no such</Message></Error></Errors></Response>";
        let (_, answer) = served(&[refusal], Request::new("DescribeSubnets")).await;
        let said = answer.unwrap_err();
        assert_eq!(said, r#"Some("InvalidSubnetID.NotFound") Some("no such")"#);
    }
}
