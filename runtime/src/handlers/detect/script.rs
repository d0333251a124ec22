//! Boxes and labels as an ASS script, which libass draws on video. Pure.

use std::io::{self, Write};

use super::record::{Detection, FrameRecord};
use crate::color::Color;
use crate::handlers::overlay::ass;

/// Colours of classes, in their order and again from the start: far apart, and bright on grass.
const COLORS: [u32; 10] = [
    0xff_d400, 0x00_b7ff, 0xff_5a5f, 0x7c_fc00, 0xff_7af5, 0x00_e5c0, 0xff_9f1c, 0xa9_8bff,
    0xff_ffff, 0x5b_c0ff,
];

/// Writes a script, event by event.
#[derive(Debug)]
pub(super) struct Script<W> {
    to: W,
    /// The thickness of lines in pixels.
    line: f64,
    /// The height of letters in pixels.
    letters: f64,
}

impl<W: Write> Script<W> {
    /// For a picture of this size.
    pub(super) fn new(mut to: W, (width, height): (u32, u32)) -> io::Result<Self> {
        let short = f64::from(width.min(height));
        let (line, letters) = ((short / 240.0).max(1.0), (short / 26.0).max(8.0));
        write!(
            to,
            "[Script Info]\nScriptType: v4.00+\nPlayResX: {width}\nPlayResY: {height}\n\
             WrapStyle: 2\nScaledBorderAndShadow: yes\nYCbCr Matrix: None\n\n\
             [V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, BackColour, \
             Bold, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n\
             Style: Box,Sans,10,&HFF000000,&H00FFFFFF,&HFF000000,0,1,{line:.1},0,7,0,0,0,-1\n\
             Style: Label,Sans,{letters:.1},&H00000000,&H00FFFFFF,&HFF000000,-1,3,{:.1},0,1,0,0,0,-1\n\n\
             [Events]\nFormat: Layer, Start, End, Style, Text\n",
            line
        )?;
        Ok(Script { to, line, letters })
    }

    /// Shows what is on a frame from one second to before another.
    pub(super) fn show(
        &mut self,
        record: &FrameRecord,
        (from, until): (f64, f64),
    ) -> io::Result<()> {
        let times = format!("{},{}", time(from), time(until));
        for detection in &record.detections {
            let [left, top, right, bottom] = detection.corners.map(|side| side.round() as i64);
            let color = tag(color_of(detection));
            writeln!(
                self.to,
                "Dialogue: 0,{times},Box,{{\\pos(0,0)\\3c{color}\\p1}}m {left} {top} l {right} {top} \
                 {right} {bottom} {left} {bottom}"
            )?;
            // Above the box, or within it where that is above the picture.
            let y = if (top as f64) < self.letters * 1.2 {
                top as f64 + self.letters * 1.2
            } else {
                top as f64 - self.line
            };
            writeln!(
                self.to,
                "Dialogue: 1,{times},Label,{{\\pos({left},{y:.0})\\3c{color}}}{}",
                ass::escape(&label(detection))
            )?;
        }
        Ok(())
    }

    /// Writes what is still to be written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn label(Detection { label, score, id, .. }: &Detection) -> String {
    match id {
        Some(id) => format!("{label} {id}  {score:.2}"),
        None => format!("{label}  {score:.2}"),
    }
}

fn color_of(detection: &Detection) -> Color {
    Color::opaque(COLORS[detection.class as usize % COLORS.len()])
}

/// `&HBBGGRR&`
fn tag(Color { red, green, blue, .. }: Color) -> String {
    format!("&H{blue:02X}{green:02X}{red:02X}&")
}

/// ASS counts in hours, minutes, seconds and hundredths.
fn time(seconds: f64) -> String {
    let hundredths = (seconds.max(0.0) * 100.0).round() as u64;
    let (seconds, rest) = (hundredths / 100, hundredths % 100);
    format!("{}:{:02}:{:02}.{rest:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_and_its_label_are_shown_for_a_frame() {
        let detection = Detection {
            class: 1,
            label: "a {b}".into(),
            score: 0.912,
            corners: [10.4, 50.0, 30.6, 90.0],
            id: Some(3),
        };
        let record = FrameRecord { frame: 2, seconds: 0.08, detections: vec![detection] };
        let mut text = Vec::new();
        let mut script = Script::new(&mut text, (640, 360)).unwrap();
        script.show(&record, (0.06, 3671.1)).unwrap();
        script.finish().unwrap();
        let text = String::from_utf8(text).unwrap();
        let events: Vec<_> = text.lines().filter(|line| line.starts_with("Dialogue")).collect();
        insta::assert_snapshot!(events.join("\n"), @r"
Dialogue: 0,0:00:00.06,1:01:11.10,Box,{\pos(0,0)\3c&HFFB700&\p1}m 10 50 l 31 50 31 90 10 90
Dialogue: 1,0:00:00.06,1:01:11.10,Label,{\pos(10,48)\3c&HFFB700&}a \{b\} 3  0.91
");
    }
}
