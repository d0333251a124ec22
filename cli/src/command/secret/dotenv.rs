//! `KEY=VALUE` lines, as `.env` files have them. Pure.

/// The pairs of a file, or the number of the line that isn't one.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(at, line)| pair(line).ok_or(at + 1))
        .collect()
}

fn pair(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (key, value) = line.split_once('=')?;
    Some((key.trim().to_owned(), unquote(value.trim())?))
}

/// Within `'…'` everything stands for itself; within `"…"` a backslash escapes; a bare value ends
/// at ` #`.
fn unquote(value: &str) -> Option<String> {
    match value.chars().next() {
        Some('\'') => value[1..].split_once('\'').map(|(inner, _)| inner.to_owned()),
        Some('"') => unescape(&value[1..]),
        _ => Some(value.split(" #").next().unwrap_or(value).trim_end().to_owned()),
    }
}

fn unescape(rest: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(out),
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_shells_and_other_tools_do() {
        let text =
            "# c\n\nA=1\nexport B = two words # c\nC='a # \\n'\nD=\"x\\n\\\"y\" # c\nE=a=b#c\n";
        let pairs = parse(text).unwrap();
        let values: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expected =
            [("A", "1"), ("B", "two words"), ("C", "a # \\n"), ("D", "x\n\"y"), ("E", "a=b#c")];
        assert_eq!(values, expected);
    }

    #[test]
    fn a_line_that_is_no_pair_is_named_by_its_number() {
        assert_eq!(parse("A=1\nnonsense\n"), Err(2));
        assert_eq!(parse("A=\"open\n"), Err(1));
    }
}
