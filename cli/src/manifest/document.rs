//! TOML with the place of everything in it, and one environment's overrides laid over it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems};

/// A value and where it is.
pub(super) type Node<'i> = Spanned<DeValue<'i>>;

/// Reads TOML; every mistake in its syntax is reported, not the first only.
pub(super) fn read<'i>(text: &'i str, problems: &mut Problems) -> Option<Spanned<DeTable<'i>>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(table);
    }
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        problems.push(syntax_problem(&span, error.message()));
    }
    None
}

fn syntax_problem(span: &Range<usize>, message: &str) -> Problem {
    // The parser's own text may go on in further lines that say what it expected.
    let mut lines = message.lines();
    let problem = Problem::new(span, format!("not TOML: {}", lines.next().unwrap_or_default()));
    match lines.collect::<Vec<_>>().join(", ") {
        rest if rest.is_empty() => problem,
        rest => problem.hint(rest),
    }
}

/// The manifest as it is for one environment: what `[env.NAME]` says takes the place of the same
/// keys, table by table, and keeps its own place in the text.
pub(super) fn for_environment<'i>(table: &DeTable<'i>, environment: &str) -> DeTable<'i> {
    let mut merged = table.clone();
    let overrides = merged.remove("env");
    let own = overrides.as_ref().and_then(|env| env.get_ref().get(environment));
    if let Some(DeValue::Table(own)) = own.map(Spanned::get_ref) {
        lay_over(&mut merged, own);
    }
    merged
}

fn lay_over<'i>(below: &mut DeTable<'i>, above: &DeTable<'i>) {
    for (key, value) in above {
        let known = below.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut);
        if let (Some(DeValue::Table(known)), DeValue::Table(value)) = (known, value.get_ref()) {
            lay_over(known, value);
            continue;
        }
        below.insert(key.clone(), value.clone());
    }
}
