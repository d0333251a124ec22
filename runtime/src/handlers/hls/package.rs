//! Turns what was encoded into a stream: segments, playlists, manifests, small pictures.

use std::fs;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::language;
use super::plan::{HlsPlan, Picture, Track};
use super::stills::{self, Thumbnails};
use crate::ffmpeg::mp4::IndexError;
use crate::ffmpeg::mp4::samples::{MediaKind, Movie, SampleTrack};
use crate::packaging::hls::{self, Presentation, Sound, Subtitles};
use crate::packaging::measure::measure;
use crate::packaging::segments::{self, Format, Task, Written};
use crate::packaging::{PackagingError, Time, cuts, dash, ts, webvtt};

/// What is to be packaged, and how.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) plan: HlsPlan,
    pub(super) format: Format,
    pub(super) segment_seconds: f64,
    pub(super) output: PathBuf,
}

/// What was packaged.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub(super) presentation: Presentation,
    /// Seconds of the whole.
    pub(super) duration: f64,
    /// The sheets of small pictures that the presentation speaks of.
    pub(super) thumbnails: Thumbnails,
}

impl Order {
    /// Writes all segments. Each encoded file of sound is removed when it is done with; those of
    /// the picture are still needed for small pictures.
    pub(super) fn segments(&self, cancel: &CancellationToken) -> Result<Package, PackagingError> {
        let movies = self.open_pictures()?;
        let (movie, track) = movies.first().ok_or(IndexError::Unusual("there is no picture"))?;
        let first = measure(movie, track)?;
        let starts = cuts::cuts(&first.keyframes, first.end, self.segment_seconds);
        let mut pictures = Vec::new();
        for (picture, (movie, track)) in self.plan.pictures.iter().zip(&movies) {
            let written = self.picture(picture, (movie, track), &starts, first.end, cancel)?;
            let (folder, size, range) = (picture.name.clone(), picture.size, picture.range);
            pictures.push(hls::Picture { folder, size, range, written });
        }
        let sounds = self.plan.sounds.iter().enumerate().map(|(index, track)| {
            let written = self.sound(track, &starts, first.end, cancel)?;
            Ok(Sound {
                folder: track.folder.clone(),
                name: track.name.clone(),
                language: Some(language::tag(&track.language).into()),
                channels: 2,
                default: index == 0,
                written,
            })
        });
        let sounds = sounds.collect::<Result<Vec<_>, PackagingError>>()?;
        let all = pictures.iter().map(|picture| &picture.written);
        let target = hls::target(all.chain(sounds.iter().map(|sound| &sound.written)));
        let best = pictures.iter().max_by_key(|picture| picture.size);
        let thumbnails = Thumbnails::of(best.map_or((1, 1), |best| best.size), &first);
        let subtitles = self.subtitles(&pictures[0].written, target)?;
        let presentation =
            Presentation { format: self.format, target, pictures, sounds, subtitles, tiles: None };
        Ok(Package { presentation, duration: first.end.seconds(), thumbnails })
    }

    fn open_pictures(&self) -> Result<Vec<(Movie, SampleTrack)>, PackagingError> {
        self.plan.pictures.iter().map(|picture| open(&picture.file, MediaKind::Video)).collect()
    }

    fn picture(
        &self,
        picture: &Picture,
        (movie, track): (&Movie, &SampleTrack),
        cuts: &[Time],
        until: Time,
        cancel: &CancellationToken,
    ) -> Result<Written, PackagingError> {
        let (format, size) = (self.format, picture.size);
        let task = Task { movie, track, format, size, language: "und", cuts, until };
        segments::write(task, &self.output.join(&picture.name), cancel)
    }

    fn sound(
        &self,
        sound: &Track,
        cuts: &[Time],
        until: Time,
        cancel: &CancellationToken,
    ) -> Result<Written, PackagingError> {
        let (movie, track) = open(&sound.file, MediaKind::Audio)?;
        let task = Task {
            movie: &movie,
            track: &track,
            format: self.format,
            size: (0, 0),
            language: &sound.language,
            cuts,
            until,
        };
        let written = segments::write(task, &self.output.join(&sound.folder), cancel)?;
        fs::remove_file(&sound.file)?;
        Ok(written)
    }

    /// Cuts subtitles where the picture is cut.
    fn subtitles(&self, picture: &Written, target: u32) -> Result<Vec<Subtitles>, PackagingError> {
        let clock = match self.format {
            Format::Cmaf => 0,
            Format::Ts => ts::START,
        };
        let mut renditions = Vec::new();
        for track in &self.plan.subtitles {
            let folder = self.output.join(&track.folder);
            fs::create_dir(&folder)?;
            let cues = webvtt::parse(&fs::read_to_string(&track.file)?);
            let mut lengths = Vec::new();
            for (index, segment) in picture.segments.iter().enumerate() {
                let start = picture.seconds(segment.start);
                let end = picture.seconds(segment.start + segment.length);
                let text = webvtt::segment(&cues, (start, end), clock);
                fs::write(folder.join(hls::subtitle_segment(index)), text)?;
                lengths.push(end - start);
            }
            let playlist = hls::subtitles(&lengths, self.format, target);
            fs::write(folder.join(hls::PLAYLIST), playlist)?;
            renditions.push(Subtitles {
                folder: track.folder.clone(),
                name: track.name.clone(),
                language: Some(language::tag(&track.language).into()),
            });
        }
        Ok(renditions)
    }

    /// Writes playlists and manifests of what is there now.
    pub(super) fn playlists(&self, package: &Package) -> Result<(), PackagingError> {
        let all = &package.presentation;
        let write = |folder: &str, name: &str, text: String| {
            fs::write(self.output.join(folder).join(name), text)
        };
        for picture in &all.pictures {
            let (folder, written) = (picture.folder.as_str(), &picture.written);
            write(folder, hls::PLAYLIST, hls::media(written, self.format, all.target))?;
            write(folder, hls::KEYFRAMES, hls::keyframes(written, self.format, all.target))?;
        }
        for sound in &all.sounds {
            let text = hls::media(&sound.written, self.format, all.target);
            write(&sound.folder, hls::PLAYLIST, text)?;
        }
        if let Some(tiles) = &all.tiles {
            write(&tiles.folder, hls::PLAYLIST, hls::tiles(tiles, stills::sheet))?;
            write(&tiles.folder, stills::TRACK, webvtt::thumbnails(tiles, stills::sheet))?;
        }
        if self.format == Format::Cmaf {
            write("", MANIFEST, dash::manifest(all, package.duration))?;
        }
        write("", MASTER, hls::master(all))?;
        Ok(())
    }
}

/// The playlist of everything.
pub(super) const MASTER: &str = "master.m3u8";

/// The DASH manifest.
pub(super) const MANIFEST: &str = "manifest.mpd";

fn open(path: &Path, kind: MediaKind) -> Result<(Movie, SampleTrack), PackagingError> {
    let movie = Movie::open(path)?;
    let track = movie.track(kind).ok_or(IndexError::Unusual("it lacks its track"))?.clone();
    Ok((movie, track))
}
