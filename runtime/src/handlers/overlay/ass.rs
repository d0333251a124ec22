//! Texts as an ASS script, which libass lays out and shapes. Pure.
//!
//! A text can't end its field, its line or its style, and can't begin an override: what means
//! something to libass is written so that it means itself.

use std::fmt::Write as _;

use super::args::{Align, Text};
use crate::color::Color;

/// A script that shows text number `n` from second `n` on for one second, on a picture of `size`.
/// `families` are the families of fonts that came as files.
pub(super) fn script(texts: &[&Text], families: &[Option<String>], size: (u32, u32)) -> String {
    let mut script = header(size);
    for (index, text) in texts.iter().enumerate() {
        let family = families.get(index).and_then(Option::as_deref).unwrap_or(&text.font);
        script += &style(index, text, family, size);
    }
    script += "\n[Events]\nFormat: Layer, Start, End, Style, Text\n";
    for (index, text) in texts.iter().enumerate() {
        script += &event(index, text, size);
    }
    script
}

fn header((width, height): (u32, u32)) -> String {
    format!(
        "[Script Info]\nScriptType: v4.00+\nPlayResX: {width}\nPlayResY: {height}\n\
         WrapStyle: 0\nScaledBorderAndShadow: yes\nYCbCr Matrix: None\n\n\
         [V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, BackColour, \
         Bold, Italic, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n"
    )
}

/// Border style 4 is libass's own: one box around all lines, as much larger as the shadow is deep.
fn style(index: usize, text: &Text, family: &str, (width, height): (u32, u32)) -> String {
    let (wide, high) = (f64::from(width), f64::from(height));
    let size = text.size.of(high).max(1.0);
    let outline = match text.outline_width {
        Some(outline) => outline.of(high).max(0.0),
        None if text.backdrop.is_some() => 0.0,
        None => size / 16.0,
    };
    let padding = text.padding.map_or(size / 4.0, |padding| padding.of(high).max(0.0));
    let (border, shadow) = if text.backdrop.is_some() { (4, padding) } else { (1, 0.0) };
    // A box grows beyond the text; the margin is the box's.
    let margin = |whole: f64| (text.stand.margin.of(whole) + shadow).max(0.0);
    let (bold, italic) = (-i32::from(text.bold), -i32::from(text.italic));
    format!(
        "Style: T{index},{family},{size:.2},{},{},{},{bold},{italic},{border},{outline:.2},\
         {shadow:.2},{},{m:.0},{m:.0},{v:.0},-1\n",
        color(text.color),
        color(text.outline),
        color(text.backdrop.unwrap_or(Color { alpha: 0, ..Color::BLACK })),
        alignment(text.align),
        m = margin(wide),
        v = margin(high),
    )
}

fn event(index: usize, text: &Text, (width, height): (u32, u32)) -> String {
    let mut line = format!("Dialogue: 0,{},{},T{index},", time(index), time(index + 1));
    if !text.wrap {
        line += "{\\q2}";
    }
    if text.stand.x.is_some() || text.stand.y.is_some() {
        let (across, down) = text.align.shares();
        let place = |given: Option<crate::length::Length>, whole: u32, share: f64| {
            given.map_or(f64::from(whole) * share, |length| length.of(f64::from(whole)))
        };
        let (x, y) = (place(text.stand.x, width, across), place(text.stand.y, height, down));
        let _ = write!(line, "{{\\pos({x:.2},{y:.2})}}");
    }
    line + &escape(&text.text) + "\n"
}

/// ASS counts in hours, minutes, seconds and hundredths.
fn time(seconds: usize) -> String {
    format!("{}:{:02}:{:02}.00", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `&HAABBGGRR`, where `AA` is how transparent it is.
fn color(color: Color) -> String {
    let Color { red, green, blue, alpha } = color;
    format!("&H{:02X}{blue:02X}{green:02X}{red:02X}", 255 - alpha)
}

/// Like the keys of a numeric pad.
fn alignment(align: Align) -> u8 {
    match align {
        Align::BottomLeft => 1,
        Align::Bottom => 2,
        Align::BottomRight => 3,
        Align::Left => 4,
        Align::Center => 5,
        Align::Right => 6,
        Align::TopLeft => 7,
        Align::Top => 8,
        Align::TopRight => 9,
    }
}

/// Joins words and has no width: after a backslash it keeps `\N`, `\n`, `\h`, `\{` and `\}` from
/// being one sign.
const WORD_JOINER: char = '\u{2060}';

/// `text` as libass shows it, character by character. Line breaks become `\N`; other control
/// characters, which no font has, are left out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let text = text.trim_matches(['\r', '\n']).replace("\r\n", "\n");
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' | '\u{b}' | '\u{c}' => {
                escaped += "\\N"
            }
            '\\' => escaped.extend(['\\', WORD_JOINER]),
            '{' => escaped += "\\{",
            '}' => escaped += "\\}",
            '\t' => escaped += "    ",
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn text(json: serde_json::Value) -> Text {
        serde_json::from_value(json).unwrap()
    }

    /// What libass makes of the text of an event (`ass_parse.c`): characters, and whether there
    /// was an override block.
    fn libass(event: &str) -> (String, bool) {
        let mut shown = String::new();
        let mut overrides = false;
        let mut rest = event;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            let sign = after.chars().next().filter(|_| c == '\\');
            let (taken, next) = match (c, sign) {
                (_, Some('N' | 'n')) => ("\n".to_owned(), 1),
                (_, Some('h')) => ("\u{a0}".to_owned(), 1),
                (_, Some(brace @ ('{' | '}'))) => (brace.to_string(), 1),
                ('{', _) if after.contains('}') => {
                    overrides = true;
                    (String::new(), after.find('}').unwrap() + 1)
                }
                ('\r' | '\n', _) => break,
                (c, _) => (c.to_string(), 0),
            };
            shown += &taken;
            rest = &after[next..];
        }
        (shown, overrides)
    }

    proptest! {
        #[test]
        fn no_text_can_be_anything_but_itself(
            words in prop::collection::vec(
                prop_oneof![
                    Just("\\N"), Just("\\"), Just("{"), Just("}"), Just("{\\p1}"), Just("\\h"),
                    Just("\n"), Just("\r\n"), Just("Dialogue: 0,"), Just("[Events]"), Just(","),
                    Just("é"), Just("مرحبا"), Just(" "), Just("\u{0}"), Just("{\\pos(0,0)}"),
                    Just("\\{"), Just("a"), Just("\u{2028}"),
                ],
                0..12,
            )
        ) {
            let said: String = words.concat();
            let script = event(3, &text(json!({ "text": said })), (640, 360));
            prop_assert_eq!(script.matches('\n').count(), 1);
            prop_assert!(script.ends_with('\n') && !script.contains(['\r', '\0']));
            let written = script.strip_prefix("Dialogue: 0,0:00:03.00,0:00:04.00,T3,").unwrap();
            let (shown, overrides) = libass(written.trim_end_matches('\n'));
            prop_assert!(!overrides, "{}", script);
            let plain = said.replace("\r\n", "\n").replace('\u{2028}', "\n").replace('\0', "");
            let shown = shown.replace(WORD_JOINER, "");
            prop_assert_eq!(shown.trim_matches('\n'), plain.trim_matches('\n'));
        }

        #[test]
        fn any_text_is_one_line(said in "\\PC{0,40}|[\\x00-\\x1f\\\\{}a]{0,40}") {
            let script = event(0, &text(json!({ "text": said })), (640, 360));
            prop_assert_eq!(script.lines().count(), 1);
            prop_assert!(!libass(script.trim_end_matches('\n')).1);
        }
    }

    #[test]
    fn a_script_says_fonts_places_and_times() {
        let texts = [
            text(json!({ "text": "Hello\nworld", "box": "#00000080" })),
            text(json!({ "text": "{x}", "font": "Noto Sans", "size": 20, "bold": true,
                         "align": "top_left", "x": 5, "y": "10%", "wrap": false,
                         "outline_width": 0 })),
        ];
        let script = script(&texts.iter().collect::<Vec<_>>(), &[], (640, 360));
        let lines: Vec<_> = script
            .lines()
            .filter(|line| line.starts_with("Style:") || line.starts_with("Dialogue:"))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        Style: T0,Sans,21.60,&H00FFFFFF,&H00000000,&H7F000000,0,0,4,0.00,5.40,2,31,31,20,-1
        Style: T1,Noto Sans,20.00,&H00FFFFFF,&H00000000,&HFF000000,-1,0,1,0.00,0.00,7,26,26,14,-1
        Dialogue: 0,0:00:00.00,0:00:01.00,T0,Hello\Nworld
        Dialogue: 0,0:00:01.00,0:00:02.00,T1,{\q2}{\pos(5.00,36.00)}\{x\}
        ");
    }
}
