//! Many frames on one picture: where each goes, the picture while it is filled, and the WebVTT file
//! that tells players which part to show when. Pure but for [`Canvas`].

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::tensor::CHANNELS;
use crate::encode::size::MAX_SIDE;
use crate::wire::{Failure, FailureKind};

/// Cells of one sprite sheet; players load the whole of it to show one.
const MOST_CELLS: usize = 100;

/// Columns of a sprite sheet.
const COLUMNS: usize = 10;

/// Pixels between the pictures of a contact sheet, and around them.
const GAP: usize = 6;

/// The grey of the gaps.
const PAPER: u8 = 24;

/// Cells of one size in rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    columns: usize,
    rows: usize,
    cell: (usize, usize),
    gap: usize,
}

impl Grid {
    /// The grids of as many sprite sheets as `count` frames need.
    pub(super) fn sprites(
        count: usize,
        cell: (usize, usize),
        columns: Option<u32>,
    ) -> Result<Vec<Grid>, Failure> {
        let columns = columns.map_or(COLUMNS, |columns| columns as usize).min(count.max(1));
        let most_rows =
            (MAX_SIDE as usize / 2 / cell.1.max(1)).clamp(1, MOST_CELLS.div_ceil(columns));
        let whole = columns * most_rows;
        let counts = (0..count).step_by(whole).map(|first| (count - first).min(whole));
        counts
            .map(|count| Grid { columns, rows: count.div_ceil(columns), cell, gap: 0 }.checked())
            .collect()
    }

    /// The grid of a contact sheet.
    pub(super) fn contact(
        count: usize,
        cell: (usize, usize),
        columns: Option<u32>,
    ) -> Result<Grid, Failure> {
        let square = (count as f64).sqrt().ceil() as usize;
        let columns = columns.map_or(square, |columns| columns as usize).min(count).max(1);
        Grid { columns, rows: count.div_ceil(columns), cell, gap: GAP }.checked()
    }

    fn checked(self) -> Result<Grid, Failure> {
        let (width, height) = self.size();
        if width.max(height) <= MAX_SIDE as usize {
            return Ok(self);
        }
        Err(Failure::new(
            FailureKind::InvalidArgs,
            format!("the sheet would be {width}x{height} pixels, more than {MAX_SIDE} on a side"),
        )
        .hint("take fewer or smaller frames: `count=100 width=160`"))
    }

    /// Cells.
    pub(super) fn cells(self) -> usize {
        self.columns * self.rows
    }

    /// Width and height of the sheet.
    pub(super) fn size(self) -> (usize, usize) {
        let side = |cells: usize, cell: usize| cells * cell + (cells + 1) * self.gap;
        (side(self.columns, self.cell.0), side(self.rows, self.cell.1))
    }

    /// Left and top of a cell.
    pub(super) fn place(self, cell: usize) -> (usize, usize) {
        let (column, row) = (cell % self.columns, cell / self.columns);
        let at = |index: usize, side: usize| self.gap + index * (side + self.gap);
        (at(column, self.cell.0), at(row, self.cell.1))
    }
}

/// A sheet being filled: a BMP file, whose rows lie where they can be written one by one.
#[derive(Debug)]
pub(super) struct Canvas {
    file: File,
    grid: Grid,
}

/// Bytes before the pixels of a BMP file.
const BMP_HEADER: u32 = 54;

impl Canvas {
    pub(super) fn create(path: &Path, grid: Grid) -> io::Result<Self> {
        let file = File::create(path)?;
        let canvas = Canvas { file, grid };
        let (width, height) = grid.size();
        canvas.file.write_all_at(&header(width, height), 0)?;
        let row = vec![PAPER; canvas.stride()];
        for y in 0..height {
            canvas.file.write_all_at(&row, canvas.offset(0, y))?;
        }
        Ok(canvas)
    }

    /// Writes the rows of a picture, blue first, into its cell.
    pub(super) fn put(&self, cell: usize, pixels: &[u8]) -> io::Result<()> {
        let (left, top) = self.grid.place(cell);
        let rows = pixels.chunks_exact(self.grid.cell.0 * CHANNELS);
        for (row, pixels) in rows.enumerate() {
            self.file.write_all_at(pixels, self.offset(left, top + row))?;
        }
        Ok(())
    }

    /// Bytes of one row; each begins at a multiple of four.
    fn stride(&self) -> usize {
        (self.grid.size().0 * CHANNELS).next_multiple_of(4)
    }

    fn offset(&self, x: usize, y: usize) -> u64 {
        u64::from(BMP_HEADER) + (y * self.stride() + x * CHANNELS) as u64
    }
}

/// The header of a BMP file of 24 bits per pixel (BITMAPFILEHEADER and BITMAPINFOHEADER); a
/// negative height puts the top row first.
fn header(width: usize, height: usize) -> Vec<u8> {
    let side = |side: usize| i32::try_from(side).expect("a sheet's side is limited");
    let bytes = (width * CHANNELS).next_multiple_of(4) * height;
    let bytes = u32::try_from(bytes).unwrap_or(0);
    let mut header = b"BM".to_vec();
    header.extend((BMP_HEADER + bytes).to_le_bytes());
    header.extend([0; 4]);
    header.extend(BMP_HEADER.to_le_bytes());
    header.extend(40_u32.to_le_bytes());
    header.extend(side(width).to_le_bytes());
    header.extend((-side(height)).to_le_bytes());
    header.extend(1_u16.to_le_bytes());
    header.extend(24_u16.to_le_bytes());
    header.extend([0; 4]);
    header.extend(bytes.to_le_bytes());
    header.extend([0; 16]);
    header
}

/// A part of a sprite sheet, and the seconds from and to which it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cue {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) sheet: String,
    pub(super) place: (usize, usize),
    pub(super) size: (usize, usize),
}

/// A WebVTT file whose cues are parts of pictures, by media fragments (W3C Media Fragments 1.0).
pub(super) fn vtt(cues: &[Cue]) -> String {
    let mut text = String::from("WEBVTT\n");
    for Cue { from, to, sheet, place: (x, y), size: (w, h) } in cues {
        let (from, to) = (clock(*from), clock(*to));
        writeln!(text, "\n{from} --> {to}\n{sheet}#xywh={x},{y},{w},{h}")
            .expect("a text takes all that is written to it");
    }
    text
}

/// `hh:mm:ss.mmm`
fn clock(seconds: f64) -> String {
    let ms = (seconds * 1000.0).round() as u64;
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sprites_go_to_as_many_sheets_as_they_need() {
        let sizes = |count| {
            let grids = Grid::sprites(count, (160, 90), None).unwrap();
            grids.into_iter().map(|grid| (grid.size(), grid.cells())).collect::<Vec<_>>()
        };
        assert_eq!(sizes(7), [((1120, 90), 7)]);
        assert_eq!(sizes(112), [((1600, 900), 100), ((1600, 180), 20)]);
        let grid = Grid::sprites(30, (160, 90), None).unwrap()[0];
        assert_eq!((grid.place(0), grid.place(12)), ((0, 0), (320, 90)));
    }

    #[test]
    fn a_contact_sheet_has_gaps_and_limits() {
        let grid = Grid::contact(6, (320, 180), None).unwrap();
        assert_eq!((grid.size(), grid.place(4)), ((984, 378), (332, 192)));
        assert!(Grid::contact(100_000, (320, 180), None).is_err());
    }

    #[test]
    fn cues_name_parts_of_sheets() {
        let cue = |from, x| Cue {
            from,
            to: from + 2.5,
            sheet: "sprite-0.jpg".into(),
            place: (x, 0),
            size: (160, 90),
        };
        insta::assert_snapshot!(vtt(&[cue(0.0, 0), cue(3661.25, 160)]), @"
    WEBVTT

    00:00:00.000 --> 00:00:02.500
    sprite-0.jpg#xywh=0,0,160,90

    01:01:01.250 --> 01:01:03.750
    sprite-0.jpg#xywh=160,0,160,90
    ");
    }
}
