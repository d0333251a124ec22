//! What an AWS service says when it says no: what was being done, of what kind, and what helps.

use std::error::Error;
use std::fmt;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::wire::{Failure, FailureKind};

/// A request that failed, after the client's own retries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("can't {doing}")]
pub struct AwsError {
    /// What was being done, as a verb and its object in backticks.
    pub doing: String,
    /// Of what kind it is.
    pub kind: AwsErrorKind,
    /// What the service said, in one line.
    pub cause: String,
}

/// Kinds of failed requests, by what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsErrorKind {
    /// There are no credentials.
    NoCredentials,
    /// There are, and they are no longer or not yet valid.
    Expired,
    /// They lack a permission.
    Denied,
    /// It isn't there.
    NotFound,
    /// It is there, or changed meanwhile, and the request was conditional.
    Conflict,
    /// Too many requests at a time.
    Throttled,
    /// More of something than the account may have.
    Quota,
    /// Another region, or none.
    Region,
    /// The service can't be reached.
    Network,
    /// Anything else.
    Other,
}

impl AwsError {
    /// An error of `kind` while `doing` something.
    pub fn new(doing: impl Into<String>, kind: AwsErrorKind, cause: impl Into<String>) -> Self {
        AwsError { doing: doing.into(), kind, cause: cause.into() }
    }

    /// What a client returned while `doing` something.
    pub fn of<E>(doing: impl Into<String>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let kind = kind_of(error, status);
        let said = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => match status {
                Some(status) if error.as_service_error().is_some() => {
                    format!("the service answered {status}")
                }
                _ => innermost(error),
            },
        };
        AwsError { doing: doing.into(), kind, cause: without_accounts(&said.replace('\n', " ")) }
    }

    /// The permission that is lacking, where the service names it.
    pub fn permission(&self) -> Option<&str> {
        let (_, rest) = self.cause.split_once("not authorized to perform: ")?;
        rest.split_whitespace().next()
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self.kind {
            AwsErrorKind::NoCredentials => {
                "set `AWS_PROFILE`, or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; \
                 `aws sts get-caller-identity` says who you are"
            }
            AwsErrorKind::Expired => "sign in again, such as with `aws sso login`",
            AwsErrorKind::Denied => {
                "ask for the permission that is named, or use another profile: \
                 `export AWS_PROFILE=…`"
            }
            AwsErrorKind::Region => "name the region: `export AWS_REGION=us-east-1`",
            AwsErrorKind::Network => "see whether the service can be reached from here",
            AwsErrorKind::Throttled => "try again in a moment",
            AwsErrorKind::Quota => {
                "remove what nobody needs, or ask for more in the console's Service Quotas: \
                 `aws service-quotas list-service-quotas --service-code …`"
            }
            AwsErrorKind::NotFound if self.cause.starts_with("NoSuchBucket") => {
                "the first `vdeploy deploy` on this target makes the bucket; or name another one: \
                 `export VDEPLOY_BUCKET=…`"
            }
            AwsErrorKind::NotFound | AwsErrorKind::Conflict | AwsErrorKind::Other => return None,
        };
        Some(hint.into())
    }

    /// The same as the failure of a call.
    pub fn into_failure(self, kind: FailureKind) -> Failure {
        let hint = self.hint();
        let failure = Failure::new(kind, self.to_string()).cause(&self.cause);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// `text` with stars in place of account numbers, which messages of AWS are full of.
fn without_accounts(text: &str) -> String {
    const DIGITS: usize = 12;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        out.push_str(before);
        out.push_str(if end == DIGITS { "************" } else { &from[..end] });
        rest = &from[end..];
    }
    out + rest
}

fn kind_of<E>(error: &SdkError<E, HttpResponse>, status: Option<u16>) -> AwsErrorKind
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let by_code = error.code().and_then(|code| match code {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired" => {
            Some(AwsErrorKind::Expired)
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "AllAccessDisabled"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId" => Some(AwsErrorKind::Denied),
        "PreconditionFailed" | "ConditionalRequestConflict" | "BucketAlreadyExists" => {
            Some(AwsErrorKind::Conflict)
        }
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded" => Some(AwsErrorKind::Throttled),
        code if is_quota(code) => Some(AwsErrorKind::Quota),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraint" => {
            Some(AwsErrorKind::Region)
        }
        _ => None,
    });
    by_code.unwrap_or_else(|| match (status, error) {
        (Some(404), _) => AwsErrorKind::NotFound,
        (Some(409 | 412), _) => AwsErrorKind::Conflict,
        (Some(403), _) => AwsErrorKind::Denied,
        (Some(429 | 503), _) => AwsErrorKind::Throttled,
        (Some(301), _) => AwsErrorKind::Region,
        (Some(_), _) => AwsErrorKind::Other,
        (None, _) => without_answer(&chain(error)),
    })
}

/// Whether a code says that an account has as much of something as it may have. Services spell it
/// differently: `LimitExceeded` (IAM), `ServiceQuotaExceededException` (Scheduler), `TooManyBuckets`.
fn is_quota(code: &str) -> bool {
    const OTHERS: [&str; 3] = ["TooManyBuckets", "TooManyRepositories", "MaximumQueueCount"];
    code.contains("LimitExceeded")
        || code.contains("QuotaExceeded")
        || code.contains("StorageExceeded")
        || OTHERS.contains(&code)
}

/// Why nothing was sent or came back. The client says it only in words.
fn without_answer(words: &str) -> AwsErrorKind {
    let words = words.to_ascii_lowercase();
    if words.contains("credentials") && words.contains("expired") {
        AwsErrorKind::Expired
    } else if words.contains("credential") || words.contains("identity") {
        AwsErrorKind::NoCredentials
    } else if words.contains("region") {
        AwsErrorKind::Region
    } else {
        AwsErrorKind::Network
    }
}

fn chain(error: &dyn Error) -> String {
    texts(error).join(": ")
}

fn innermost(error: &dyn Error) -> String {
    texts(error).pop().unwrap_or_default()
}

fn texts(error: &dyn Error) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}

/// A key within a bucket, as messages name it.
pub(super) struct Named<'n>(pub(super) &'n str, pub(super) &'n str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`s3://{}/{}`", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_told_from_too_many_requests() {
        for code in [
            "LimitExceeded",
            "LimitExceededException",
            "ServiceQuotaExceededException",
            "CodeStorageExceededException",
            "LaunchTemplateVersionLimitExceeded",
            "TooManyBuckets",
        ] {
            assert!(is_quota(code), "{code}");
        }
        for code in ["Throttling", "TooManyRequestsException", "SlowDown"] {
            assert!(!is_quota(code), "{code}");
        }
    }

    #[test]
    fn account_numbers_are_starred_and_the_lacking_permission_is_named() {
        let said = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: \
                    batch:CreateJobQueue on resource: x 1234567890123 12";
        let error = AwsError::new("x", AwsErrorKind::Denied, without_accounts(said));
        assert_eq!(error.permission(), Some("batch:CreateJobQueue"));
        assert!(error.cause.contains("iam::************:user/ci"), "{}", error.cause);
        assert!(error.cause.ends_with("x 1234567890123 12"), "{}", error.cause);
    }
}
