//! What is wrong with a manifest, and where.

use std::ops::Range;

/// One mistake: what it is, the bytes it is at, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One line that names the thing in backticks.
    pub message: String,
    /// The bytes of the manifest it is at.
    pub span: Range<usize>,
    /// A few words below the underlined place; may be empty.
    pub label: String,
    /// Another place that has to do with it, and how.
    pub related: Option<(Range<usize>, String)>,
    /// What would be right.
    pub hint: Option<String>,
}

impl Problem {
    /// A mistake at `span`.
    pub(super) fn new(span: &Range<usize>, message: impl Into<String>) -> Self {
        Problem {
            message: message.into(),
            span: span.clone(),
            label: String::new(),
            related: None,
            hint: None,
        }
    }

    /// The same mistake, with words below the underlined place.
    #[must_use]
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same mistake, with advice.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same mistake, with another place that has to do with it.
    #[must_use]
    pub(super) fn related(mut self, span: &Range<usize>, label: impl Into<String>) -> Self {
        self.related = Some((span.clone(), label.into()));
        self
    }
}

/// Collects mistakes while reading goes on.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Everything that is wrong, in the order of the text; the same thing once.
    pub(super) fn into_errors(mut self) -> Option<ManifestErrors> {
        self.0.sort_by_key(|problem| (problem.span.start, problem.span.end));
        let mut problems: Vec<Problem> = Vec::new();
        for problem in self.0 {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        (!problems.is_empty()).then_some(ManifestErrors { problems })
    }
}

/// Everything that is wrong with a manifest, in the order of its text; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "))]
pub struct ManifestErrors {
    /// The mistakes.
    pub problems: Vec<Problem>,
}

/// Where the lines of a text begin.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Lines { text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    /// The line and column of byte `offset`, both from 1, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let before = self.text.get(self.starts[line - 1]..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}
