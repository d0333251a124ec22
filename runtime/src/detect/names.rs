//! What exporters write into a model's metadata: Python literals of numbers, texts, lists and
//! dictionaries. Pure.

/// The texts of `{0: 'person', 1: "referee's flag"}` in the order of their keys, or of
/// `['person', 'ball']`. None for anything else, and where keys are not 0, 1, 2 and so on.
pub fn classes(text: &str) -> Option<Vec<String>> {
    let mut reader = Reader { rest: text.trim() };
    let names = match reader.next()? {
        '{' => dictionary(&mut reader)?,
        '[' => list(&mut reader)?,
        _ => return None,
    };
    reader.rest.is_empty().then_some(names)
}

/// The numbers of `[384, 640]`, or one number twice.
pub fn size(text: &str) -> Option<(u32, u32)> {
    let inner = text.trim().trim_start_matches(['[', '(']).trim_end_matches([']', ')']);
    let sides: Vec<u32> =
        inner.split(',').map(|side| side.trim().parse().ok()).collect::<Option<_>>()?;
    match sides[..] {
        [side] => Some((side, side)),
        [height, width] => Some((width, height)),
        _ => None,
    }
}

fn dictionary(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while !reader.take('}') {
        let key = reader.key()?;
        if key != names.len() || !reader.take(':') {
            return None;
        }
        names.push(reader.text()?);
        if !reader.take(',') && !reader.rest.starts_with('}') {
            return None;
        }
    }
    Some(names)
}

fn list(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while !reader.take(']') {
        names.push(reader.text()?);
        if !reader.take(',') && !reader.rest.starts_with(']') {
            return None;
        }
    }
    Some(names)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let first = chars.next()?;
        self.rest = chars.as_str();
        Some(first)
    }

    /// Takes `sign` and the space around it, if it comes next.
    fn take(&mut self, sign: char) -> bool {
        let rest = self.rest.trim_start();
        let taken = rest.strip_prefix(sign);
        self.rest = taken.map_or(rest, str::trim_start);
        taken.is_some()
    }

    /// A key: a number, which JSON has in quotes.
    fn key(&mut self) -> Option<usize> {
        if self.rest.starts_with(['\'', '"']) {
            return self.text()?.parse().ok();
        }
        let digits =
            self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        number.parse().ok()
    }

    fn text(&mut self) -> Option<String> {
        let quote = self.next().filter(|sign| matches!(sign, '\'' | '"'))?;
        let mut text = String::new();
        loop {
            match self.next()? {
                sign if sign == quote => return Some(text),
                '\\' => text.push(self.next()?),
                sign => text.push(sign),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_exporters_write_them() {
        let names = |text| classes(text).unwrap();
        assert_eq!(names("{0: 'person', 1: 'ball'}"), ["person", "ball"]);
        assert_eq!(names(r#"{0: "referee's flag", 1: 'a, b: c'}"#), ["referee's flag", "a, b: c"]);
        assert_eq!(names(r#"{"0": "person","1":"ball"}"#), ["person", "ball"]);
        assert_eq!(names("['person', 'it\\'s']"), ["person", "it's"]);
        for wrong in
            ["", "{", "{0: 'a'", "{1: 'a'}", "{0: a}", "[1]", "{0: 'a'} x", "{0: 'a' 1: 'b'}"]
        {
            assert_eq!(classes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_height_and_width() {
        assert_eq!(size("[384, 640]"), Some((640, 384)));
        assert_eq!(size("640"), Some((640, 640)));
        assert_eq!(size("[]"), None);
    }
}
