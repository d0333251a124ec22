//! The playlists of HTTP Live Streaming (RFC 8216, and draft-pantos-hls-rfc8216bis for what is
//! newer), written from what was measured. Pure.

use std::fmt::Write as _;

use super::rates::{self, Piece};
use super::segments::{Format, HEADER, Keyframe, Written};
use crate::ffmpeg::Rational;

/// The name of every media playlist.
pub const PLAYLIST: &str = "playlist.m3u8";

/// The name of every playlist of keyframes.
pub const KEYFRAMES: &str = "iframes.m3u8";

/// The group that all sound is in.
const AUDIO: &str = "audio";

/// The group that all subtitles are in.
const SUBTITLES: &str = "subtitles";

/// How pictures encode light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoRange {
    /// As ever.
    Sdr,
    /// SMPTE ST 2084.
    Pq,
    /// ARIB STD-B67.
    Hlg,
}

/// A rendition of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Its folder.
    pub folder: String,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// How it encodes light.
    pub range: VideoRange,
    /// What was written.
    pub written: Written,
}

/// A rendition of the sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// Its folder.
    pub folder: String,
    /// What people read when they choose.
    pub name: String,
    /// BCP 47 code of the language that is spoken.
    pub language: Option<String>,
    /// Channels.
    pub channels: u32,
    /// Players choose it by themselves.
    pub default: bool,
    /// What was written.
    pub written: Written,
}

/// A rendition of subtitles.
#[derive(Clone, Debug, PartialEq)]
pub struct Subtitles {
    /// Its folder.
    pub folder: String,
    /// What people read when they choose.
    pub name: String,
    /// BCP 47 code of the language that is written.
    pub language: Option<String>,
}

/// Small pictures of the whole, several to a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiles {
    /// Their folder.
    pub folder: String,
    /// Width and height of one small picture in pixels.
    pub size: (u32, u32),
    /// Columns and rows of one file.
    pub layout: (u32, u32),
    /// The second from which each small picture stands.
    pub starts: Vec<f64>,
    /// Seconds of the whole.
    pub duration: f64,
    /// What each file takes.
    pub files: Vec<Piece>,
}

/// Everything that there is to play.
#[derive(Clone, Debug, PartialEq)]
pub struct Presentation {
    /// What segments are made of.
    pub format: Format,
    /// Seconds, rounded, that no segment exceeds.
    pub target: u32,
    /// Best first.
    pub pictures: Vec<Picture>,
    /// The sound.
    pub sounds: Vec<Sound>,
    /// Subtitles.
    pub subtitles: Vec<Subtitles>,
    /// Small pictures.
    pub tiles: Option<Tiles>,
}

impl Tiles {
    /// Seconds for which one small picture stands, as a rule.
    pub fn interval(&self) -> f64 {
        self.starts.get(1).map_or(self.duration, |second| second - self.starts[0])
    }
}

impl VideoRange {
    fn name(self) -> &'static str {
        match self {
            VideoRange::Sdr => "SDR",
            VideoRange::Pq => "PQ",
            VideoRange::Hlg => "HLG",
        }
    }
}

impl Picture {
    /// Frames per second, on average where that varies. Times that are rounded in the source don't
    /// keep a usual rate from being recognised.
    pub fn frame_rate(&self) -> Rational {
        let seconds = self.written.seconds(self.written.end - self.written.late);
        let rate = Rational::from_rate(self.written.samples as f64 / seconds);
        rate.unwrap_or(Rational { num: 1, den: 1 })
    }

    /// What each keyframe takes, for as long as it stands.
    pub fn keyframe_pieces(&self) -> Vec<Piece> {
        let pieces = keyframe_times(&self.written).into_iter().zip(&self.written.keyframes);
        pieces.map(|(seconds, keyframe)| Piece { seconds, bytes: keyframe.bytes }).collect()
    }
}

/// The duration that all playlists name: no segment is longer, rounded to whole seconds.
pub fn target<'a>(renditions: impl IntoIterator<Item = &'a Written>) -> u32 {
    let longest = |written: &Written| {
        let pieces = written.pieces();
        pieces.iter().map(|piece| piece.seconds.round() as u32).max().unwrap_or(0)
    };
    renditions.into_iter().map(longest).max().unwrap_or(0).max(1)
}

/// The playlist of one rendition's segments.
pub fn media(written: &Written, format: Format, target: u32) -> String {
    let mut text = head(format, target, false);
    if format == Format::Cmaf {
        writeln!(text, "#EXT-X-MAP:URI=\"{HEADER}\"").expect("memory takes text");
    }
    let lengths = written.segments.iter().map(|segment| segment.length);
    for (index, seconds) in whole_microseconds(written, lengths).into_iter().enumerate() {
        writeln!(text, "#EXTINF:{seconds},\n{}", format.segment(index)).expect("memory takes text");
    }
    end(text)
}

/// The playlist of one rendition's keyframes, for seeking at speed.
pub fn keyframes(written: &Written, format: Format, target: u32) -> String {
    let mut text = head(format, target, true);
    if format == Format::Cmaf {
        writeln!(text, "#EXT-X-MAP:URI=\"{HEADER}\"").expect("memory takes text");
    }
    let lengths = keyframe_ticks(written);
    let seconds = whole_microseconds(written, lengths);
    for (Keyframe { segment, at, bytes, .. }, seconds) in written.keyframes.iter().zip(seconds) {
        let file = format.segment(*segment);
        writeln!(text, "#EXTINF:{seconds},\n#EXT-X-BYTERANGE:{bytes}@{at}\n{file}")
            .expect("memory takes text");
    }
    end(text)
}

/// The playlist of subtitles in `lengths.len()` files of so many seconds.
pub fn subtitles(lengths: &[f64], format: Format, target: u32) -> String {
    let mut text = head(format, target, false);
    let mut clock = Microseconds::default();
    for (index, length) in lengths.iter().enumerate() {
        let seconds = clock.advance(*length);
        writeln!(text, "#EXTINF:{seconds},\n{}", subtitle_segment(index))
            .expect("memory takes text");
    }
    end(text)
}

/// The file of a segment of subtitles, by its index.
pub fn subtitle_segment(index: usize) -> String {
    format!("segment_{:05}.vtt", index + 1)
}

/// The playlist of files of small pictures (Roku's image media playlists).
pub fn tiles(tiles: &Tiles, file: impl Fn(usize) -> String) -> String {
    let longest = tiles.files.iter().map(|file| file.seconds.ceil() as u32).max().unwrap_or(1);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{longest}\n#EXT-X-MEDIA-SEQUENCE:1\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-IMAGES-ONLY\n"
    );
    let ((width, height), (columns, rows)) = (tiles.size, tiles.layout);
    let mut clock = Microseconds::default();
    for (index, piece) in tiles.files.iter().enumerate() {
        let seconds = clock.advance(piece.seconds);
        writeln!(
            text,
            "#EXTINF:{seconds},\n#EXT-X-TILES:RESOLUTION={width}x{height},\
             LAYOUT={columns}x{rows},DURATION={:.3}\n{}",
            tiles.interval(),
            file(index)
        )
        .expect("memory takes text");
    }
    end(text)
}

/// The playlist of everything.
pub fn master(all: &Presentation) -> String {
    let version = version(all.format);
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-INDEPENDENT-SEGMENTS\n\n");
    for sound in &all.sounds {
        let default = if sound.default { "YES" } else { "NO" };
        let line = media_line("AUDIO", AUDIO, &sound.name, sound.language.as_deref(), default);
        let (channels, folder) = (sound.channels, &sound.folder);
        put(
            &mut text,
            format_args!("{line},CHANNELS=\"{channels}\",URI=\"{folder}/{PLAYLIST}\"\n"),
        );
    }
    for track in &all.subtitles {
        let language = track.language.as_deref();
        let line = media_line("SUBTITLES", SUBTITLES, &track.name, language, "NO");
        put(&mut text, format_args!("{line},FORCED=NO,URI=\"{}/{PLAYLIST}\"\n", track.folder));
    }
    for picture in &all.pictures {
        text += &variant(all, picture);
    }
    text.push('\n');
    for picture in &all.pictures {
        text += &keyframe_variant(all, picture);
    }
    if let Some(tiles) = &all.tiles {
        let (width, height) = tiles.size;
        let longest = tiles.files.iter().fold(0.0, |most: f64, file| most.max(file.seconds));
        let peak = rates::peak(&tiles.files, longest);
        put(
            &mut text,
            format_args!(
                "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH={peak},CODECS=\"jpeg\",\
             RESOLUTION={width}x{height},URI=\"{}/{PLAYLIST}\"\n",
                tiles.folder
            ),
        );
    }
    text
}

fn media_line(
    kind: &str,
    group: &str,
    name: &str,
    language: Option<&str>,
    default: &str,
) -> String {
    let mut line =
        format!("#EXT-X-MEDIA:TYPE={kind},GROUP-ID=\"{group}\",NAME=\"{}\"", quoted(name));
    if let Some(language) = language {
        put(&mut line, format_args!(",LANGUAGE=\"{}\"", quoted(language)));
    }
    line + &format!(",DEFAULT={default},AUTOSELECT=YES")
}

/// Text that can't end its own quotes (RFC 8216 §4.2).
fn quoted(text: &str) -> String {
    text.chars().map(|c| if c == '"' { '\'' } else { c }).filter(|c| !c.is_control()).collect()
}

fn variant(all: &Presentation, picture: &Picture) -> String {
    let target = f64::from(all.target);
    let rate = |of: fn(&[Piece], f64) -> u64| {
        let sounds = all.sounds.iter().map(|sound| of(&sound.written.pieces(), target));
        of(&picture.written.pieces(), target) + sounds.max().unwrap_or(0)
    };
    let (peak, average) = (rate(rates::peak), rate(|pieces, _| rates::average(pieces)));
    let mut codecs = vec![picture.written.codec.as_str()];
    codecs.extend(all.sounds.iter().map(|sound| sound.written.codec.as_str()));
    codecs.dedup();
    let (width, height) = picture.size;
    let mut line = format!(
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={average},CODECS=\"{}\",\
         RESOLUTION={width}x{height},FRAME-RATE={:.3},VIDEO-RANGE={}",
        peak.max(average),
        codecs.join(","),
        picture.frame_rate().value(),
        picture.range.name()
    );
    if !all.sounds.is_empty() {
        put(&mut line, format_args!(",AUDIO=\"{AUDIO}\""));
    }
    if !all.subtitles.is_empty() {
        put(&mut line, format_args!(",SUBTITLES=\"{SUBTITLES}\""));
    }
    line + &format!(",CLOSED-CAPTIONS=NONE\n{}/{PLAYLIST}\n", picture.folder)
}

fn keyframe_variant(all: &Presentation, picture: &Picture) -> String {
    let pieces = picture.keyframe_pieces();
    let average = rates::average(&pieces);
    let peak = rates::peak(&pieces, f64::from(all.target)).max(average);
    let (width, height) = picture.size;
    format!(
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}\",\
         RESOLUTION={width}x{height},VIDEO-RANGE={},URI=\"{}/{KEYFRAMES}\"\n",
        picture.written.codec,
        picture.range.name(),
        picture.folder
    )
}

/// Appends text.
fn put(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("memory takes text");
}

/// fMP4 outside of keyframe playlists needs 6, and subtitles in it 7; byte ranges need 4.
fn version(format: Format) -> u32 {
    match format {
        Format::Cmaf => 7,
        Format::Ts => 4,
    }
}

fn head(format: Format, target: u32, keyframes_only: bool) -> String {
    let version = version(format);
    let only = if keyframes_only { "#EXT-X-I-FRAMES-ONLY\n" } else { "" };
    format!(
        "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target}\n\
         #EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n{only}"
    )
}

fn end(text: String) -> String {
    text + "#EXT-X-ENDLIST\n"
}

/// Ticks from each keyframe to the next; the first one stands from zero on.
fn keyframe_ticks(written: &Written) -> Vec<i64> {
    let times: Vec<_> = written.keyframes.iter().map(|keyframe| keyframe.shown).collect();
    let starts = std::iter::once(0).chain(times.iter().skip(1).copied());
    let ends = times.iter().skip(1).copied().chain([written.end]);
    starts.zip(ends).map(|(start, end)| end - start).take(times.len()).collect()
}

fn keyframe_times(written: &Written) -> Vec<f64> {
    keyframe_ticks(written).into_iter().map(|ticks| written.seconds(ticks)).collect()
}

/// Durations as text, rounded so that no sum of them is off by more than a microsecond.
fn whole_microseconds(written: &Written, lengths: impl IntoIterator<Item = i64>) -> Vec<String> {
    let mut clock = Microseconds::default();
    lengths.into_iter().map(|length| clock.advance(written.seconds(length))).collect()
}

/// Keeps what rounding has left over for the next duration.
#[derive(Default)]
struct Microseconds {
    exact: f64,
    written: i64,
}

impl Microseconds {
    fn advance(&mut self, seconds: f64) -> String {
        self.exact += seconds;
        let until = (self.exact * 1e6).round() as i64;
        let length = until - self.written;
        self.written = until;
        format!("{:.6}", length as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests;
