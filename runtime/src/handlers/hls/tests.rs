use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::args::Args;
use super::plan::{HlsPlan, Place, plan};
use crate::ffmpeg::Rational;
use crate::ffmpeg::codec::{Encoder, VideoCodec};
use crate::ffmpeg::probe::{AudioStream, Kind, Media, Stream, VideoStream};
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::packaging::hls::VideoRange;
use crate::wire::Failure;

fn stream(index: u32, codec: &str, kind: Kind, tags: &[(&str, &str)]) -> Stream {
    let tags = tags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Stream { index, codec: codec.into(), kind, tags, ..Stream::default() }
}

/// Picture, two tracks of sound, and subtitles of two kinds.
fn media(transfer: Option<&str>) -> Media {
    let rate = Rational::new(25, 1);
    let picture = VideoStream {
        width: 1280,
        height: 720,
        pixel_format: "yuv420p".into(),
        bits: 8,
        space: Some("bt709".into()),
        transfer: transfer.map(Into::into),
        base_rate: rate,
        average_rate: rate,
        ..VideoStream::default()
    };
    let sound =
        |channels, sample_rate| Kind::Audio(AudioStream { channels, sample_rate, layout: None });
    Media {
        duration: Some(10.0),
        streams: vec![
            stream(0, "h264", Kind::Video(Box::new(picture)), &[]),
            stream(1, "aac", sound(2, 48_000), &[("language", "ger")]),
            stream(2, "ac3", sound(6, 32_000), &[]),
            stream(3, "subrip", Kind::Subtitle, &[("language", "eng"), ("title", "For all")]),
            stream(4, "hdmv_pgs_subtitle", Kind::Subtitle, &[]),
        ],
        ..Media::default()
    }
}

fn planned(args: Value, media: &Media) -> Result<HlsPlan, Failure> {
    let args: Args = serde_json::from_value(args).unwrap();
    let rungs = args.rungs();
    args.check(&rungs)?;
    let encoders = [
        (VideoCodec::H264, Encoder::X264),
        (VideoCodec::Hevc, Encoder::X265),
        (VideoCodec::Av1, Encoder::SvtAv1),
    ];
    let machine = Capabilities { software: BTreeMap::from(encoders), ..Capabilities::default() };
    let place = Place {
        input: &crate::ffmpeg::input::Source::from("/in/a.mkv"),
        name: "a.mkv",
        work: Path::new("/out/.encoded"),
    };
    plan(&args, &rungs, Hardware::Off, media, &machine, place)
}

/// The argv from the graph on.
fn argv(plan: &HlsPlan) -> String {
    let args = crate::ffmpeg::args::args(&plan.plan.job);
    let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let input = words.iter().position(|word| word == "-i").unwrap();
    words[input..].join(" ").replace(" -map ", "\n-map ")
}

#[test]
fn one_run_encodes_every_rendition_once() {
    let wish = json!({ "input": "a.mkv", "rungs": ["720p", "480p"], "preset": "fast" });
    let hls = planned(wish, &media(None)).unwrap();
    insta::assert_snapshot!(argv(&hls), @r"
    -i file:/in/a.mkv -filter_complex [0:0]split=outputs=2[l0][l1];[l0]format=pix_fmts=yuv420p[l2];[l1]scale=w=854:h=480,setsar=sar=1,format=pix_fmts=yuv420p[l3]
    -map [l2] -fps_mode:v:0 passthrough -c:v:0 libx264 -preset fast -crf 23 -g:v:0 50 -keyint_min:v:0 50 -sc_threshold:v:0 0 -forced-idr:v:0 1 -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/.encoded/720p.mp4
    -map [l3] -fps_mode:v:0 passthrough -c:v:0 libx264 -preset fast -crf 23 -g:v:0 50 -keyint_min:v:0 50 -sc_threshold:v:0 0 -forced-idr:v:0 1 -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/.encoded/480p.mp4
    -map 0:1 -filter:a:0 aresample=async=1:first_pts=0,aformat=channel_layouts=stereo -c:a:0 aac -b:a:0 128000 -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/.encoded/audio.mp4
    -map 0:2 -filter:a:0 aresample=async=1:first_pts=0:osr=48000,aformat=channel_layouts=stereo -c:a:0 aac -b:a:0 128000 -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/.encoded/audio-2.mp4
    -map 0:3 -c:s:0 webvtt -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -f webvtt file:/out/.encoded/subtitles.vtt
    ");
    let tracks = hls.sounds.iter().chain(&hls.subtitles);
    let tracks: Vec<_> =
        tracks.map(|track| format!("{} {} {}", track.folder, track.name, track.language)).collect();
    assert_eq!(tracks, ["audio German ger", "audio-2 Track 2 und", "subtitles For all eng"]);
    assert_eq!(
        hls.plan.notes,
        ["subtitle track 4 (`hdmv_pgs_subtitle`) is left out: it isn't text"]
    );
}

#[test]
fn tracks_can_be_left_out() {
    let wish =
        json!({ "input": "a.mkv", "audio": "first", "subtitles": "none", "rungs": ["480p"] });
    let hls = planned(wish, &media(None)).unwrap();
    assert_eq!((hls.sounds.len(), hls.subtitles.len()), (1, 0));
    let silent = planned(json!({ "input": "a.mkv", "audio": "none" }), &media(None)).unwrap();
    assert!(silent.sounds.is_empty());
}

#[test]
fn renditions_say_how_they_encode_light() {
    let wish = json!({ "input": "a.mkv", "rungs": [{ "height": 720, "codec": "hevc" }, "480p"] });
    let hls = planned(wish, &media(Some("smpte2084"))).unwrap();
    let ranges: Vec<_> = hls.pictures.iter().map(|picture| picture.range).collect();
    assert_eq!(ranges, [VideoRange::Pq, VideoRange::Sdr]);
    let only = json!({ "input": "a.mkv", "codec": "hevc" });
    let notes = planned(only, &media(Some("smpte2084"))).unwrap().plan.notes;
    assert!(notes.iter().any(|note| note.contains("SDR as well")), "{notes:?}");
}

#[test]
fn what_players_do_not_take_is_refused() {
    let message = |args| {
        let failure = planned(args, &media(None)).unwrap_err();
        format!("{}; {}", failure.message, failure.hint.unwrap_or_default())
    };
    insta::assert_snapshot!(message(json!({ "input": "a", "codec": "vp9" })), @"HLS has no VP9; use `codec=h264`, `codec=hevc` or `codec=av1`");
    insta::assert_snapshot!(message(json!({ "input": "a", "codec": "hevc", "segments": "ts" })), @"players take HEVC in fMP4 segments only; leave `segments` out, or use `codec=h264`");
    insta::assert_snapshot!(message(json!({ "input": "a", "rungs": [{ "name": "audio" }] })), @"a rendition can't be called `audio` here; the folders of sound, subtitles and thumbnails begin like that");
    insta::assert_snapshot!(message(json!({ "input": "a", "segment_seconds": 0.5 })), @"`segment_seconds` isn't between 1 and 60;");
}
