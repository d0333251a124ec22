//! An account, a region and a bucket, and the way to each service.

use aws_config::SdkConfig;
use vdeploy_runtime::aws::layout::default_bucket;
use vdeploy_runtime::aws::objects::Bucket;
use vdeploy_runtime::aws::{Aws, AwsError, AwsErrorKind};

use super::CloudResult;
use super::error::CloudError;
use crate::resource::ACCOUNT;

/// An open way to an account.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The region.
    pub(crate) region: String,
    /// The bucket's name.
    pub(crate) bucket: String,
    /// The bucket was there before, and is left alone.
    pub(crate) own_bucket: bool,
    account: String,
    aws: Aws,
}

impl Session {
    /// Finds credentials and says whose they are; a bucket that is named is the user's own.
    pub(crate) async fn open(
        region: Option<String>,
        bucket: Option<String>,
    ) -> Result<Self, CloudError> {
        let aws = Aws::load(region).await;
        let doing = "find out which region to use";
        let region = aws.region().map(str::to_owned).ok_or_else(|| {
            AwsError::new(doing, AwsErrorKind::Region, "no region is named anywhere")
        })?;
        let account = aws.account().await?;
        let default = default_bucket(&account, &region);
        let own_bucket = bucket.as_ref().is_some_and(|bucket| *bucket != default);
        let bucket = bucket.unwrap_or(default);
        Ok(Session { region, bucket, own_bucket, account, aws })
    }

    /// `text` with the account's number where it stands for it.
    pub(super) fn with_account(&self, text: &str) -> String {
        text.replace(ACCOUNT, &self.account)
    }

    /// `text` without the account's number.
    pub(super) fn without_account(&self, text: &str) -> String {
        text.replace(&self.account, ACCOUNT)
    }

    /// The ARN of `rest` of a service.
    pub(super) fn arn(&self, service: &str, rest: &str) -> String {
        let partition = self.partition();
        format!("arn:{partition}:{service}:{}:{}:{rest}", self.region, self.account)
    }

    /// The ARN of a role or an instance profile.
    pub(super) fn iam_arn(&self, rest: &str) -> String {
        format!("arn:{}:iam::{}:{rest}", self.partition(), self.account)
    }

    /// The part of ARNs that says whose AWS this is.
    pub(super) fn partition(&self) -> &'static str {
        if self.region.starts_with("cn-") {
            "aws-cn"
        } else if self.region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
    }

    /// The bucket's objects.
    pub(crate) fn objects(&self) -> Bucket {
        self.aws.bucket(&self.bucket)
    }

    pub(super) fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(self.aws.config())
            .force_path_style(self.aws.config().endpoint_url().is_some());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub(super) fn batch(&self) -> aws_sdk_batch::Client {
        self.aws.batch()
    }

    pub(super) fn lambda(&self) -> aws_sdk_lambda::Client {
        self.aws.lambda()
    }

    pub(super) fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        self.aws.logs()
    }

    /// What clients are made from.
    pub(super) fn config(&self) -> &SdkConfig {
        self.aws.config()
    }

    pub(super) fn ecr(&self) -> aws_sdk_ecr::Client {
        aws_sdk_ecr::Client::new(self.aws.config())
    }

    pub(super) fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(self.aws.config())
    }

    pub(super) fn scheduler(&self) -> aws_sdk_scheduler::Client {
        aws_sdk_scheduler::Client::new(self.aws.config())
    }

    pub(super) fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(self.aws.config())
    }
}

/// What a client returned while `doing` something.
pub(super) trait Doing<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> CloudResult<T>;
}

impl<T, E> Doing<T>
    for Result<T, aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>>
where
    E: std::error::Error + aws_sdk_s3::error::ProvideErrorMetadata + 'static,
{
    fn doing(self, doing: impl FnOnce() -> String) -> CloudResult<T> {
        self.map_err(|error| AwsError::of(doing(), &error).into())
    }
}
