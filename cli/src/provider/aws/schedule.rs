//! EventBridge Scheduler: functions that are called by themselves.

use aws_sdk_scheduler::operation::get_schedule::GetScheduleOutput;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy, ScheduleState,
    Target,
};
use serde_json::json;

use super::error::{missing_is_fine, missing_is_none};
use super::lambda::ALIAS;
use super::session::Doing;
use super::wait::propagated;
use super::{AwsProvider, CloudError, CloudResult, seen};
use crate::engine::Engine;
use crate::plan::Seen;
use crate::resource::{Resource, Schedule};

/// How often a call that wasn't taken is made again.
const ATTEMPTS: i32 = 5;

impl AwsProvider<'_> {
    pub(super) async fn see_schedule(&self, function: &str) -> CloudResult<Option<Seen>> {
        let name = self.names.name(function, 64);
        let Some(found) = self.find_schedule(&name).await? else { return Ok(None) };
        if found.description() != Some(self.owner(function).as_str()) {
            return Ok(None);
        }
        let schedule = self.schedule_of(function, &found).map(Resource::Schedule);
        Ok(Some(seen(schedule)))
    }

    /// What its description says, since schedules have no tags: whose it is. Names alone don't tell
    /// function `x` of app `a-b` from function `b-x` of app `a`.
    fn owner(&self, function: &str) -> String {
        format!("vdeploy {}/{}/{function}", self.environment(), self.app)
    }

    async fn find_schedule(&self, name: &str) -> CloudResult<Option<GetScheduleOutput>> {
        let sent = self.session.scheduler().get_schedule().name(name).send().await;
        missing_is_none(sent.doing(|| format!("look at schedule `{name}`")))
    }

    /// What was found, as this program would describe it; none when it can't.
    fn schedule_of(&self, function: &str, found: &GetScheduleOutput) -> Option<Schedule> {
        let target = found.target()?;
        let role = target.role_arn().rsplit('/').next()?.to_owned();
        let enabled = found.state() == Some(&ScheduleState::Enabled);
        let (engine, name, queue) = if target.arn().ends_with(":batch:submitJob") {
            let input: serde_json::Value = serde_json::from_str(target.input()?).ok()?;
            let text = |key: &str| input[key].as_str().map(str::to_owned);
            (Engine::Batch, text("JobDefinition")?, Some(text("JobQueue")?))
        } else {
            let name = target.arn().strip_suffix(&format!(":{ALIAS}"))?.rsplit(':').next()?;
            (Engine::Lambda, name.to_owned(), None)
        };
        let schedule = Schedule {
            function: function.to_owned(),
            name: found.name()?.to_owned(),
            expression: found.schedule_expression()?.to_owned(),
            engine,
            target: name,
            queue,
            role,
        };
        Some(schedule).filter(|_| enabled)
    }

    pub(super) async fn put_schedule(&self, wanted: &Schedule) -> CloudResult<()> {
        let (scheduler, name) = (self.session.scheduler(), &wanted.name);
        let exact = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build();
        let exact = exact.expect("the mode is given");
        let target = self.target_of(wanted);
        let owner = self.owner(&wanted.function);
        let found = self.find_schedule(name).await?;
        let is_there = found.is_some();
        if found.is_some_and(|found| found.description() != Some(&owner)) {
            return Err(CloudError::NotOurs(format!("schedule `{name}`")));
        }
        propagated(|| async {
            if is_there {
                let request = scheduler.update_schedule().name(name).description(&owner);
                let request = request.schedule_expression(&wanted.expression);
                let request = request.state(ScheduleState::Enabled).target(target.clone());
                let sent = request.flexible_time_window(exact.clone()).send().await;
                return sent.doing(|| format!("change schedule `{name}`")).map(drop);
            }
            let request = scheduler.create_schedule().name(name).description(&owner);
            let request = request.schedule_expression(&wanted.expression);
            let request = request.action_after_completion(ActionAfterCompletion::None);
            let request = request.state(ScheduleState::Enabled).target(target.clone());
            let sent = request.flexible_time_window(exact.clone()).send().await;
            match sent.doing(|| format!("create schedule `{name}`")) {
                // An answer got lost.
                Err(error) if error.exists() => Ok(()),
                sent => sent.map(drop),
            }
        })
        .await
    }

    fn target_of(&self, wanted: &Schedule) -> Target {
        let role = self.session.iam_arn(&format!("role/{}", wanted.role));
        let retry = RetryPolicy::builder().maximum_retry_attempts(ATTEMPTS).build();
        let (arn, input) = match wanted.engine {
            Engine::Batch => {
                let partition = self.session.partition();
                let input = json!({
                    "JobName": wanted.name,
                    "JobQueue": wanted.queue,
                    "JobDefinition": wanted.target,
                });
                (format!("arn:{partition}:scheduler:::aws-sdk:batch:submitJob"), input)
            }
            Engine::Lambda => {
                let function = format!("function:{}:{ALIAS}", wanted.target);
                let name = format!("{}/{}", self.app, wanted.function);
                (self.session.arn("lambda", &function), json!({ "function": name }))
            }
        };
        let target = Target::builder().arn(arn).role_arn(role).input(input.to_string());
        target.retry_policy(retry).build().expect("ARNs are given")
    }

    pub(super) async fn take_schedule(&self, schedule: &Schedule) -> CloudResult<()> {
        let name = &schedule.name;
        let found = self.find_schedule(name).await?;
        let owner = self.owner(&schedule.function);
        if found.is_none_or(|found| found.description() != Some(&owner)) {
            return Ok(());
        }
        let sent = self.session.scheduler().delete_schedule().name(name).send().await;
        missing_is_fine(sent.doing(|| format!("delete schedule `{name}`")))
    }
}
