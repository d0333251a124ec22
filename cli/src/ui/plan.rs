//! Plans and what comes of them, for people.

use serde_json::Value;

use super::{Printer, Style};
use crate::event::{Applied, Event};
use crate::plan::{Action, AttributeChange, Note, Plan, Reason, Step, Summary};
use crate::resource::{Kind, ResourceId};

/// Paints text in a style, or not.
type Paint<'a> = &'a dyn Fn(&str, Style) -> String;

/// A plan as it is shown on stdout.
pub fn on_stdout(plan: &Plan, printer: &Printer) -> String {
    render(plan, &|text, style| printer.paint_out(text, style))
}

/// A plan as it is shown on stderr.
pub fn on_stderr(plan: &Plan, printer: &Printer) -> String {
    render(plan, &|text, style| printer.paint_err(text, style))
}

fn render(plan: &Plan, paint: Paint<'_>) -> String {
    let notes = plan.notes.iter().map(|note| note_text(note, paint));
    if plan.is_empty() {
        let lines = std::iter::once(nothing(plan)).chain(notes);
        return lines.collect::<Vec<_>>().join("\n");
    }
    let mut lines = vec![heading(plan, paint)];
    lines.extend(plan.steps.iter().map(|step| step_text(step, paint)));
    lines.extend(notes);
    lines.push(format!("{} {}", paint("Plan:", Style::Bold), summary_text(&plan.summary)));
    lines.join("\n")
}

fn nothing(plan: &Plan) -> String {
    if plan.destroy {
        format!("Nothing to destroy: `{}` isn't deployed in `{}`.", plan.app, plan.environment)
    } else {
        let count = plan.unchanged;
        format!(
            "No changes. `{}` is as the manifest says ({}).",
            plan.app,
            counted(count, "resource")
        )
    }
}

fn heading(plan: &Plan, paint: Paint<'_>) -> String {
    let Plan { environment, target, .. } = plan;
    let app = paint(&plan.app, Style::Bold);
    let hidden = match plan.unchanged {
        0 => String::new(),
        count => format!("; {} unchanged", counted(count, "resource")),
    };
    format!("{app} in environment `{environment}` on target `{target}`{hidden}\n")
}

fn step_text(step: &Step, paint: Paint<'_>) -> String {
    let (symbol, style, verb) = look(step.action);
    let symbol = paint(&format!("{symbol:>3}"), style);
    let id = paint(&short(&step.id), Style::Bold);
    let reason = step.reason.as_ref().map(|reason| format!(" ({})", reason_text(reason)));
    let mut lines = vec![format!("{symbol} {id} {verb}{}", reason.unwrap_or_default())];
    let attributes = if step.action == Action::Adopt { &[] } else { step.changes.as_slice() };
    let width = attributes.iter().map(|change| change.name.len()).max().unwrap_or(0);
    let indented = |text: String| format!("        {text}");
    lines.extend(attributes.iter().map(|change| indented(change_text(change, step, width))));
    if step.unchanged > 0 && !attributes.is_empty() {
        let hidden = format!("({} hidden)", counted(step.unchanged, "unchanged setting"));
        lines.push(indented(paint(&hidden, Style::Dim)));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// How each action is shown: Terraform's marks, and `=` for what stays.
fn look(action: Action) -> (&'static str, Style, &'static str) {
    match action {
        Action::Create => ("+", Style::Green, "will be created"),
        Action::Update => ("~", Style::Yellow, "will be updated in place"),
        Action::Replace => ("-/+", Style::Yellow, "will be replaced"),
        Action::Delete => ("-", Style::Red, "will be destroyed"),
        Action::Adopt => ("=", Style::Cyan, "will be used as it is"),
        Action::Forget => ("=", Style::Cyan, "will no longer be part of the app"),
    }
}

fn reason_text(reason: &Reason) -> String {
    match reason {
        Reason::ChangedOutside => "it was changed outside of vdeploy".into(),
        Reason::RemovedOutside => "it was removed outside of vdeploy".into(),
        Reason::Interrupted => "an earlier deployment was interrupted".into(),
        Reason::FoundThere => "it is there already".into(),
        Reason::BelongsToEnvironment => "it belongs to the environment".into(),
        Reason::UsedByOthers => "other apps use it".into(),
        Reason::HoldsFiles => "it holds files and is kept".into(),
        Reason::NoVersionUsesIt => "no version that is kept uses it".into(),
        Reason::ForcesReplacement(why) => format!("forces replacement: {why}"),
    }
}

fn change_text(change: &AttributeChange, step: &Step, width: usize) -> String {
    let name = format!("{:width$}", change.name);
    let show = |value: &Option<Value>| value.as_ref().map_or("default".into(), value_text);
    if step.action == Action::Create {
        return format!("{name} = {}", show(&change.after));
    }
    format!("{name} = {} -> {}", show(&change.before), show(&change.after))
}

fn value_text(value: &Value) -> String {
    serde_json::to_string(value).expect("a value is JSON")
}

fn note_text(note: &Note, paint: Paint<'_>) -> String {
    const SHOWN: usize = 3;
    let shown = note.concerns.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match note.concerns.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} {shown}{more}: {}", paint("note:", Style::Cyan), note.text)
}

/// The line that sums a plan up.
fn summary_text(summary: &Summary) -> String {
    let Summary { add, change, destroy, adopt, forget } = summary;
    let rest = [(adopt, "to use as it is"), (forget, "to let go")];
    let rest = rest.into_iter().filter(|(count, _)| **count > 0);
    let rest: String = rest.map(|(count, what)| format!(", {count} {what}")).collect();
    format!("{add} to add, {change} to change, {destroy} to destroy{rest}.")
}

/// What happened, in one line; with its causes when it failed.
pub fn event_text(event: &Event, printer: &Printer) -> String {
    let paint = |text: &str, style| printer.paint_err(text, style);
    match event {
        Event::Done { id, action } => {
            let (symbol, style, _) = look(*action);
            let done = match action {
                Action::Create => "created",
                Action::Update => "updated",
                Action::Replace => "replaced",
                Action::Delete => "destroyed",
                Action::Adopt => "used as it is",
                Action::Forget => "let go",
            };
            format!("{} {} {done}", paint(&format!("{symbol:>3}"), style), short(id))
        }
        Event::Failed { id, causes, hint, .. } => {
            let causes = causes.iter().map(|cause| format!("\n      cause: {cause}"));
            let hint = hint.iter().map(|hint| format!("\n      hint: {hint}"));
            let why: String = causes.chain(hint).collect();
            format!("{} {} failed{why}", paint("  x", Style::Red), short(id))
        }
        Event::Skipped { id, needs } => {
            format!("{} {} skipped: it needs {}", paint("  x", Style::Red), short(id), short(needs))
        }
    }
}

/// How it ended, in one line.
pub fn applied_text(plan: &Plan, applied: &Applied) -> String {
    let Summary { add, change, destroy, .. } = applied.summary;
    let counts = format!("{add} added, {change} changed, {destroy} destroyed");
    let app = &plan.app;
    match (plan.destroy, applied.version) {
        (true, _) if applied.failed > 0 => format!("Destroyed `{app}` in part: {counts}."),
        (true, _) => format!("Destroyed `{app}`: {counts}."),
        (false, Some(version)) => format!("Deployed `{app}` version {version}: {counts}."),
        (false, None) => format!("Deployed `{app}` in part: {counts}."),
    }
}

/// A source's name is a hash, of which a part will do for people.
fn short(id: &ResourceId) -> String {
    match id.kind {
        Kind::Source => format!("source.{}", id.name.get(..12).unwrap_or(&id.name)),
        _ => id.to_string(),
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
