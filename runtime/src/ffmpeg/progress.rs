//! What ffmpeg says on `-progress`: blocks of `key=value` lines. Pure.

/// One block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Frames that were encoded so far.
    pub frames: u64,
    /// Frames per second of work.
    pub fps: f64,
    /// Seconds of media that were written so far.
    pub seconds: f64,
    /// Seconds of media per second of work.
    pub speed: f64,
    /// Frames that ffmpeg repeated to keep a rate.
    pub duplicated: u64,
    /// Frames that ffmpeg left out to keep a rate.
    pub dropped: u64,
    /// This was the last block.
    pub end: bool,
}

/// Reads lines until a block is whole.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    block: Sample,
}

impl Reader {
    /// Takes one line; gives back the block that it ends. Unknown keys and values that can't be
    /// read are passed over: a report is never a reason to stop the work.
    pub fn line(&mut self, line: &str) -> Option<Sample> {
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        let block = &mut self.block;
        match key.trim() {
            "frame" => block.frames = value.parse().unwrap_or(block.frames),
            "fps" => block.fps = value.parse().unwrap_or(0.0),
            "out_time_us" => {
                block.seconds = value.parse().map_or(block.seconds, |us: f64| us / 1e6);
            }
            "speed" => block.speed = value.trim_end_matches('x').parse().unwrap_or(0.0),
            "dup_frames" => block.duplicated = value.parse().unwrap_or(0),
            "drop_frames" => block.dropped = value.parse().unwrap_or(0),
            "progress" => {
                block.end = value == "end";
                return Some(block.clone());
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_with_progress() {
        let mut reader = Reader::default();
        let text = "frame=25\nfps=49.5\nstream_0_0_q=-1.0\nbitrate=5513.7kbits/s\n\
                    out_time_us=2416479\nout_time=00:00:02.416479\ndup_frames=0\ndrop_frames=1\n\
                    speed=8.87x\nprogress=end\n";
        let samples: Vec<_> = text.lines().filter_map(|line| reader.line(line)).collect();
        let expected = Sample {
            frames: 25,
            fps: 49.5,
            seconds: 2.416479,
            speed: 8.87,
            duplicated: 0,
            dropped: 1,
            end: true,
        };
        assert_eq!(samples, [expected]);
    }

    #[test]
    fn what_is_not_available_keeps_the_last_value() {
        let mut reader = Reader::default();
        let text =
            "out_time_us=100000\nprogress=continue\nout_time_us=N/A\nspeed=N/A\nprogress=end";
        let seconds: Vec<_> =
            text.lines().filter_map(|line| reader.line(line)).map(|s| s.seconds).collect();
        assert_eq!(seconds, [0.1, 0.1]);
    }
}
