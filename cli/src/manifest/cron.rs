//! Schedules: the five fields of cron.

use std::ops::RangeInclusive;

use super::decode::At;
use super::problem::{Problem, Problems};

const FIELDS: [(&str, RangeInclusive<u32>); 5] = [
    ("a minute", 0..=59),
    ("an hour", 0..=23),
    ("a day of the month", 1..=31),
    ("a month", 1..=12),
    ("a day of the week", 0..=7),
];

/// The fields of a schedule, which may be written `cron(…)` as AWS does.
pub(super) fn fields(schedule: &str) -> &str {
    let inner = schedule.trim().strip_prefix("cron(").and_then(|rest| rest.strip_suffix(')'));
    inner.unwrap_or(schedule).trim()
}

/// Notes what isn't a schedule.
pub(super) fn check(schedule: &At<String>, problems: &mut Problems) {
    let fields: Vec<&str> = fields(&schedule.value).split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        problems.push(
            Problem::new(&schedule.span, format!("`schedule` has {} fields", fields.len())).hint(
                "write five: minute, hour, day of the month, month, day of the week; \
                 `\"0 6 * * *\"` is every day at 6:00 UTC",
            ),
        );
        return;
    }
    for (field, (name, range)) in fields.into_iter().zip(FIELDS) {
        if !field.split(',').all(|part| is_part(part, &range)) {
            problems.push(Problem::new(&schedule.span, format!("`{field}` isn't {name}")).hint(
                format!(
                    "use `*`, numbers from {} to {}, `a-b`, `a,b` or `*/n`",
                    range.start(),
                    range.end()
                ),
            ));
        }
    }
}

/// `*`, `5`, `1-5`, and each with `/n`.
fn is_part(part: &str, range: &RangeInclusive<u32>) -> bool {
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| range.contains(number));
    let (span, step) = match part.split_once('/') {
        Some((span, step)) => (span, step.parse::<u32>().ok()),
        None => (part, Some(1)),
    };
    let span_ok = match span.split_once('-') {
        Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
        None => span == "*" || number(span).is_some(),
    };
    span_ok && step.is_some_and(|step| step > 0)
}
