//! Calls of maps: in their places once, and as few jobs as can be.

use super::{AwsDispatcher, Part, Result, group_of, new_group, place_in};
use crate::aws::calls::{Group, MapPart};
use crate::aws::layout::ARRAY_SIZES;
use crate::catalog::FunctionName;
use crate::dispatch::local::{Difference, NewCall, Placement};
use crate::wire::Outcome;

/// Puts the calls, which are of one map and follow each other, in their places.
pub(super) async fn place(this: &AwsDispatcher, calls: Vec<NewCall>) -> Result<Vec<Placement>> {
    let mut placed = Vec::new();
    let mut rest = &calls[..];
    while let Some(first) = rest.first() {
        let earlier = part_at(this, first).await?;
        let taken = match earlier {
            Some(part) => {
                let count = rest.len().min(part.size as usize);
                placed.extend(look(this, &part, &rest[..count]).await?);
                count
            }
            None => {
                let count = rest.len().min(*ARRAY_SIZES.end() as usize);
                placed.extend(record(this, &rest[..count]).await?);
                count
            }
        };
        rest = &rest[taken.max(1)..];
    }
    Ok(placed)
}

async fn part_at(this: &AwsDispatcher, call: &NewCall) -> Result<Option<MapPart>> {
    let Some((map, first)) = &call.map else { return Ok(None) };
    let key = this.ledger().keys().map_part(map, *first);
    Ok(this.ledger().bucket().get_json(&key).await?.map(|(part, _)| part))
}

/// New calls, all at once.
async fn record(this: &AwsDispatcher, calls: &[NewCall]) -> Result<Vec<Placement>> {
    let Some(first) = calls.first() else { return Ok(Vec::new()) };
    let (id, size) = (new_group(), calls.len() as u64);
    let only = (size == 1).then(|| first.args.clone());
    let group = group_of(first, size, only);
    let inputs: Vec<_> = calls.iter().map(|call| call.args.clone()).collect();
    this.ledger().record(&id, &group, &inputs).await?;
    let job = this.start(&id, &group, first.owner.is_none()).await?;
    if let Some((map, place)) = &first.map {
        let part = MapPart { group: id.clone(), size };
        let keys = this.ledger().keys();
        let key = keys.map_part(map, *place);
        let always = crate::aws::objects::Condition::Always;
        this.ledger().bucket().put_json(&key, &part, always).await?;
        remember(this, map, Part { group: id.clone(), size, job });
    }
    Ok((0..size).map(|index| Placement::New(place_in(&id, size, index).id())).collect())
}

fn remember(this: &AwsDispatcher, map: &str, part: Part) {
    this.maps().entry(map.to_owned()).or_default().push(part);
    this.inner.news.notify_waiters();
}

/// Calls of an earlier run. Those that did not succeed are made again, each by itself.
async fn look(this: &AwsDispatcher, part: &MapPart, calls: &[NewCall]) -> Result<Vec<Placement>> {
    let Some(group) = this.ledger().group(&part.group).await? else {
        return record(this, calls).await;
    };
    let inputs = this.ledger().all_args(&part.group, &group).await?;
    let ids = (0..part.size).map(|index| place_in(&part.group, part.size, index).id());
    let ids: Vec<_> = ids.collect();
    let mut outcomes: std::collections::HashMap<_, _> =
        this.outcomes(ids.clone()).await?.into_iter().collect();
    let mut placed = Vec::new();
    let mut open = false;
    for ((call, input), id) in calls.iter().zip(&inputs).zip(ids) {
        placed.push(if let Some(difference) = difference(&group, call, input) {
            Placement::Different(difference)
        } else {
            match outcomes.remove(&id) {
                None => {
                    open = true;
                    Placement::Open(id)
                }
                Some(outcome @ Outcome::Succeeded { .. }) => {
                    Placement::Done { call: id, outcome, version: group.version }
                }
                Some(_) => again(this, call).await?,
            }
        });
    }
    if open && let Some((map, _)) = calls.first().and_then(|call| call.map.as_ref()) {
        let job = this.ledger().job(&part.group).await?.and_then(|job| job.batch);
        let part = Part { group: part.group.clone(), size: part.size, job };
        remember(this, map, part);
    }
    Ok(placed)
}

/// Makes a call of a map by itself, in a group of its own.
async fn again(this: &AwsDispatcher, call: &NewCall) -> Result<Placement> {
    let id = new_group();
    let group = group_of(call, 1, Some(call.args.clone()));
    this.ledger().record(&id, &group, &[]).await?;
    let job = this.start(&id, &group, call.owner.is_none()).await?;
    if let Some((map, _)) = &call.map {
        remember(this, map, Part { group: id.clone(), size: 1, job });
    }
    Ok(Placement::New(place_in(&id, 1, 0).id()))
}

fn difference(group: &Group, call: &NewCall, input: &serde_json::Value) -> Option<Difference> {
    let place = call.map.as_ref().map_or(0, |(_, place)| *place);
    let names = |app: &str, name: &str| FunctionName::new(app, name);
    let (was, is) = (&group.function, &call.function);
    if (&was.app, &was.name) != (&is.app, &is.name) || group.environment != call.environment {
        let (environment, name) = (group.environment.clone(), names(&was.app, &was.name));
        return Some(Difference::Function { environment, name });
    }
    (*input != call.args).then_some(Difference::Input(place))
}
