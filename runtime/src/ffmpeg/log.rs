//! What ffmpeg says on stderr with `-loglevel level+verbose`: errors, and its own counts of
//! packets and frames at the end. Pure.

use std::collections::{BTreeMap, VecDeque};

/// Error lines kept for a failure's causes.
const TAIL: usize = 6;

/// Lines of a filter's report that are kept; that of `ebur128` has ten.
const REPORT: usize = 32;

/// Lines about fonts that are kept.
const FONTS: usize = 256;

/// What a run said about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// The last lines of level error or worse, without their level, consecutive doubles once.
    pub errors: VecDeque<String>,
    /// Warnings that say why hardware was not used.
    pub hardware: Vec<String>,
    /// Counts of input streams by file and stream index.
    pub inputs: BTreeMap<(u32, u32), InputCount>,
    /// Packets written by output file and stream index.
    pub outputs: BTreeMap<(u32, u32), u64>,
    /// Samples of sound that were encoded, by output file and stream index.
    pub samples: BTreeMap<(u32, u32), u64>,
    /// The last lines without a level: a filter's report.
    pub report: VecDeque<String>,
    /// Packets that a decoder refused.
    pub decode_errors: u64,
    /// A demuxer found that the file ends too early.
    pub ends_early: bool,
    /// Which fonts libass chose, and the characters for which it found none, in its own words.
    pub fonts: Vec<String>,
    /// The signal that made ffmpeg stop of itself.
    pub signal: Option<i32>,
}

/// What was read of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputCount {
    /// Packets that the demuxer gave.
    pub packets: u64,
    /// Frames that the decoder gave.
    pub frames: u64,
    /// Samples of sound in them, of each channel.
    pub samples: u64,
}

impl Log {
    /// Takes one line.
    pub fn line(&mut self, line: &str) {
        let Some((level, text)) = split_level(line) else { return self.report(line) };
        if let Some(choice) = text.strip_prefix("fontselect: ").filter(|_| self.fonts.len() < FONTS)
        {
            self.fonts.push(choice.into());
        }
        match level {
            "verbose" => self.count(text.trim()),
            "error" | "fatal" | "panic" => self.error(text),
            "warning" => self.warning(text),
            _ => self.info(text),
        }
    }

    /// Everything that was said at level error, oldest first.
    pub fn error_lines(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().map(String::as_str)
    }

    fn report(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        self.report.push_back(line.trim().into());
        if self.report.len() > REPORT {
            self.report.pop_front();
        }
    }

    fn error(&mut self, text: &str) {
        if text.starts_with("Error while decoding stream")
            || text.starts_with("Error submitting packet to decoder")
        {
            self.decode_errors += 1;
        }
        self.ends_early |= ["partial file", "ended prematurely", "truncat", "Truncat"]
            .iter()
            .any(|sign| text.contains(sign));
        // ffmpeg quotes the whole path before the reason; the message names the file already.
        let text = match text.strip_prefix("file:").and_then(|rest| rest.rsplit_once(": ")) {
            Some((_, reason)) => reason,
            None => text,
        };
        let text = match text.split_once(" on whitelist ") {
            Some(_) => "its format isn't one that holds its own media",
            None => text,
        };
        if self.errors.back().is_none_or(|last| last != text) {
            self.errors.push_back(text.into());
        }
        if self.errors.len() > TAIL {
            self.errors.pop_front();
        }
    }

    fn warning(&mut self, text: &str) {
        self.ends_early |= text.contains("ended prematurely");
        let names_device = ["device", "NVENC", "nvenc", "cuda", "CUDA", "hwaccel", "Hardware"];
        if names_device.iter().any(|word| text.contains(word)) && self.hardware.len() < TAIL {
            self.hardware.push(text.into());
        }
    }

    fn info(&mut self, text: &str) {
        if let Some(signal) = text.strip_prefix("Exiting normally, received signal ") {
            self.signal = signal.trim_end_matches('.').trim().parse().ok();
        }
    }

    /// `Input stream #0:0 (video): 25 packets read (1342600 bytes); 25 frames decoded; `
    fn count(&mut self, text: &str) {
        let (input, rest) = match text.strip_prefix("Input stream #") {
            Some(rest) => (true, rest),
            None => match text.strip_prefix("Output stream #") {
                Some(rest) => (false, rest),
                None => return,
            },
        };
        let Some((id, counts)) = rest.split_once(" (") else { return };
        let Some(key) = stream_id(id) else { return };
        if input {
            let packets = number_before(counts, "packets read").unwrap_or(0);
            let frames = number_before(counts, "frames decoded").unwrap_or(0);
            let samples = samples(counts, "frames decoded");
            let refused = number_before(counts, "decode errors").unwrap_or(0);
            // Later versions both log each refusal and count them here.
            self.decode_errors = self.decode_errors.max(refused);
            self.inputs.insert(key, InputCount { packets, frames, samples });
        } else {
            self.samples.insert(key, samples(counts, "frames encoded"));
            self.outputs.insert(key, number_before(counts, "packets muxed").unwrap_or(0));
        }
    }
}

/// The level and the text of `[libx264 @ 0x55] [error] text`; the context is left out.
fn split_level(line: &str) -> Option<(&str, &str)> {
    let mut rest = line;
    loop {
        let (word, after) = rest.strip_prefix('[')?.split_once(']')?;
        let after = after.strip_prefix(' ').unwrap_or(after);
        match word {
            "panic" | "fatal" | "error" | "warning" | "info" | "verbose" => {
                return Some((word, after.trim_end()));
            }
            _ => rest = after,
        }
    }
}

fn stream_id(id: &str) -> Option<(u32, u32)> {
    let (file, stream) = id.split_once(':')?;
    Some((file.parse().ok()?, stream.parse().ok()?))
}

/// The 485100 of `110 frames encoded (485100 samples); `.
fn samples(counts: &str, unit: &str) -> u64 {
    let after = counts.split_once(unit).map_or("", |(_, after)| after);
    after
        .split_once(" samples)")
        .and_then(|(number, _)| number.strip_prefix(" ("))
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn number_before(text: &str, unit: &str) -> Option<u64> {
    let before = text[..text.find(unit)?].trim_end();
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Log {
        let mut log = Log::default();
        text.lines().for_each(|line| log.line(line));
        log
    }

    #[test]
    fn counts_of_ffmpeg_5_and_of_later_ones() {
        let log = read(
            "[verbose]   Input stream #0:0 (video): 50 packets read (45842 bytes); 49 frames decoded; \n\
             [in#0/mov @ 0x1] [verbose]   Input stream #0:1 (audio): 7 packets read (9 bytes); 6 frames decoded (6144 samples); 2 decode errors (28 samples); \n\
             [verbose]   Output stream #0:0 (video): 49 frames encoded; 48 packets muxed (41134 bytes); ",
        );
        assert_eq!(log.inputs[&(0, 0)], InputCount { packets: 50, frames: 49, samples: 0 });
        assert_eq!(log.inputs[&(0, 1)], InputCount { packets: 7, frames: 6, samples: 6144 });
        assert_eq!(log.outputs[&(0, 0)], 48);
        assert_eq!(log.decode_errors, 2);
    }

    #[test]
    fn errors_lose_their_context_and_doubles() {
        let log = read(
            "[h264 @ 0x1] [error] log2_max_frame_num_minus4 out of range (0-12): 15\n\
             [h264 @ 0x2] [error] log2_max_frame_num_minus4 out of range (0-12): 15\n\
             [mov,mp4 @ 0x3] [error] stream 0, offset 0x19374: partial file\n\
             [info] Stream mapping:\nno level here",
        );
        assert_eq!(
            log.errors,
            [
                "log2_max_frame_num_minus4 out of range (0-12): 15",
                "stream 0, offset 0x19374: partial file"
            ]
        );
        assert!(log.ends_early);
    }

    #[test]
    fn only_the_last_errors_are_kept() {
        let log = read(&(0..100).map(|n| format!("[error] e{n}\n")).collect::<String>());
        assert_eq!(log.errors, ["e94", "e95", "e96", "e97", "e98", "e99"]);
    }
}
