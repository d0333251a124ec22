//! What is wrong with a manifest, shown at its place.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::problem::{Lines, ManifestErrors, Problem};

/// Every mistake with its line and an underlined place, separated by empty lines.
pub(super) fn text(
    errors: &ManifestErrors,
    path: &str,
    source: &str,
    color: bool,
    unicode: bool,
) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer =
        renderer.decor_style(if unicode { DecorStyle::Unicode } else { DecorStyle::Ascii });
    let blocks = errors.problems.iter().map(|p| renderer.render(&[group(p, path, source)]));
    blocks.collect::<Vec<_>>().join("\n\n")
}

fn group<'a>(problem: &'a Problem, path: &'a str, source: &'a str) -> Group<'a> {
    let primary = AnnotationKind::Primary.span(problem.span.clone());
    let mut snippet = Snippet::source(source).path(path).annotation(match problem.label.as_str() {
        "" => primary,
        label => primary.label(label),
    });
    if let Some((span, label)) = &problem.related {
        snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(label));
    }
    let group = Level::ERROR.primary_title(&problem.message).element(snippet);
    match &problem.hint {
        Some(hint) => group.element(Level::HELP.with_name("hint").message(hint)),
        None => group,
    }
}

/// Every mistake as data.
pub(super) fn json(errors: &ManifestErrors, source: &str) -> Value {
    let lines = Lines::of(source);
    let one = |problem: &Problem| {
        let (line, column) = lines.position(problem.span.start);
        json!({
            "message": problem.message,
            "line": line,
            "column": column,
            "hint": problem.hint,
        })
    };
    errors.problems.iter().map(one).collect()
}
