//! What was found, as JSON lines: one for each frame.

use std::io::{self, BufRead, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::{Found, Rect};

/// What was found on one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FrameRecord {
    /// Its number in the order frames are shown, from 0.
    pub frame: u64,
    /// Seconds from the first frame.
    pub seconds: f64,
    /// What is on it, the surest first.
    pub detections: Vec<Detection>,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detection {
    /// Its class, by number.
    pub class: u32,
    /// Its class, by name.
    pub label: String,
    /// How sure the model is, 0 to 1.
    pub score: f64,
    /// Left, top, right and bottom in pixels of the video as it is shown: turned, and with square pixels.
    #[serde(rename = "box")]
    pub corners: [f64; 4],
    /// The number of the object, the same from frame to frame; absent without tracking, and where it is too doubtful.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

impl Detection {
    /// What was found, to a hundredth of a pixel and a ten-thousandth of a score: as it is written, so that whoever reads
    /// it works with the same numbers.
    pub fn new(found: &Found, label: String) -> Self {
        let corners: [f32; 4] = found.rect.into();
        Detection {
            class: found.class,
            label,
            score: rounded(f64::from(found.score), 1e4),
            corners: corners.map(|side| rounded(f64::from(side), 1e2)),
            id: None,
        }
    }

    /// The same without its name.
    pub fn found(&self) -> Found {
        let rect = Rect::from(self.corners.map(|side| side as f32));
        Found { class: self.class, score: self.score as f32, rect }
    }
}

/// To multiples of one over `parts`.
pub(super) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// Writes one line.
pub(super) fn write(to: &mut impl Write, record: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, record)?;
    to.write_all(b"\n")
}

/// Lines of several files, whose frames have to ascend from the first to the last.
#[derive(Debug)]
pub(super) struct Lines<R> {
    files: Vec<(String, R)>,
    last: Option<u64>,
    line: usize,
}

/// What is wrong with a file of lines.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadLine {
    #[error("line {line} isn't what `detect` writes: {why}")]
    Unlike { line: usize, why: serde_json::Error },
    #[error("frame {frame} comes after frame {last}")]
    Order { frame: u64, last: u64 },
    #[error(transparent)]
    Read(#[from] io::Error),
}

impl<R: BufRead> Lines<R> {
    /// Of `files` by name, in the order of their first frames.
    pub(super) fn new(files: Vec<(String, R)>) -> Result<Self, (String, BadLine)> {
        let mut keyed = Vec::with_capacity(files.len());
        for (name, mut file) in files {
            let first = first_frame(&mut file).map_err(|why| (name.clone(), why))?;
            keyed.push((first, (name, file)));
        }
        // Files without a line come first, and are over at once.
        keyed.sort_by_key(|(first, _)| std::cmp::Reverse(*first));
        Ok(Lines { files: keyed.into_iter().map(|(_, file)| file).collect(), last: None, line: 0 })
    }

    /// The next record; none at the end of the last file.
    pub(super) fn next(&mut self) -> Result<Option<FrameRecord>, (String, BadLine)> {
        while let Some((name, file)) = self.files.last_mut() {
            let mut text = String::new();
            let read = file.read_line(&mut text).map_err(|why| (name.clone(), why.into()))?;
            if read == 0 {
                self.files.pop();
                self.line = 0;
                continue;
            }
            self.line += 1;
            let record = parse(&text, self.line).map_err(|why| (name.clone(), why))?;
            if let Some(last) = self.last.filter(|last| *last >= record.frame) {
                return Err((name.clone(), BadLine::Order { frame: record.frame, last }));
            }
            self.last = Some(record.frame);
            return Ok(Some(record));
        }
        Ok(None)
    }
}

fn parse(text: &str, line: usize) -> Result<FrameRecord, BadLine> {
    serde_json::from_str(text).map_err(|why| BadLine::Unlike { line, why })
}

/// The frame of the line that comes next, without taking it.
fn first_frame(file: &mut impl BufRead) -> Result<Option<u64>, BadLine> {
    #[derive(Deserialize)]
    struct Begin {
        frame: u64,
    }
    let text = file.fill_buf()?;
    if text.is_empty() {
        return Ok(None);
    }
    // Longer lines than a buffer begin with their frame too.
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or(text);
    let begin = line.split(|byte| *byte == b',').next().unwrap_or(line);
    let begin = [begin, if begin.ends_with(b"}") { b"" } else { b"}" }].concat();
    let begin: Begin =
        serde_json::from_slice(&begin).map_err(|why| BadLine::Unlike { line: 1, why })?;
    Ok(Some(begin.frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(frame: u64) -> String {
        format!("{{\"frame\":{frame},\"seconds\":1.0,\"detections\":[]}}\n")
    }

    fn frames(files: &[&str]) -> Result<Vec<u64>, String> {
        let said = |(name, why): (String, BadLine)| format!("{name}: {why}");
        let files = files.iter().enumerate().map(|(i, text)| (format!("f{i}"), text.as_bytes()));
        let mut lines = Lines::new(files.collect()).map_err(said)?;
        let mut found = Vec::new();
        while let Some(record) = lines.next().map_err(said)? {
            found.push(record.frame);
        }
        Ok(found)
    }

    #[test]
    fn files_are_read_in_the_order_of_their_frames() {
        let (late, early) = (line(5) + &line(6), line(0) + &line(3));
        assert_eq!(frames(&[&late, "", &early]).unwrap(), [0, 3, 5, 6]);
        insta::assert_snapshot!(frames(&[&late, &late]).unwrap_err(), @"f0: frame 5 comes after frame 6");
        insta::assert_snapshot!(frames(&["{}\n"]).unwrap_err(), @"f0: line 1 isn't what `detect` writes: missing field `frame` at line 1 column 2");
        insta::assert_snapshot!(frames(&[&(line(0) + "oh\n")]).unwrap_err(), @"f0: line 2 isn't what `detect` writes: expected value at line 1 column 1");
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let rect = Rect::from([1.004_9, 2.0, 3.337, 4.0]);
        let detection = Detection::new(&Found { class: 3, score: 0.912_34, rect }, "ball".into());
        let record = FrameRecord { frame: 1, seconds: 0.04, detections: vec![detection] };
        let mut text = Vec::new();
        write(&mut text, &record).unwrap();
        insta::assert_snapshot!(String::from_utf8_lossy(&text).trim_end(), @r#"{"frame":1,"seconds":0.04,"detections":[{"class":3,"label":"ball","score":0.9123,"box":[1.0,2.0,3.34,4.0]}]}"#);
        assert_eq!(serde_json::from_slice::<FrameRecord>(&text).unwrap(), record);
    }
}
