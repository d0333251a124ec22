//! The poster and the small pictures for seeking: which, how large, and how they are made.

use std::path::{Path, PathBuf};

use super::plan::Picture;
use crate::encode::size::{Bounds, Fit, geometry};
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::job::Input;
use crate::ffmpeg::picture::{PictureCoding, PictureJob, To, numbered};
use crate::packaging::hls::Tiles;
use crate::packaging::measure::Measured;
use crate::packaging::rates::Piece;

/// The folder of small pictures.
pub(super) const FOLDER: &str = "thumbnails";

/// The track that says where each small picture is.
pub(super) const TRACK: &str = "thumbnails.vtt";

/// The poster.
pub(super) const POSTER: &str = "poster.jpg";

/// Small pictures of one video; more would be too many to look at.
const MOST: usize = 300;

/// Columns and rows of a sheet.
const SHEET: usize = 5;

/// Pixels of the longer side.
const SIDE: u32 = 160;

/// How sheets are coded.
const SHEET_CODING: PictureCoding = PictureCoding::Jpeg(88);

/// The first keyframes, among which the poster is chosen.
const POSTER_CHOICE: u32 = 15;

/// Which small pictures there are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Thumbnails {
    /// Every so manieth keyframe.
    every: u32,
    size: (u32, u32),
    layout: (u32, u32),
    starts: Vec<f64>,
    duration: f64,
}

impl Thumbnails {
    /// For pictures of this shape, with these keyframes.
    pub(super) fn of(shape: (u32, u32), measured: &Measured) -> Self {
        let all = measured.keyframes.len();
        let every = all.div_ceil(MOST).max(1);
        let starts: Vec<_> =
            measured.keyframes.iter().step_by(every).map(|time| time.seconds()).collect();
        let columns = starts.len().clamp(1, SHEET);
        let rows = starts.len().div_ceil(columns).clamp(1, SHEET);
        let shown = (f64::from(shape.0), f64::from(shape.1));
        let bounds = Bounds::Pixels { width: Some(SIDE), height: Some(SIDE) };
        Thumbnails {
            every: u32::try_from(every).unwrap_or(u32::MAX),
            size: geometry(shown, bounds, Fit::Contain).size(),
            layout: (columns as u32, rows as u32),
            starts,
            duration: measured.end.seconds(),
        }
    }

    /// How the sheets are made: from the smallest rendition.
    pub(super) fn sheets(&self, pictures: &[Picture], output: &Path) -> Option<PictureJob> {
        let smallest = pictures.iter().min_by_key(|picture| pixels(picture))?;
        let scale = Filter::Scale { size: self.size, to_video_range: false, matrix: None };
        let filters =
            vec![Filter::OneOf(self.every), scale, Filter::SquarePixels, Filter::Tile(self.layout)];
        let sheets = self.starts.len().div_ceil((self.layout.0 * self.layout.1) as usize);
        let to = To::Folder(folder(output));
        Some(of_keyframes(smallest, Chain(filters), SHEET_CODING, sheets as u64, to))
    }

    /// What was made: the sheets in `folder`, measured.
    pub(super) fn tiles(self, folder: &Path) -> std::io::Result<Tiles> {
        let Thumbnails { size, layout, starts, duration, .. } = self;
        let per_sheet = (layout.0 * layout.1) as usize;
        let mut files = Vec::new();
        for (index, part) in starts.chunks(per_sheet).enumerate() {
            let start = if index == 0 { 0.0 } else { part[0] };
            let end = starts.get((index + 1) * per_sheet).copied().unwrap_or(duration);
            let bytes = std::fs::metadata(folder.join(sheet(index)))?.len();
            files.push(Piece { seconds: end - start, bytes });
        }
        Ok(Tiles { folder: FOLDER.into(), size, layout, starts, duration, files })
    }
}

/// How the poster is made: from the largest rendition, of the keyframes at its start.
pub(super) fn poster(pictures: &[Picture], output: &Path) -> Option<PictureJob> {
    let largest = pictures.iter().max_by_key(|picture| pixels(picture))?;
    let filters = Chain(vec![Filter::Typical(POSTER_CHOICE)]);
    let to = To::File(output.join(POSTER));
    Some(of_keyframes(largest, filters, PictureCoding::Jpeg(95), 1, to))
}

fn of_keyframes(
    picture: &Picture,
    filters: Chain,
    coding: PictureCoding,
    most: u64,
    to: To,
) -> PictureJob {
    let input = Input::of(&picture.file);
    PictureJob { input, stream: 0, keyframes_only: true, filters, coding, most, to, threads: None }
}

fn pixels(picture: &Picture) -> u64 {
    u64::from(picture.size.0) * u64::from(picture.size.1)
}

/// The file of a sheet, by its index.
pub(super) fn sheet(index: usize) -> String {
    let path = numbered(Path::new(""), index as u64, SHEET_CODING);
    path.to_string_lossy().into_owned()
}

/// The folder that sheets go into.
pub(super) fn folder(output: &Path) -> PathBuf {
    output.join(FOLDER)
}
