//! Cron's five fields as EventBridge Scheduler writes them. Pure.

/// `0 6 * * *` as `cron(0 6 * * ? *)`: six fields, days of the week by name, and `?` for the day
/// that isn't asked about. None when both days are asked about, which cron takes as either and AWS
/// can't say.
pub(super) fn expression(fields: &str) -> Option<String> {
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let &[minute, hour, day, month, weekday] = fields.as_slice() else { return None };
    let (day, weekday) = match (day, weekday) {
        (day, "*") => (day.to_owned(), "?".to_owned()),
        ("*", weekday) => ("?".to_owned(), weekdays(weekday)?),
        _ => return None,
    };
    Some(format!("cron({minute} {hour} {day} {month} {weekday} *)"))
}

/// A field of days, Sunday being 0 or 7, by their names.
fn weekdays(field: &str) -> Option<String> {
    const NAMES: [&str; 8] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
    let name = |text: &str| NAMES.get(text.parse::<usize>().ok()?).copied();
    let part = |part: &str| {
        if part == "*" || part.contains('/') {
            return None;
        }
        match part.split_once('-') {
            Some((from, to)) => Some(format!("{}-{}", name(from)?, name(to)?)),
            None => name(part).map(str::to_owned),
        }
    };
    let parts: Option<Vec<String>> = field.split(',').map(part).collect();
    parts.map(|parts| parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_is_written_as_aws_reads_it() {
        for (cron, aws) in [
            ("0 6 * * *", Some("cron(0 6 * * ? *)")),
            ("*/15 * * * *", Some("cron(*/15 * * * ? *)")),
            ("0 6 1,15 * *", Some("cron(0 6 1,15 * ? *)")),
            ("30 22 * 6-8 1-5", Some("cron(30 22 ? 6-8 MON-FRI *)")),
            ("0 0 * * 0,7", Some("cron(0 0 ? * SUN,SUN *)")),
            ("0 0 1 * 1", None),
            ("0 0 * * */2", None),
        ] {
            assert_eq!(expression(cron).as_deref(), aws, "{cron}");
        }
    }
}
