//! Clips with known pictures, and what is seen in a result: pixels, and words by OCR.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::TestEnv;

/// Colours as everything after 2010 has them, said in the file.
const BT709: &str = "scale=out_color_matrix=bt709:out_range=tv,\
    setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709,format=yuv420p";

/// Makes `name` of a lavfi source, coded so that colours stay what they are.
pub fn clip(env: &TestEnv, name: &str, source: &str) -> PathBuf {
    made(env, name, source, &["-map", "0:v"])
}

/// The same with a tone.
pub fn clip_with_sound(env: &TestEnv, name: &str, source: &str) -> PathBuf {
    made(env, name, source, &["-map", "0:v", "-map", "1:a", "-c:a", "aac", "-shortest"])
}

fn made(env: &TestEnv, name: &str, source: &str, streams: &[&str]) -> PathBuf {
    let path = env.project().join(name);
    ffmpeg(
        ["-f", "lavfi", "-i", source, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]
            .iter()
            .chain(streams)
            .chain(&["-vf", BT709, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "4"])
            .chain(&[path.to_str().unwrap()]),
    );
    path
}

/// Runs ffmpeg, which has to succeed.
pub fn ffmpeg<'a>(args: impl IntoIterator<Item = &'a &'a str>) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(args)
        .output()
        .expect("ffmpeg starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// All frames of a video in RGB.
pub struct Frames {
    pub size: (usize, usize),
    frames: Vec<Vec<u8>>,
}

impl Frames {
    /// Decodes `path`, whose pictures are `size`.
    pub fn of(path: &Path, size: (usize, usize)) -> Frames {
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(path)
            .args(["-map", "0:v", "-fps_mode", "passthrough"])
            .args(["-vf", "scale=in_color_matrix=bt709:flags=accurate_rnd+full_chroma_int"])
            .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
            .output()
            .expect("ffmpeg starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = size.0 * size.1 * 3;
        assert_eq!(output.stdout.len() % bytes, 0, "`{}` isn't {size:?}", path.display());
        Frames { size, frames: output.stdout.chunks(bytes).map(<[u8]>::to_vec).collect() }
    }

    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// One pixel.
    pub fn pixel(&self, frame: usize, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.size.0 + x) * 3;
        self.frames[frame][at..at + 3].try_into().unwrap()
    }

    /// Asserts the colour of one pixel, as near as coding keeps it.
    #[track_caller]
    pub fn shows(&self, frame: usize, (x, y): (usize, usize), rgb: [u8; 3]) {
        let found = self.pixel(frame, x, y);
        let far = found.iter().zip(rgb).any(|(a, b)| a.abs_diff(b) > 14);
        assert!(!far, "frame {frame} at ({x}, {y}) is {found:?}, not {rgb:?}");
    }

    /// The smallest box around the pixels that `is` picks: left, top, and what is right and below.
    pub fn bounds(
        &self,
        frame: usize,
        is: impl Fn([u8; 3]) -> bool,
    ) -> Option<(usize, usize, usize, usize)> {
        let (width, height) = self.size;
        let found = (0..width * height).map(|i| (i % width, i / width));
        let found = found.filter(|(x, y)| is(self.pixel(frame, *x, *y)));
        found.fold(None, |bounds, (x, y)| {
            let (left, top, right, bottom) = bounds.unwrap_or((x, y, x + 1, y + 1));
            Some((left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)))
        })
    }
}

/// What tesseract reads of bright letters in the lower third of one frame, in lower case; none
/// where it isn't installed.
pub fn read(env: &TestEnv, video: &Path, frame: usize) -> Option<String> {
    if Command::new("tesseract").arg("--version").output().is_err() {
        eprintln!("skipped: tesseract isn't installed (`tests/tools` installs it)");
        return None;
    }
    let picture = env.project().join("ocr.png");
    let select = format!("select=eq(n\\,{frame}),crop=h=ih/3:y=ih*2/3,scale=iw*3:-1,negate");
    let (video, path) = (video.to_str().unwrap(), picture.to_str().unwrap());
    ffmpeg(&["-i", video, "-vf", &select, "-frames:v", "1", path]);
    let output = Command::new("tesseract").args([path, "-", "--psm", "6"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).to_lowercase())
}

/// The MD5 of the decoded sound of a file.
pub fn sound(path: &Path) -> String {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:a", "-f", "md5", "-"])
        .output()
        .expect("ffmpeg starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
