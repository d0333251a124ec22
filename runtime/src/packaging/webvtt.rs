//! WebVTT: subtitles cut into segments, and the track that says where small pictures are. Pure.

use std::fmt::Write as _;

use super::hls::Tiles;

/// Text that is shown for some time.
#[derive(Clone, Debug, PartialEq)]
pub struct Cue {
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
    /// Where it is shown, as the format writes it after the times; empty as a rule.
    pub settings: String,
    /// Its lines.
    pub text: String,
}

/// Reads the cues of a file, in their order. Blocks that are no cues are passed over, and so are
/// cues whose times make no sense.
pub fn parse(text: &str) -> Vec<Cue> {
    let text = text.replace("\r\n", "\n");
    text.split("\n\n").filter_map(|block| cue(block.trim_matches('\n'))).collect()
}

fn cue(block: &str) -> Option<Cue> {
    let (times, text) = match block.split_once('\n') {
        // A name may come before the times.
        Some((name, rest)) if !name.contains("-->") => rest.split_once('\n')?,
        Some(parts) => parts,
        None => return None,
    };
    let (start, rest) = times.split_once("-->")?;
    let (end, settings) = match rest.trim().split_once([' ', '\t']) {
        Some((end, settings)) => (end, settings.trim()),
        None => (rest.trim(), ""),
    };
    let (start, end) = (seconds(start.trim())?, seconds(end)?);
    (end > start).then(|| Cue { start, end, settings: settings.into(), text: text.into() })
}

/// `hours:minutes:seconds`, or without hours.
fn seconds(text: &str) -> Option<f64> {
    text.split(':').try_fold(0.0, |total, part| {
        let value: f64 = part.parse().ok()?;
        Some(total * 60.0 + value)
    })
}

/// One segment: the cues that are shown between `start` and `end`. `clock` is what segments of
/// picture and sound count at zero, in 90000ths of a second (RFC 8216 §3.5).
pub fn segment(cues: &[Cue], (start, end): (f64, f64), clock: i64) -> String {
    let mut text = format!("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{clock},LOCAL:00:00:00.000\n");
    for cue in cues.iter().filter(|cue| cue.start < end && cue.end > start) {
        let Cue { start, end, settings, text: lines } = cue;
        let space = if settings.is_empty() { "" } else { " " };
        writeln!(text, "\n{} --> {}{space}{settings}\n{lines}", stamp(*start), stamp(*end))
            .expect("memory takes text");
    }
    text
}

/// The track that says for each moment which part of which file is its small picture.
pub fn thumbnails(tiles: &Tiles, file: impl Fn(usize) -> String) -> String {
    let mut text = String::from("WEBVTT\n");
    let ((width, height), (columns, rows)) = (tiles.size, tiles.layout);
    let per_file = (columns * rows) as usize;
    for (index, start) in tiles.starts.iter().enumerate() {
        let place = (index % per_file) as u32;
        let (x, y) = (place % columns * width, place / columns * height);
        // The first one stands for what comes before it, too.
        let start = if index == 0 { 0.0 } else { *start };
        let end = tiles.starts.get(index + 1).copied().unwrap_or(tiles.duration);
        writeln!(
            text,
            "\n{} --> {}\n{}#xywh={x},{y},{width},{height}",
            stamp(start),
            stamp(end),
            file(index / per_file)
        )
        .expect("memory takes text");
    }
    text
}

fn stamp(seconds: f64) -> String {
    let milliseconds = (seconds * 1000.0).round().max(0.0) as u64;
    let (whole, rest) = (milliseconds / 1000, milliseconds % 1000);
    format!("{:02}:{:02}:{:02}.{rest:03}", whole / 3600, whole / 60 % 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "WEBVTT\n\n00:01.000 --> 00:04.500 align:left\nHello\nthere\n\n\
                        NOTE nothing\n\nname\n01:00:00.000 --> 01:00:02.000\nLate\n\n\
                        00:05.000 --> 00:05.000\nNever\n\n";

    #[test]
    fn cues_are_read() {
        let cues = parse(FILE);
        assert_eq!(cues.len(), 2);
        assert_eq!((cues[0].start, cues[0].end), (1.0, 4.5));
        assert_eq!(
            (cues[0].settings.as_str(), cues[0].text.as_str()),
            ("align:left", "Hello\nthere")
        );
        assert_eq!((cues[1].start, cues[1].text.as_str()), (3600.0, "Late"));
        assert_eq!(parse(&FILE.replace('\n', "\r\n")), cues);
        assert!(parse("WEBVTT").is_empty());
    }

    #[test]
    fn a_cue_is_in_every_segment_that_it_is_shown_in() {
        let cues = parse(FILE);
        insta::assert_snapshot!(segment(&cues, (0.0, 2.0), 0), @r"
        WEBVTT
        X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000

        00:00:01.000 --> 00:00:04.500 align:left
        Hello
        there
        ");
        assert!(segment(&cues, (4.0, 6.0), 0).contains("Hello"));
        assert!(!segment(&cues, (4.5, 6.0), 900_000).contains("Hello"));
    }

    #[test]
    fn every_moment_has_a_small_picture() {
        let tiles = Tiles {
            folder: "thumbnails".into(),
            size: (160, 90),
            layout: (2, 1),
            starts: vec![0.0, 2.0, 4.0],
            duration: 5.0,
            files: Vec::new(),
        };
        insta::assert_snapshot!(thumbnails(&tiles, |index| format!("{index}.jpg")), @r"
        WEBVTT

        00:00:00.000 --> 00:00:02.000
        0.jpg#xywh=0,0,160,90

        00:00:02.000 --> 00:00:04.000
        0.jpg#xywh=160,0,160,90

        00:00:04.000 --> 00:00:05.000
        1.jpg#xywh=0,0,160,90
        ");
    }
}
