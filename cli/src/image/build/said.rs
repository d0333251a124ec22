//! What a build says while it goes on, as people read it.

use std::collections::VecDeque;

use vdeploy_runtime::redact::Redactor;

/// Lines of output that are kept to show with a failure.
const LAST_LINES: usize = 12;

/// What a build says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// An instruction begins: `3/9`, and its text.
    Step(String, String),
    /// A line of what it prints.
    Line(String),
}

/// Output that arrives in pieces, told apart by line; the last lines are kept.
#[derive(Debug, Default)]
pub(super) struct Output {
    rest: String,
    last: VecDeque<String>,
}

impl Output {
    /// Takes a piece in; the lines that it ends, without what colours them.
    pub(super) fn push(&mut self, piece: &str, redactor: &Redactor) -> Vec<String> {
        self.rest.push_str(piece);
        let mut lines = Vec::new();
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            let line = redactor.redact_text(plain(line.trim_end()));
            if !line.trim().is_empty() {
                lines.push(line);
            }
        }
        lines
    }

    /// Keeps a line to be shown with a failure.
    pub(super) fn keep(&mut self, line: String) {
        self.last.push_back(line);
        if self.last.len() > LAST_LINES {
            self.last.pop_front();
        }
    }

    /// Forgets the lines that were kept.
    pub(super) fn forget(&mut self) {
        self.last.clear();
    }

    /// The lines that were kept.
    pub(super) fn last(&mut self) -> Vec<String> {
        std::mem::take(&mut self.last).into()
    }
}

/// A line without what colours it and without bars that are drawn over themselves.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut chars = line.rsplit('\r').next().unwrap_or(line).chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // A control sequence ends with its first letter.
                let _ = chars.find(char::is_ascii_alphabetic);
            }
            c if c.is_control() && c != '\t' => {}
            c => plain.push(c),
        }
    }
    plain
}

/// How a command ended, out of what an engine says about it; else all that it says.
pub(super) fn ending(message: &str) -> String {
    let code = ["exit code: ", "returned a non-zero code: "]
        .iter()
        .find_map(|before| Some(message.rsplit_once(before)?.1.trim()));
    match code.filter(|code| code.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(code) => format!("exit code {code}"),
        None => message.trim().to_owned(),
    }
}

/// An instruction as people read it: a command without the shell around it.
pub(crate) fn shorten(instruction: &str) -> String {
    const LONGEST: usize = 80;
    let text = match instruction.find("[\"/bin/sh\",\"-c\",") {
        Some(at) if instruction.starts_with("RUN ") => {
            format!("RUN {}", command(&instruction[at..]))
        }
        _ => instruction.to_owned(),
    };
    let text = text.replace('\n', "; ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The command in `["/bin/sh","-c","…"]`. BuildKit takes backslashes off what it shows, and then it
/// is no JSON any more.
fn command(array: &str) -> String {
    let words = serde_json::from_str::<Vec<String>>(array).ok();
    let command = words.and_then(|words| words.into_iter().next_back()).unwrap_or_else(|| {
        let start = array.match_indices('"').nth(4).map_or(0, |(at, _)| at + 1);
        array[start..].trim_end_matches("\"]").replace("\\n", "\n")
    });
    match command.strip_prefix(". /run/secrets/") {
        Some(rest) => rest.split_once('\n').map_or("", |(_, command)| command).to_owned(),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_without_the_shell_around_it() {
        assert_eq!(shorten(r#"RUN ["/bin/sh","-c","echo a\necho b"]"#), "RUN echo a; echo b");
        assert_eq!(shorten(r#"RUN ["/bin/sh","-c","echo "$HOME""]"#), r#"RUN echo "$HOME""#);
        let secret =
            r#"RUN --mount=type=secret,id=vdeploy ["/bin/sh","-c",". /run/secrets/vdeploy\nx"]"#;
        assert_eq!(shorten(secret), "RUN x");
        assert_eq!(shorten("USER 0"), "USER 0");
    }

    #[test]
    fn an_ending_is_told_without_the_command() {
        assert_eq!(ending("executor failed running [/bin/sh -c x]: exit code: 3"), "exit code 3");
        assert_eq!(ending("The command '/bin/sh -c x' returned a non-zero code: 3"), "exit code 3");
        assert_eq!(ending("pull access denied"), "pull access denied");
    }

    #[test]
    fn colours_and_bars_are_left_out_and_secrets_hidden() {
        let mut output = Output::default();
        let redactor = Redactor::new(vec!["hunter2".into()]);
        assert!(output.push("10%\r50%\r100", &redactor).is_empty());
        let lines = output.push("%\n\u{1b}[91mno such\u{1b}[0m hunter2\n", &redactor);
        assert_eq!(lines, ["100%", "no such ***"]);
    }
}
