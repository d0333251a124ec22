use super::*;
use crate::packaging::segments::Segment;

/// Segments of 6.006 s at 29.97 frames per second, the last one shorter.
fn written(codec: &str, scale: u64) -> Written {
    let segment = |start: i64, length: i64, bytes: u64| Segment { start, length, bytes };
    let keyframe = |segment, shown, at| Keyframe { segment, shown, at, bytes: 9000 };
    Written {
        codec: codec.into(),
        timescale: 30_000,
        segments: vec![
            segment(0, 180_180, 600_000 * scale),
            segment(180_180, 180_180, 900_000 * scale),
            segment(360_360, 90_090, 100_000 * scale),
        ],
        keyframes: vec![
            keyframe(0, 0, 24),
            keyframe(0, 90_090, 300_000),
            keyframe(1, 180_180, 24),
            keyframe(1, 270_270, 400_000),
            keyframe(2, 360_360, 24),
        ],
        samples: 450,
        end: 450_450,
        late: 0,
    }
}

fn presentation(format: Format) -> Presentation {
    let picture = |folder: &str, size, scale| Picture {
        folder: folder.into(),
        size,
        range: VideoRange::Sdr,
        written: written("avc1.64001f", scale),
    };
    let sound = Sound {
        folder: "audio".into(),
        name: "English \"5.1\"".into(),
        language: Some("en".into()),
        channels: 2,
        default: true,
        written: Written { keyframes: Vec::new(), ..written("mp4a.40.2", 0) },
    };
    let tiles = Tiles {
        folder: "thumbnails".into(),
        size: (160, 90),
        layout: (5, 5),
        starts: (0..8).map(|n| f64::from(n) * 2.0).collect(),
        duration: 15.015,
        files: vec![Piece { seconds: 15.015, bytes: 30_000 }],
    };
    let subtitles =
        Subtitles { folder: "subtitles".into(), name: "English".into(), language: None };
    Presentation {
        format,
        target: 6,
        pictures: vec![picture("720p", (1280, 720), 2), picture("360p", (640, 360), 1)],
        sounds: vec![sound],
        subtitles: vec![subtitles],
        tiles: Some(tiles),
    }
}

#[test]
fn the_master_says_what_was_measured() {
    insta::assert_snapshot!(master(&presentation(Format::Cmaf)), @r#"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-INDEPENDENT-SEGMENTS

    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="English '5.1'",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio/playlist.m3u8"
    #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="English",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="subtitles/playlist.m3u8"
    #EXT-X-STREAM-INF:BANDWIDTH=2397603,AVERAGE-BANDWIDTH=1704962,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,VIDEO-RANGE=SDR,AUDIO="audio",SUBTITLES="subtitles",CLOSED-CAPTIONS=NONE
    720p/playlist.m3u8
    #EXT-X-STREAM-INF:BANDWIDTH=1198802,AVERAGE-BANDWIDTH=852481,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=29.970,VIDEO-RANGE=SDR,AUDIO="audio",SUBTITLES="subtitles",CLOSED-CAPTIONS=NONE
    360p/playlist.m3u8

    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=23977,AVERAGE-BANDWIDTH=23977,CODECS="avc1.64001f",RESOLUTION=1280x720,VIDEO-RANGE=SDR,URI="720p/iframes.m3u8"
    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=23977,AVERAGE-BANDWIDTH=23977,CODECS="avc1.64001f",RESOLUTION=640x360,VIDEO-RANGE=SDR,URI="360p/iframes.m3u8"
    #EXT-X-IMAGE-STREAM-INF:BANDWIDTH=15985,CODECS="jpeg",RESOLUTION=160x90,URI="thumbnails/playlist.m3u8"
    "#);
}

#[test]
fn a_media_playlist_lists_segments() {
    insta::assert_snapshot!(media(&written("avc1.64001f", 1), Format::Cmaf, 6), @r#"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-TARGETDURATION:6
    #EXT-X-MEDIA-SEQUENCE:1
    #EXT-X-PLAYLIST-TYPE:VOD
    #EXT-X-INDEPENDENT-SEGMENTS
    #EXT-X-MAP:URI="init.mp4"
    #EXTINF:6.006000,
    segment_00001.m4s
    #EXTINF:6.006000,
    segment_00002.m4s
    #EXTINF:3.003000,
    segment_00003.m4s
    #EXT-X-ENDLIST
    "#);
    let ts = media(&written("avc1.64001f", 1), Format::Ts, 6);
    assert!(!ts.contains("EXT-X-MAP") && ts.contains("segment_00003.ts"), "{ts}");
}

#[test]
fn a_keyframe_playlist_lists_parts_of_segments() {
    insta::assert_snapshot!(keyframes(&written("avc1.64001f", 1), Format::Cmaf, 6), @r#"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-TARGETDURATION:6
    #EXT-X-MEDIA-SEQUENCE:1
    #EXT-X-PLAYLIST-TYPE:VOD
    #EXT-X-INDEPENDENT-SEGMENTS
    #EXT-X-I-FRAMES-ONLY
    #EXT-X-MAP:URI="init.mp4"
    #EXTINF:3.003000,
    #EXT-X-BYTERANGE:9000@24
    segment_00001.m4s
    #EXTINF:3.003000,
    #EXT-X-BYTERANGE:9000@300000
    segment_00001.m4s
    #EXTINF:3.003000,
    #EXT-X-BYTERANGE:9000@24
    segment_00002.m4s
    #EXTINF:3.003000,
    #EXT-X-BYTERANGE:9000@400000
    segment_00002.m4s
    #EXTINF:3.003000,
    #EXT-X-BYTERANGE:9000@24
    segment_00003.m4s
    #EXT-X-ENDLIST
    "#);
}

#[test]
fn small_pictures_and_subtitles_have_playlists_too() {
    let tiles = presentation(Format::Cmaf).tiles.unwrap();
    insta::assert_snapshot!(super::tiles(&tiles, |index| format!("sprite_{index}.jpg")), @r"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-TARGETDURATION:16
    #EXT-X-MEDIA-SEQUENCE:1
    #EXT-X-PLAYLIST-TYPE:VOD
    #EXT-X-IMAGES-ONLY
    #EXTINF:15.015000,
    #EXT-X-TILES:RESOLUTION=160x90,LAYOUT=5x5,DURATION=2.000
    sprite_0.jpg
    #EXT-X-ENDLIST
    ");
    insta::assert_snapshot!(subtitles(&[6.006, 6.006, 3.003], Format::Cmaf, 6), @r"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-TARGETDURATION:6
    #EXT-X-MEDIA-SEQUENCE:1
    #EXT-X-PLAYLIST-TYPE:VOD
    #EXT-X-INDEPENDENT-SEGMENTS
    #EXTINF:6.006000,
    segment_00001.vtt
    #EXTINF:6.006000,
    segment_00002.vtt
    #EXTINF:3.003000,
    segment_00003.vtt
    #EXT-X-ENDLIST
    ");
}

#[test]
fn rounding_never_adds_up() {
    let third = Written { timescale: 3, ..Written::default() };
    let sum: f64 = whole_microseconds(&third, vec![1; 3000])
        .iter()
        .map(|text| text.parse::<f64>().unwrap())
        .sum();
    assert!((sum - 1000.0).abs() < 1e-6, "{sum}");
}

#[test]
fn the_target_is_the_longest_segment_of_all() {
    let mut long = written("a", 1);
    long.segments[0].length = 30_000 * 13 / 2;
    assert_eq!(target([&written("a", 1), &long]), 7);
    assert_eq!(target([]), 1);
}
