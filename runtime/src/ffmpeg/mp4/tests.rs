//! Against files that ffmpeg makes and counts, and against bytes that nobody made.

use std::ffi::OsString;
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::ffmpeg::probe::{self, Count, Media};
use crate::ffmpeg::{Tools, exec};

const PICTURE: &str = "testsrc2=s=160x90:r=25:d=1.5";
const SOUND: &str = "sine=f=440:d=1.5";

/// Has ffmpeg make `name` of a picture and a sound.
async fn make(folder: &TempDir, name: &str, options: &str) -> PathBuf {
    let path = folder.path().join(name);
    let args = ["-y", "-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", SOUND]
        .into_iter()
        .chain(options.split_whitespace())
        .map(OsString::from)
        .chain([path.clone().into_os_string()])
        .collect();
    exec::ffmpeg("ffmpeg".as_ref(), args, &CancellationToken::new(), |_| {}).await.unwrap();
    path
}

async fn probed(path: &Path) -> Media {
    let tools = Tools {
        ffmpeg: "ffmpeg".into(),
        ffprobe: "ffprobe".into(),
        cache: "".into(),
        onnxruntime: None,
    };
    tools.inspect(path, "clip", Count::Packets, &CancellationToken::new()).await.unwrap()
}

fn indexed(path: &Path) -> Result<Index> {
    read(File::open(path).unwrap())
}

/// The index says what ffprobe finds by reading every packet.
async fn agrees(path: &Path) {
    let (index, media) = (indexed(path).unwrap(), probed(path).await);
    assert_eq!(index.tracks.len(), media.streams.len());
    for (track, stream) in index.tracks.iter().zip(&media.streams) {
        assert_eq!(Some(track.samples), stream.counted_packets, "{stream:?}");
        // Edit lists are in milliseconds.
        let differs = track.duration - stream.duration.unwrap();
        assert!(differs.abs() < 0.002, "{} and {stream:?}", track.duration);
        match (&track.kind, &stream.kind) {
            (Kind::Video { width, height }, probe::Kind::Video(video)) => {
                assert_eq!((*width, *height), (video.width, video.height));
            }
            (Kind::Audio { codec }, probe::Kind::Audio(_)) => assert_eq!(*codec, stream.codec),
            (Kind::Other, probe::Kind::Subtitle | probe::Kind::Other) => {}
            kinds => panic!("{kinds:?}"),
        }
    }
}

#[tokio::test]
async fn the_index_agrees_with_a_count_of_the_packets() {
    let folder = TempDir::new().unwrap();
    for (name, options) in [
        ("b-frames.mp4", "-c:v libx264 -bf 3 -pix_fmt yuv420p -c:a aac -movflags +faststart"),
        ("index-last.mp4", "-c:v mpeg4 -c:a libmp3lame"),
        ("odd-rate.mp4", "-c:v libx264 -r 30000/1001 -c:a ac3"),
        ("silent.mp4", "-an -c:v libx264"),
        ("two-sounds.mp4", "-map 0:v -map 1:a -map 1:a -c:v libx264 -c:a:0 aac -c:a:1 libopus"),
        ("quicktime.mov", "-c:v libx264 -c:a aac -movflags +faststart"),
        ("quicktime-lossless.mov", "-c:v libx264 -c:a alac"),
        ("late-sound.mp4", "-c:v libx264 -af adelay=100 -c:a aac -timecode 00:00:00:00"),
    ] {
        agrees(&make(&folder, name, options).await).await;
    }
}

#[tokio::test]
async fn what_is_unusual_is_left_to_ffprobe() {
    let folder = TempDir::new().unwrap();
    for (name, options) in [
        ("fragmented.mp4", "-c:v libx264 -an -movflags +frag_keyframe+empty_moov"),
        ("raw-sound.mov", "-c:v libx264 -c:a pcm_s16le"),
        ("other.mkv", "-c:v libx264 -c:a aac"),
    ] {
        let path = make(&folder, name, options).await;
        assert!(matches!(indexed(&path), Err(IndexError::Unusual(_))), "{name}");
    }
}

#[tokio::test]
async fn an_index_of_media_that_is_not_there_counts_nothing() {
    let folder = TempDir::new().unwrap();
    let options = "-c:v libx264 -c:a aac -movflags +faststart";
    let whole = std::fs::read(make(&folder, "clip.mp4", options).await).unwrap();
    assert_eq!(read(Cursor::new(&whole)).unwrap().tracks.len(), 2);
    let cut = whole.get(..whole.len() - 100).unwrap();
    assert!(read(Cursor::new(cut)).is_err());
    let at = whole.windows(4).position(|window| window == b"mdat").unwrap();
    let mut hollow = whole.get(..at + 4).unwrap().to_vec();
    // The box of the media data, by itself and empty.
    hollow.splice(at - 4..at, 8_u32.to_be_bytes());
    let error = read(Cursor::new(&hollow)).unwrap_err();
    assert_eq!(error.to_string(), "its samples are larger than its media data");
}

#[tokio::test]
async fn a_header_with_any_byte_changed_is_read_or_refused() {
    let folder = TempDir::new().unwrap();
    let options = "-c:v libx264 -c:a aac -movflags +faststart";
    let whole = std::fs::read(make(&folder, "clip.mp4", options).await).unwrap();
    let header = whole.windows(4).position(|window| window == b"mdat").unwrap();
    for at in 0..header {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            if let Some(byte) = damaged.get_mut(at) {
                *byte ^= change;
            }
            let _ = read(Cursor::new(damaged));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = read(Cursor::new(bytes));
    }

    #[test]
    fn boxes_with_any_content_are_read_or_refused(
        kinds in prop::collection::vec(
            prop::sample::select(vec!["moov", "mvhd", "trak", "mdia", "stbl", "mdat", "elst"]),
            1..6,
        ),
        content in prop::collection::vec(any::<u8>(), 0..128),
    ) {
        let mut bytes = content;
        for kind in kinds {
            let size = u32::try_from(bytes.len() + 8).unwrap();
            let head = size.to_be_bytes().into_iter().chain(kind.bytes());
            bytes.splice(0..0, head);
        }
        let _ = read(Cursor::new(bytes));
    }
}
