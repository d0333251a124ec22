//! Holds a stream against the rules of Apple's "HLS authoring specification for Apple devices" (the
//! numbers in here) and of RFC 8216, with ffprobe and m3u8-rs as judges. Nothing that vdeploy says
//! of the stream is believed.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use m3u8_rs::{
    AlternativeMedia, AlternativeMediaType, MasterPlaylist, MediaPlaylist, MediaPlaylistType,
    VariantStream,
};
use serde_json::Value;

/// What was found in a stream that broke no rule.
#[derive(Debug)]
pub struct Stream {
    pub pictures: Vec<Rendition>,
    pub sounds: Vec<Rendition>,
}

/// One rendition.
#[derive(Debug)]
pub struct Rendition {
    /// Seconds of each segment.
    pub segments: Vec<f64>,
    /// Frames, or packets of sound.
    pub frames: usize,
    /// Width and height in pixels; zero for sound.
    pub size: (u64, u64),
    /// Bits per second of the busiest segments, and on average.
    peak: u64,
    average: u64,
    target: u64,
    /// Frames per second; the first one may stand for longer.
    rate: f64,
}

/// Checks the stream in `folder`; panics with the rule that is broken.
pub fn check(folder: &Path) -> Stream {
    let (text, master) = master(folder);
    let group = |kind: &AlternativeMediaType| -> Vec<&AlternativeMedia> {
        master.alternatives.iter().filter(|media| media.media_type == *kind).collect()
    };
    let audio = group(&AlternativeMediaType::Audio);
    let sounds: Vec<_> = audio.iter().map(|media| sound(folder, media)).collect();
    let variants: Vec<_> = master.variants.iter().filter(|v| !v.is_i_frame).collect();
    let pictures: Vec<_> = variants.iter().map(|variant| picture(folder, variant)).collect();
    for (variant, picture) in variants.iter().zip(&pictures) {
        variant_is_true(variant, picture, &sounds);
        assert_eq!(
            variant.audio.is_some(),
            !sounds.is_empty(),
            "sound is in a group of its own (9.5)"
        );
    }
    let ranges: BTreeSet<_> =
        text.lines().filter_map(|line| attribute(line, "VIDEO-RANGE")).collect();
    assert!(ranges.contains("SDR"), "1.24 SDR must be there: {ranges:?}");
    groups_are_sound(&audio);
    let subtitles = group(&AlternativeMediaType::Subtitles);
    groups_are_sound(&subtitles);
    alike(&pictures, &sounds);
    for media in subtitles {
        subtitle(folder, media, &pictures[0]);
    }
    for variant in &variants {
        trick_play(folder, &master, variant, &text);
    }
    images(folder, &text, &pictures[0]);
    dash(folder, &pictures);
    Stream { pictures, sounds }
}

fn master(folder: &Path) -> (String, MasterPlaylist) {
    let text = std::fs::read_to_string(folder.join("master.m3u8")).unwrap();
    let master = m3u8_rs::parse_master_playlist_res(text.as_bytes()).expect("m3u8-rs reads it");
    assert!(master.independent_segments, "9.12 independent segments, in the master");
    assert!(!master.variants.is_empty());
    (text, master)
}

/// 9.1 to 9.15: what the master says of a variant is what is there.
fn variant_is_true(variant: &VariantStream, picture: &Rendition, sounds: &[Rendition]) {
    let most = |of: fn(&Rendition) -> u64| sounds.iter().map(of).max().unwrap_or(0);
    let (peak, average) = (picture.peak + most(|s| s.peak), picture.average + most(|s| s.average));
    near(variant.bandwidth, peak.max(average), "9.13 BANDWIDTH is the sum of the peaks");
    let said = variant.average_bandwidth.expect("9.14 AVERAGE-BANDWIDTH must be there");
    near(said, average, "9.14 AVERAGE-BANDWIDTH");
    let resolution = variant.resolution.expect("9.2 RESOLUTION must be there");
    assert_eq!((resolution.width, resolution.height), picture.size, "9.2 RESOLUTION");
    let rate = variant.frame_rate.expect("9.15 FRAME-RATE must be there");
    let real = picture.rate;
    assert!((rate - real).abs() < real * 0.02, "9.15 FRAME-RATE {rate}, and it is {real}");
    assert!(rate <= 60.0, "1.19 no more than 60 frames per second");
    let said =
        variant.other_attributes.as_ref().is_some_and(|other| other.contains_key("VIDEO-RANGE"));
    assert!(
        said,
        "4.4.6.2 of the draft: VIDEO-RANGE must be there where CODECS alone don't say it"
    );
}

/// 8.10, 2.3 and RFC 8216 §4.3.4.1.1: languages are said, names differ, one is the default.
fn groups_are_sound(group: &[&AlternativeMedia]) {
    let names: BTreeSet<_> = group.iter().map(|media| &media.name).collect();
    assert_eq!(names.len(), group.len(), "names of a group differ");
    assert!(group.iter().all(|media| media.language.is_some()), "8.10 LANGUAGE must be there");
    assert!(group.iter().filter(|media| media.default).count() <= 1, "one default at most");
}

/// 8.2, 8.3, 8.7 and 8.22: one target duration, one length, cuts at the same moments.
fn alike(pictures: &[Rendition], sounds: &[Rendition]) {
    let first = &pictures[0];
    let frame = first.segments.iter().sum::<f64>() / first.frames as f64;
    for other in pictures.iter().chain(sounds) {
        assert_eq!(other.target, first.target, "8.2 one target duration");
        assert_eq!(other.segments.len(), first.segments.len(), "8.22 as many segments");
        let (mut one, mut two) = (0.0, 0.0);
        for (a, b) in first.segments.iter().zip(&other.segments) {
            one += a;
            two += b;
            assert!(
                (one - two).abs() <= frame.max(0.03),
                "8.3 and 8.22: cut at {one} and at {two}"
            );
        }
    }
}

fn picture(folder: &Path, variant: &VariantStream) -> Rendition {
    let codecs = variant.codecs.as_ref().expect("9.1 CODECS must be there");
    let codec = codecs.split(',').next().unwrap();
    assert!(
        ["avc1.", "hvc1.", "av01."].iter().any(|kind| codec.starts_with(kind)),
        "1.10: {codec}"
    );
    let (rendition, stream) = rendition(&folder.join(&variant.uri), "v:0");
    assert_eq!(codec, expected_codec(&stream, codec), "9.1 CODECS says what is there");
    Rendition { size: (number(&stream["width"]), number(&stream["height"])), ..rendition }
}

fn sound(folder: &Path, media: &AlternativeMedia) -> Rendition {
    let uri = media.uri.as_ref().expect("sound of its own has a playlist");
    let (rendition, stream) = rendition(&folder.join(uri), "a:0");
    assert_eq!(
        (&stream["codec_name"], number(&stream["channels"])),
        (&"aac".into(), 2),
        "2.3 stereo AAC"
    );
    rendition
}

/// What ffprobe makes of the codec; parts that it doesn't say are taken from `said`.
fn expected_codec(stream: &Value, said: &str) -> String {
    let level = number(&stream["level"]);
    let profile = stream["profile"].as_str().unwrap();
    match stream["codec_name"].as_str().unwrap() {
        "h264" => {
            let profile = match profile {
                "Constrained Baseline" => "42c0",
                "Main" => "4d40",
                "High" => "6400",
                other => panic!("{other}"),
            };
            format!("avc1.{profile}{level:02x}")
        }
        "hevc" => {
            assert_eq!(profile, "Main");
            assert!(said.starts_with(&format!("hvc1.1.6.L{level}.")), "{said}");
            said.into()
        }
        "av1" => {
            assert_eq!(profile, "Main");
            format!("av01.0.{level:02}M.08")
        }
        other => panic!("{other}"),
    }
}

/// One rendition: its playlist and its segments.
fn rendition(playlist: &Path, stream: &str) -> (Rendition, Value) {
    let media = media_playlist(playlist);
    assert!(!media.i_frames_only);
    let folder = playlist.parent().unwrap();
    let (whole, ranges) = joined(folder, &media);
    let probe = ffprobe(
        &whole,
        &["-select_streams", stream, "-show_streams", "-count_frames", "-show_packets"],
    );
    let streams = ffprobe(&whole, &["-show_streams"]);
    assert_eq!(streams["streams"].as_array().unwrap().len(), 1, "2.17 one stream per segment");
    let packets = probe["packets"].as_array().unwrap();
    let found = &probe["streams"][0];
    let lengths: Vec<f64> =
        media.segments.iter().map(|segment| f64::from(segment.duration)).collect();
    if stream.starts_with('v') {
        assert_eq!(text(found, "nb_read_frames"), packets.len().to_string(), "every frame decodes");
        cuts_are_true(packets, &ranges, &lengths);
    }
    let sizes: Vec<_> = ranges.iter().map(|range| range.end - range.start).collect();
    let (peak, average) = rates(&sizes, &lengths, media.target_duration as f64);
    let rate = rate(packets).unwrap_or(packets.len() as f64 / lengths.iter().sum::<f64>());
    let (segments, frames, target) = (lengths, packets.len(), media.target_duration);
    let rendition = Rendition { segments, frames, size: (0, 0), peak, average, target, rate };
    std::fs::remove_file(whole).unwrap();
    (rendition, found.clone())
}

/// 7.4 and 8.1: segments begin with a keyframe, at the moment that durations add up to.
fn cuts_are_true(packets: &[Value], ranges: &[Range<u64>], lengths: &[f64]) {
    let time = |packet: &Value| text(packet, "pts_time").parse::<f64>().unwrap();
    let mut times: Vec<_> = packets.iter().map(time).collect();
    times.sort_by(f64::total_cmp);
    // Times of TS begin anywhere.
    let zero = if times[0] > 1.0 { times[0] } else { 0.0 };
    let frame = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    let mut sum = 0.0;
    for (range, length) in ranges.iter().zip(lengths) {
        let inside = |packet: &&Value| range.contains(&text(packet, "pos").parse().unwrap());
        let first = packets.iter().find(inside).expect("a segment has frames");
        assert!(text(first, "flags").starts_with('K'), "7.4 segments begin with an IDR: {first}");
        let start = time(first) - zero;
        assert!((start - sum).abs() <= frame, "8.1 durations add up to {sum}, and it is {start}");
        let open = packets.iter().filter(inside).any(|packet| time(packet) < time(first));
        assert!(!open, "groups of pictures are closed");
        sum += length;
    }
}

/// Packets per second from the second one on.
fn rate(packets: &[Value]) -> Option<f64> {
    let time = |packet: &Value| packet["pts_time"].as_str()?.parse::<f64>().ok();
    let mut times: Vec<_> = packets.iter().filter_map(time).collect();
    times.sort_by(f64::total_cmp);
    let (second, last) = (times.get(1)?, times.last()?);
    (times.len() > 2).then(|| (times.len() - 2) as f64 / (last - second))
}

/// RFC 8216 §4.3.4.2: the largest rate of successive segments that take 0.5 to 1.5 of the target.
fn rates(sizes: &[u64], lengths: &[f64], target: f64) -> (u64, u64) {
    let rate = |range: Range<usize>| {
        let bytes: u64 = sizes[range.clone()].iter().sum();
        bytes as f64 * 8.0 / lengths[range].iter().sum::<f64>()
    };
    let all = 0..sizes.len();
    let runs = all.clone().flat_map(|start| (start + 1..=sizes.len()).map(move |end| start..end));
    let fits = |run: &Range<usize>| {
        let seconds: f64 = lengths[run.clone()].iter().sum();
        (target * 0.5..=target * 1.5).contains(&seconds)
    };
    let peak = runs.filter(fits).map(rate).fold(0.0, f64::max);
    let average = rate(all);
    let peak = if peak == 0.0 { average } else { peak };
    (peak as u64, average as u64)
}

/// A media playlist with what all of them need.
fn media_playlist(path: &Path) -> MediaPlaylist {
    let text = std::fs::read(path).unwrap();
    let media = m3u8_rs::parse_media_playlist_res(&text).expect("m3u8-rs reads it");
    assert_eq!(media.playlist_type, Some(MediaPlaylistType::Vod), "8.6 PLAYLIST-TYPE VOD");
    assert!(media.end_list && !media.segments.is_empty());
    for segment in &media.segments {
        let length = f64::from(segment.duration);
        let target = media.target_duration as f64;
        assert!(length.round() <= target, "RFC 8216 4.3.3.1: {length} rounded is over {target}");
        assert!(length <= target + 0.5, "7.7: {length} is over {target} by more than 0.5");
        assert!(!segment.discontinuity, "8.13 nothing is discontinuous");
        let file = path.parent().unwrap().join(&segment.uri);
        assert!(file.is_file(), "{}", file.display());
    }
    let is_mp4 = media.segments[0].uri.ends_with(".m4s");
    assert_eq!(media.segments[0].map.is_some(), is_mp4, "8.20 EXT-X-MAP for fMP4");
    media
}

/// All segments in one file, and where each of them is in it.
fn joined(folder: &Path, media: &MediaPlaylist) -> (PathBuf, Vec<Range<u64>>) {
    let mut bytes = Vec::new();
    if let Some(map) = &media.segments[0].map {
        bytes = std::fs::read(folder.join(&map.uri)).unwrap();
    }
    let mut ranges = Vec::new();
    for segment in &media.segments {
        let start = bytes.len() as u64;
        bytes.extend(std::fs::read(folder.join(&segment.uri)).unwrap());
        ranges.push(start..bytes.len() as u64);
    }
    let name = folder.file_name().unwrap().to_string_lossy();
    let path = folder.parent().unwrap().with_file_name(format!("joined-{name}"));
    std::fs::write(&path, bytes).unwrap();
    (path, ranges)
}

/// 6.1, 6.8, 9.3 and 9.4: keyframes have a playlist, and each part that it names is one picture.
fn trick_play(folder: &Path, master: &MasterPlaylist, variant: &VariantStream, text: &str) {
    let only =
        |stream: &&VariantStream| stream.is_i_frame && stream.resolution == variant.resolution;
    let codec = variant.codecs.as_ref().unwrap().split(',').next().unwrap();
    let mut streams = master.variants.iter().filter(only);
    let stream = streams.find(|s| s.codecs.as_deref() == Some(codec));
    let stream =
        stream.expect("6.1 an I-frame playlist for each variant (9.3 CODECS, 9.4 RESOLUTION)");
    assert!(text.contains("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH="));
    let path = folder.join(&stream.uri);
    let media = media_playlist(&path);
    assert!(media.i_frames_only, "6.8 EXT-X-I-FRAMES-ONLY");
    let (first, last) = (media.segments.first().unwrap(), media.segments.last().unwrap());
    for segment in [first, last] {
        let range = segment.byte_range.as_ref().expect("a part of a segment");
        let folder = path.parent().unwrap();
        let file = std::fs::read(folder.join(&segment.uri)).unwrap();
        let start = range.offset.unwrap() as usize;
        let header = first.map.as_ref().map(|map| std::fs::read(folder.join(&map.uri)).unwrap());
        let mut bytes = header.unwrap_or_default();
        bytes.extend(&file[start..start + range.length as usize]);
        let alone = folder.with_file_name("alone");
        std::fs::write(&alone, bytes).unwrap();
        let decoded = Command::new("ffmpeg")
            .args(["-v", "fatal", "-i"])
            .arg(&alone)
            .args(["-f", "framemd5", "-"])
            .output();
        let frames = String::from_utf8(decoded.unwrap().stdout).unwrap();
        let frames = frames.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(frames, 1, "a keyframe decodes alone: {segment:?}");
        std::fs::remove_file(alone).unwrap();
    }
    let all = media_playlist(&folder.join(&variant.uri));
    let length =
        |media: &MediaPlaylist| media.segments.iter().map(|s| f64::from(s.duration)).sum::<f64>();
    assert!((length(&media) - length(&all)).abs() < 0.01, "keyframes stand for all of the time");
}

/// Subtitles are cut where the picture is, and have the clock of the segments.
fn subtitle(folder: &Path, media: &AlternativeMedia, picture: &Rendition) {
    let path = folder.join(media.uri.as_ref().unwrap());
    let playlist = m3u8_rs::parse_media_playlist_res(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(playlist.segments.len(), picture.segments.len());
    assert_eq!(playlist.target_duration, picture.target);
    for (segment, length) in playlist.segments.iter().zip(&picture.segments) {
        assert!((f64::from(segment.duration) - length).abs() < 0.001);
        let text = std::fs::read_to_string(path.with_file_name(&segment.uri)).unwrap();
        assert!(text.starts_with("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:"), "{text}");
    }
}

/// Small pictures: every sheet is there and as large as the track needs it.
fn images(folder: &Path, master: &str, picture: &Rendition) {
    let Some(line) = master.lines().find(|line| line.starts_with("#EXT-X-IMAGE-STREAM-INF:"))
    else {
        assert!(!folder.join("thumbnails").exists());
        return;
    };
    assert!(attribute(line, "BANDWIDTH").is_some() && attribute(line, "RESOLUTION").is_some());
    let playlist = folder.join(attribute(line, "URI").unwrap());
    let text = std::fs::read_to_string(&playlist).unwrap();
    assert!(text.contains("#EXT-X-IMAGES-ONLY") && text.contains("LAYOUT="));
    let sheet = |name: &str| size(&playlist.with_file_name(name));
    let track = std::fs::read_to_string(playlist.with_file_name("thumbnails.vtt")).unwrap();
    let mut end = String::new();
    for block in track.split("\n\n").skip(1) {
        let (times, place) = block.trim().split_once('\n').unwrap();
        let (file, part) = place.split_once("#xywh=").unwrap();
        let part: Vec<u64> = part.split(',').map(|side| side.parse().unwrap()).collect();
        let (width, height) = sheet(file);
        assert!(part[0] + part[2] <= width && part[1] + part[3] <= height, "{place}");
        let (start, until) = times.split_once(" --> ").unwrap();
        assert!(end.is_empty() || start == end, "small pictures follow each other");
        end = until.into();
    }
    let seconds = end.rsplit(':').next().unwrap().parse::<f64>().unwrap();
    assert!((seconds - picture.segments.iter().sum::<f64>() % 60.0).abs() < 0.05, "{end}");
    assert_eq!(size(&folder.join("poster.jpg")), size_of_largest(folder, master));
}

fn size_of_largest(folder: &Path, master: &str) -> (u64, u64) {
    let lines = master.lines().filter(|line| line.starts_with("#EXT-X-STREAM-INF:"));
    let sizes = lines.filter_map(|line| {
        let (width, height) = attribute(line, "RESOLUTION")?.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    });
    sizes.max().unwrap_or_else(|| panic!("{}", folder.display()))
}

fn size(path: &Path) -> (u64, u64) {
    let stream = &ffprobe(path, &["-show_streams"])["streams"][0];
    (number(&stream["width"]), number(&stream["height"]))
}

/// ffmpeg's own player of DASH finds every frame through the manifest.
fn dash(folder: &Path, pictures: &[Rendition]) {
    let manifest = folder.join("manifest.mpd");
    if !manifest.exists() {
        return;
    }
    // One at a time: ffmpeg 5.1 ends with the first of several that ends.
    let count = |index: usize| {
        let stream = format!("v:{index}");
        let args = ["-select_streams", &stream, "-count_packets", "-show_streams"];
        let probe = ffprobe(&manifest, &args);
        text(&probe["streams"][0], "nb_read_packets").parse::<usize>().unwrap()
    };
    let mut found: Vec<_> = (0..pictures.len()).map(count).collect();
    let mut frames: Vec<_> = pictures.iter().map(|picture| picture.frames).collect();
    found.sort_unstable();
    frames.sort_unstable();
    assert_eq!(found, frames, "DASH has the same frames");
}

fn ffprobe(path: &Path, args: &[&str]) -> Value {
    let output: Output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json"])
        .args(args)
        .arg(path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{}: {errors}", path.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The value of an attribute in a line of a playlist.
fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!(",{name}=")).or_else(|| line.find(&format!(":{name}=")))?;
    let value = &line[start + name.len() + 2..];
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split(',').next(),
    }
}

fn near(said: u64, real: u64, what: &str) {
    assert!(said.abs_diff(real) <= real / 100 + 8, "{what}: it says {said}, and it is {real}");
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}
