//! Lambda: functions from images, a version for each change, and an alias for the one that is
//! called.

use std::collections::HashMap;

use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::types::{
    Architecture, Environment, EphemeralStorage, FunctionCode, FunctionConfiguration, ImageConfig,
    LastUpdateStatus, LoggingConfig, PackageType, State,
};

use super::definition::content;
use super::error::{missing_is_fine, missing_is_none};
use super::session::Doing;
use super::wait::{self, Look, propagated};
use super::{AwsProvider, CloudError, CloudResult};
use crate::resource::{CloudFunction, Resource};

/// The alias that calls go to.
pub(super) const ALIAS: &str = "live";
/// What is run in a function's container.
const COMMAND: [&str; 2] = ["vdeploy-runtime", "lambda"];

impl AwsProvider<'_> {
    async fn find_lambda(
        &self,
        name: &str,
        of: Option<&str>,
    ) -> CloudResult<Option<GetFunctionOutput>> {
        let request = self.session.lambda().get_function().function_name(name);
        let sent = request.set_qualifier(of.map(str::to_owned)).send().await;
        missing_is_none(sent.doing(|| format!("look at Lambda function `{name}`")))
    }

    /// Whether what the alias names is what `function` asks for.
    pub(super) async fn lambda_is(&self, function: &CloudFunction) -> CloudResult<bool> {
        let Some(found) = self.find_lambda(&function.name, Some(ALIAS)).await? else {
            return Ok(false);
        };
        let image = found.code().and_then(|code| code.image_uri()).map(str::to_owned);
        let Some(found) = found.configuration else { return Ok(false) };
        let wanted = match self.image_of(function).await {
            Err(CloudError::NoImage(_)) => return Ok(false),
            wanted => wanted?,
        };
        Ok(image == Some(wanted) && self.settings_are(function, &found))
    }

    fn settings_are(&self, function: &CloudFunction, found: &FunctionConfiguration) -> bool {
        let variables = found.environment().and_then(|environment| environment.variables());
        let disk = found.ephemeral_storage().map(EphemeralStorage::size);
        found.memory_size() == Some(mib(function.memory_mib))
            && found.timeout() == Some(seconds(function))
            && disk == Some(mib(function.disk_mib.unwrap_or(512)))
            && variables == Some(&self.variables(function))
            && found.role().is_some_and(|role| role.ends_with(&format!("role/{}", function.role)))
    }

    /// Makes or changes a function, and points its alias to what it is then.
    pub(super) async fn put_lambda(&self, function: &CloudFunction) -> CloudResult<()> {
        let name = &function.name;
        let id = Resource::CloudFunction(Box::new(function.clone())).id();
        let tags = self.tags(&id);
        match self.find_lambda(name, None).await? {
            None => self.create_lambda(function, &tags).await?,
            Some(found) if !tags.own(found.tags().into_iter().flatten()) => {
                return Err(CloudError::NotOurs(format!("Lambda function `{name}`")));
            }
            Some(_) => self.update_lambda(function).await?,
        }
        self.failpoint.hit("lambda-made");
        self.wait_for_lambda(name).await?;
        self.publish(function).await
    }

    async fn create_lambda(
        &self,
        function: &CloudFunction,
        tags: &super::tags::Tags,
    ) -> CloudResult<()> {
        let (lambda, name) = (self.session.lambda(), &function.name);
        let code = FunctionCode::builder().image_uri(self.image_of(function).await?).build();
        propagated(|| async {
            let request = lambda
                .create_function()
                .function_name(name)
                .package_type(PackageType::Image)
                .architectures(Architecture::X8664)
                .code(code.clone())
                .image_config(command())
                .role(self.session.iam_arn(&format!("role/{}", function.role)))
                .memory_size(mib(function.memory_mib))
                .timeout(seconds(function))
                .ephemeral_storage(disk(function))
                .environment(
                    Environment::builder().set_variables(Some(self.variables(function))).build(),
                )
                .logging_config(logging(function))
                .set_tags(Some(tags.map()));
            match request.send().await.doing(|| format!("create Lambda function `{name}`")) {
                Err(error) if error.exists() => Ok(()),
                sent => sent.map(drop),
            }
        })
        .await
    }

    async fn update_lambda(&self, function: &CloudFunction) -> CloudResult<()> {
        let (lambda, name) = (self.session.lambda(), &function.name);
        self.wait_for_lambda(name).await?;
        let changing = || format!("change Lambda function `{name}`");
        let request = lambda.update_function_code().function_name(name);
        let request = request.image_uri(self.image_of(function).await?);
        request.send().await.doing(changing)?;
        self.wait_for_lambda(name).await?;
        propagated(|| async {
            let request = lambda
                .update_function_configuration()
                .function_name(name)
                .image_config(command())
                .role(self.session.iam_arn(&format!("role/{}", function.role)))
                .memory_size(mib(function.memory_mib))
                .timeout(seconds(function))
                .ephemeral_storage(disk(function))
                .environment(
                    Environment::builder().set_variables(Some(self.variables(function))).build(),
                )
                .logging_config(logging(function));
            request.send().await.doing(changing).map(drop)
        })
        .await
    }

    /// Secrets are named only: the function reads them itself, so that their values aren't in its
    /// settings.
    fn variables(&self, function: &CloudFunction) -> HashMap<String, String> {
        self.environment_of(function).into_iter().collect()
    }

    async fn wait_for_lambda(&self, name: &str) -> CloudResult<()> {
        wait::until(&format!("Lambda function `{name}`"), "active", || async {
            let Some(found) = self.find_lambda(name, None).await?.and_then(|f| f.configuration)
            else {
                return Ok(Look::NotYet("missing".into()));
            };
            let reason =
                |reason: Option<&str>| Look::Never(reason.unwrap_or("no reason").to_owned());
            Ok(match (found.state(), found.last_update_status()) {
                (Some(State::Failed), _) => reason(found.state_reason()),
                (_, Some(LastUpdateStatus::Failed)) => reason(found.last_update_status_reason()),
                (Some(State::Pending), _) => Look::NotYet("pending".into()),
                (_, Some(LastUpdateStatus::InProgress)) => Look::NotYet("being updated".into()),
                _ => Look::Reached,
            })
        })
        .await
    }

    async fn publish(&self, function: &CloudFunction) -> CloudResult<()> {
        let (lambda, name) = (self.session.lambda(), &function.name);
        let request = lambda.publish_version().function_name(name).description(content(function));
        let made = request.send().await.doing(|| format!("publish Lambda function `{name}`"))?;
        let version = made.version().unwrap_or("$LATEST");
        let aliasing = || format!("name the version of Lambda function `{name}`");
        let request = lambda.update_alias().function_name(name).name(ALIAS);
        let updated = request.function_version(version).send().await.doing(aliasing);
        if missing_is_none(updated)?.is_none() {
            let request = lambda.create_alias().function_name(name).name(ALIAS);
            request.function_version(version).send().await.doing(aliasing)?;
        }
        match function.spec.scaling.max_containers {
            Some(most) => {
                let request = lambda.put_function_concurrency().function_name(name);
                let most = i32::try_from(most).unwrap_or(i32::MAX);
                let sent = request.reserved_concurrent_executions(most).send().await;
                sent.doing(|| format!("limit Lambda function `{name}`")).map(drop)
            }
            None => {
                let sent = lambda.delete_function_concurrency().function_name(name).send().await;
                missing_is_fine(sent.doing(|| format!("free Lambda function `{name}`")))
            }
        }
    }

    pub(super) async fn take_lambda(&self, name: &str) -> CloudResult<()> {
        let Some(found) = self.find_lambda(name, None).await? else { return Ok(()) };
        if self.is_anothers(found.tags().into_iter().flatten()) {
            return Ok(());
        }
        let sent = self.session.lambda().delete_function().function_name(name).send().await;
        missing_is_fine(sent.doing(|| format!("delete Lambda function `{name}`")))
    }
}

fn command() -> ImageConfig {
    let words = COMMAND.map(str::to_owned).into();
    ImageConfig::builder().set_entry_point(Some(words)).build()
}

fn logging(function: &CloudFunction) -> LoggingConfig {
    LoggingConfig::builder().log_group(&function.log_group).build()
}

fn disk(function: &CloudFunction) -> EphemeralStorage {
    let size = mib(function.disk_mib.unwrap_or(512));
    EphemeralStorage::builder().size(size).build().expect("the size is given")
}

fn mib(mib: u64) -> i32 {
    i32::try_from(mib).unwrap_or(i32::MAX)
}

fn seconds(function: &CloudFunction) -> i32 {
    function.spec.timeout_seconds.ceil().clamp(1.0, 900.0) as i32
}
