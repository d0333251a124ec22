//! What a caller and a function in AWS Lambda say to each other.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calls::Ended;
use super::error::{AwsError, AwsErrorKind};
use super::layout::LambdaEngine;

/// The largest outcome that an answer holds: Lambda takes 6 MB, and larger ones are in the bucket.
pub const LARGEST_ANSWER: usize = 5 << 20;

/// What a function is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Request {
    /// To serve a call that was recorded. Its arguments are in the bucket, whatever their size.
    Call {
        /// The group of the call.
        group: String,
        /// Its place there; none for the only one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        index: Option<u64>,
    },
    /// To record and serve a call, as schedules ask.
    Function {
        /// `app/function`.
        function: String,
        /// Its arguments.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        args: Option<Value>,
    },
}

/// What a function answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How the call ended.
    Ended(Box<Ended>),
    /// How is in the bucket.
    Stored,
}

/// How an invocation went.
#[derive(Clone, Debug, PartialEq)]
pub enum Invoked {
    /// It was taken, and nobody waits for it.
    Accepted,
    /// It was answered.
    Answered(Answer),
    /// The function ended without an answer, for this reason.
    Died(String),
}

/// Invokes a function, and waits for its answer unless it is `detached`.
pub async fn invoke(
    client: &Client,
    engine: &LambdaEngine,
    request: &Request,
    detached: bool,
) -> Result<Invoked, AwsError> {
    let payload = serde_json::to_vec(request).expect("a request is plain data");
    let kind = if detached { InvocationType::Event } else { InvocationType::RequestResponse };
    let sent = client
        .invoke()
        .function_name(&engine.function)
        .qualifier(&engine.alias)
        .invocation_type(kind)
        .payload(Blob::new(payload))
        .send()
        .await;
    let doing = || format!("invoke Lambda function `{}`", engine.function);
    let answered = sent.map_err(|error| AwsError::of(doing(), &error))?;
    if detached {
        return Ok(Invoked::Accepted);
    }
    let payload = answered.payload.map(Blob::into_inner).unwrap_or_default();
    if answered.function_error.is_some() {
        return Ok(Invoked::Died(why(&payload)));
    }
    let answer = serde_json::from_slice(&payload).map_err(|error| {
        AwsError::new(doing(), AwsErrorKind::Other, format!("its answer isn't one: {error}"))
    })?;
    Ok(Invoked::Answered(answer))
}

/// The reason in the answer of a function that died: `{"errorType": …, "errorMessage": …}`.
fn why(payload: &[u8]) -> String {
    let value: Value = serde_json::from_slice(payload).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    match (text("errorType"), text("errorMessage")) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (None, Some(message)) => message.to_owned(),
        _ => "nothing was said".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_told_by_what_it_names() {
        let request = |value| serde_json::from_value::<Request>(value).unwrap();
        assert_eq!(
            request(json!({ "group": "c-1", "index": 3 })),
            Request::Call { group: "c-1".into(), index: Some(3) }
        );
        assert_eq!(
            request(json!({ "function": "a/f" })),
            Request::Function { function: "a/f".into(), args: None }
        );
    }

    #[test]
    fn a_death_says_its_reason() {
        let payload = br#"{"errorType":"Sandbox.Timedout","errorMessage":"after 3 s"}"#;
        assert_eq!(why(payload), "Sandbox.Timedout: after 3 s");
        assert_eq!(why(b""), "nothing was said");
    }
}
