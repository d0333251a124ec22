//! Looking at many calls: the newest groups first, as far back as is asked for.

use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};

use super::{AT_ONCE, AwsDispatcher, Result, place_in};
use crate::aws::calls::{Group, call_record};
use crate::aws::layout::GroupKeys;
use crate::clock;
use crate::dispatch::Callee;
use crate::dispatch::local::{CallFilter, CallRecord};

/// How far to look back, further each time that there are not enough.
const HOURS: [i64; 4] = [1, 24, 24 * 7, 24 * 31];

pub(super) async fn calls(this: &AwsDispatcher, filter: &CallFilter) -> Result<Vec<CallRecord>> {
    let mut found = match &filter.map {
        Some(map) => of_groups(this, groups_of_map(this, map).await?, filter).await?,
        None => newest(this, filter).await?,
    };
    match (&filter.map, filter.oldest_first) {
        (None, false) => found.sort_by_key(|call| std::cmp::Reverse(order(call))),
        // Those of a map in the order of their inputs.
        (Some(_), _) | (None, true) => found.sort_by_key(order),
    }
    found.truncate(filter.limit.unwrap_or(usize::MAX));
    Ok(found)
}

fn order(call: &CallRecord) -> (String, u64) {
    let place = crate::aws::layout::CallPlace::of(&call.id);
    place.map_or_else(|| (call.id.0.clone(), 0), |place| (place.group, place.index))
}

async fn groups_of_map(this: &AwsDispatcher, map: &str) -> Result<Vec<String>> {
    Ok(this.parts(map).await?.into_iter().map(|part| part.group).collect())
}

/// Looks back until there are enough. Oldest first can't stop early.
async fn newest(this: &AwsDispatcher, filter: &CallFilter) -> Result<Vec<CallRecord>> {
    let now = clock::now();
    let enough = filter.limit.filter(|_| !filter.oldest_first).unwrap_or(usize::MAX);
    let steps = HOURS.iter().filter(|_| enough != usize::MAX);
    let back = steps.filter_map(|hours| now.checked_sub(SignedDuration::from_hours(*hours)).ok());
    for since in back.map(Some).chain([None]) {
        let since = since.max(filter.since);
        let groups = this.ledger().groups(since).await?;
        let found = of_groups(this, groups, filter).await?;
        if found.len() >= enough || since.is_none() || since == filter.since {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

async fn of_groups(
    this: &AwsDispatcher,
    groups: Vec<String>,
    filter: &CallFilter,
) -> Result<Vec<CallRecord>> {
    let found: Vec<Vec<CallRecord>> = futures::stream::iter(groups)
        .map(|group| of_group(this, group, filter))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

async fn of_group(
    this: &AwsDispatcher,
    id: String,
    filter: &CallFilter,
) -> Result<Vec<CallRecord>> {
    let Some(group) = this.ledger().group(&id).await? else { return Ok(Vec::new()) };
    let callee = Callee {
        environment: group.environment.clone(),
        app: group.function.app.clone(),
        function: group.function.name.clone(),
    };
    let accepted = filter.since.is_none_or(|since| group.created >= since);
    if !filter.covers(&callee) || !accepted {
        return Ok(Vec::new());
    }
    let records = records(this, &id, &group).await?;
    let passes = |call: &CallRecord| {
        (filter.states.is_empty() || filter.states.contains(&call.state))
            && filter.map.as_ref().is_none_or(|map| call.map.as_ref() == Some(map))
    };
    Ok(records.into_iter().filter(passes).collect())
}

/// All calls of a group. Only what there is of many is read: outcomes, and what runs.
async fn records(this: &AwsDispatcher, id: &str, group: &Group) -> Result<Vec<CallRecord>> {
    let inputs = this.ledger().all_args(id, group).await?;
    let ledger = this.ledger();
    futures::stream::iter((0..group.size).zip(inputs))
        .map(|(index, args)| async move {
            let place = place_in(id, group.size, index);
            let ended = ledger.ended(&place).await?;
            let status = match &ended {
                Some(_) => None,
                None => ledger.status(&place).await?,
            };
            Ok(call_record(&place, group, args, status, ended))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

pub(super) async fn prune(this: &AwsDispatcher, before: Timestamp) -> Result<usize> {
    let (mut pruned, ledger) = (0, this.ledger());
    for id in ledger.groups(None).await? {
        let Some(group) = ledger.group(&id).await? else { continue };
        if group.created >= before {
            // Later ones began later.
            return Ok(pruned);
        }
        let records = records(this, &id, &group).await?;
        let over = |call: &CallRecord| call.ended.is_some_and(|ended| ended < before);
        if records.iter().all(over) {
            let keys: GroupKeys = ledger.group_keys(&id);
            let objects = ledger.bucket().list(keys.prefix()).await?;
            let keys: Vec<_> = objects.into_iter().map(|object| object.key).collect();
            ledger.bucket().delete(&keys).await?;
            pruned += records.len();
        }
    }
    Ok(pruned)
}
