//! What becomes of sound and subtitles. Pure.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ffmpeg::codec::{AudioEncoder, SubtitleCodec};
use crate::ffmpeg::container::{Container, SoundFile};
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::job::{Audio, Origin, Source, Subtitle};
use crate::ffmpeg::probe::{AudioStream, Kind, Media, Stream};

/// What happens to the sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudioChoice {
    /// The track that players choose: copied if the container takes it, else coded as AAC or Opus.
    #[default]
    Keep,
    /// All tracks, each like `keep`.
    All,
    /// No sound.
    None,
    /// The track that players choose, coded as AAC.
    Aac,
    /// The track that players choose, coded as Opus.
    Opus,
}

/// What happens to subtitle tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubtitleChoice {
    /// All that the container can hold.
    #[default]
    Keep,
    /// None.
    None,
}

/// The audio tracks of the result.
pub fn audio(media: &Media, choice: AudioChoice, container: Container) -> Vec<Audio> {
    let wanted = match choice {
        AudioChoice::None => 0,
        AudioChoice::All => usize::MAX,
        AudioChoice::Keep | AudioChoice::Aac | AudioChoice::Opus => 1,
    };
    let playable = media.audio().into_iter().filter(|(_, audio)| audio.channels > 0);
    playable.take(wanted).map(|(stream, sound)| track(stream, sound, choice, container)).collect()
}

fn track(stream: &Stream, sound: &AudioStream, choice: AudioChoice, into: Container) -> Audio {
    let encoder = match choice {
        AudioChoice::Aac => AudioEncoder::Aac(bits(sound.channels)),
        AudioChoice::Opus => AudioEncoder::Opus(bits(sound.channels)),
        _ if takes_audio(into, &stream.codec) => AudioEncoder::Copy,
        _ if into == Container::WebM => AudioEncoder::Opus(bits(sound.channels)),
        _ => AudioEncoder::Aac(bits(sound.channels)),
    };
    let filters = match encoder {
        AudioEncoder::Copy => Chain::default(),
        _ => Chain(layout(sound).map(Filter::ChannelLayout).into_iter().collect()),
    };
    Audio { origin: Origin::Stream(Source { input: 0, stream: stream.index }, filters), encoder }
}

/// Codecs that players expect in a container.
pub fn takes_audio(container: Container, codec: &str) -> bool {
    match container {
        Container::Mp4 => matches!(codec, "aac" | "mp3" | "ac3" | "eac3" | "alac" | "opus"),
        Container::Mov => {
            matches!(codec, "aac" | "mp3" | "ac3" | "eac3" | "alac") || codec.starts_with("pcm_s")
        }
        Container::Matroska => {
            matches!(
                codec,
                "aac"
                    | "mp3"
                    | "mp2"
                    | "ac3"
                    | "eac3"
                    | "dts"
                    | "truehd"
                    | "flac"
                    | "alac"
                    | "opus"
                    | "vorbis"
            ) || codec.starts_with("pcm_s")
        }
        Container::WebM => matches!(codec, "opus" | "vorbis"),
        Container::WebVtt => false,
        Container::Sound(SoundFile::M4a | SoundFile::Adts) => codec == "aac",
        Container::Sound(SoundFile::Mp3) => codec == "mp3",
        Container::Sound(SoundFile::Ogg) => codec == "opus",
        Container::Sound(SoundFile::Flac) => codec == "flac",
        Container::Sound(SoundFile::Wav) => codec == "pcm_s16le",
        Container::Null => true,
    }
}

/// The encoder for sound that goes into a container and isn't copied; `wanted` is in bits per
/// second.
pub fn encoder(container: Container, channels: u32, wanted: Option<u32>) -> AudioEncoder {
    let bits = wanted.unwrap_or(bits(channels));
    match container {
        Container::WebM | Container::Sound(SoundFile::Ogg) => AudioEncoder::Opus(bits),
        Container::Sound(SoundFile::Mp3) => AudioEncoder::Mp3(wanted.unwrap_or(match channels {
            1 => 128_000,
            _ => 192_000,
        })),
        Container::Sound(SoundFile::Flac) => AudioEncoder::Flac,
        Container::Sound(SoundFile::Wav) | Container::Null => AudioEncoder::Pcm16,
        _ => AudioEncoder::Aac(bits),
    }
}

/// 64 kbit/s per channel; a single one gets more, since it has all of the sound.
fn bits(channels: u32) -> u32 {
    match channels {
        1 => 96_000,
        channels => 64_000 * channels.min(8),
    }
}

/// The layout to encode in, where the source doesn't name one or names one that encoders refuse.
/// Channels keep their order.
pub fn layout(sound: &AudioStream) -> Option<&'static str> {
    match (sound.channels, sound.layout.as_deref()) {
        (1, None) => Some("mono"),
        (2, None) => Some("stereo"),
        (3, None) => Some("3.0"),
        (4, None) => Some("quad"),
        (5, None | Some("5.0(side)")) => Some("5.0"),
        (6, None | Some("5.1(side)")) => Some("5.1"),
        (7, None | Some("7.0")) => Some("6.1"),
        (8, None | Some("7.1(wide)" | "7.1(wide-side)")) => Some("7.1"),
        (9.., _) => Some("7.1"),
        _ => None,
    }
}

/// The subtitle tracks of the result, and what is said of those that can't come along.
pub fn subtitles(
    media: &Media,
    choice: SubtitleChoice,
    container: Container,
) -> (Vec<Subtitle>, Vec<String>) {
    if choice == SubtitleChoice::None {
        return (Vec::new(), Vec::new());
    }
    let mut kept = Vec::new();
    let mut notes = Vec::new();
    for stream in media.streams.iter().filter(|stream| stream.kind == Kind::Subtitle) {
        match subtitle_codec(container, &stream.codec) {
            Some(codec) => {
                kept.push(Subtitle { source: Source { input: 0, stream: stream.index }, codec });
            }
            None => notes.push(format!(
                "subtitle track {} (`{}`) can't be kept in {}",
                stream.index,
                stream.codec,
                container.name()
            )),
        }
    }
    (kept, notes)
}

fn subtitle_codec(container: Container, codec: &str) -> Option<SubtitleCodec> {
    let text = matches!(codec, "subrip" | "srt" | "ass" | "ssa" | "webvtt" | "mov_text" | "text");
    let picture = matches!(codec, "hdmv_pgs_subtitle" | "dvd_subtitle" | "dvb_subtitle");
    match container {
        Container::Matroska if codec == "mov_text" || codec == "text" => Some(SubtitleCodec::Srt),
        Container::Matroska => (text || picture).then_some(SubtitleCodec::Copy),
        Container::WebM if codec == "webvtt" => Some(SubtitleCodec::Copy),
        Container::WebM | Container::WebVtt => text.then_some(SubtitleCodec::WebVtt),
        Container::Mp4 | Container::Mov if codec == "mov_text" => Some(SubtitleCodec::Copy),
        Container::Mp4 | Container::Mov => text.then_some(SubtitleCodec::MovText),
        Container::Sound(_) | Container::Null => None,
    }
}
