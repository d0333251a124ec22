//! Puts frames into files.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::Array;
use super::args::{Args, Shape};
use super::fetch::Fetch;
use super::pick::Run;
use super::sheet::{self, Canvas, Cue, Grid};
use super::tensor::{ArrayFile, CHANNELS, Tensor};
use crate::ffmpeg::exec;
use crate::ffmpeg::failure;
use crate::ffmpeg::filter::Chain;
use crate::ffmpeg::job::Input;
use crate::ffmpeg::picture::{self, Channels, PictureCoding, PictureJob, To};
use crate::wire::{Failure, FailureKind};

/// One result in the making.
#[derive(Clone, Copy, Debug)]
pub(super) struct Making<'a> {
    pub(super) fetch: &'a Fetch<'a>,
    pub(super) args: &'a Args,
    /// The frames, in the order they were asked for.
    pub(super) wanted: &'a [usize],
    pub(super) runs: &'a [Run],
    /// Width and height of each.
    pub(super) size: (u32, u32),
    pub(super) target: &'a Path,
}

/// What was made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// The file of each frame, by its name in the folder.
    pub(super) files: Vec<Option<String>>,
    pub(super) array: Option<Array>,
    pub(super) sheets: Vec<String>,
    pub(super) vtt: Option<String>,
}

impl Making<'_> {
    pub(super) async fn make(self, shape: Shape) -> Result<Made, Failure> {
        match shape {
            Shape::Picture(coding) => self.picture(coding).await,
            Shape::Pictures(coding) => self.pictures(coding).await,
            Shape::Array => self.arrays(self.wanted.len(), |_| None).await,
            Shape::Batches(size) => {
                self.folder()?;
                let size = usize::try_from(size).unwrap_or(usize::MAX).min(self.wanted.len());
                self.arrays(size, |batch| Some(format!("batch-{batch:05}.npy"))).await
            }
            Shape::Sprite(coding) => self.sprite(coding).await,
            Shape::Contact(coding) => self.contact(coding).await,
        }
    }

    /// Where in the result each frame goes; one may go to several places.
    fn slots(self) -> BTreeMap<usize, Vec<usize>> {
        let mut slots: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (slot, frame) in self.wanted.iter().enumerate() {
            slots.entry(*frame).or_default().push(slot);
        }
        slots
    }

    fn pixel_bytes(self) -> usize {
        self.size.0 as usize * self.size.1 as usize * CHANNELS
    }

    fn folder(self) -> Result<(), Failure> {
        std::fs::create_dir_all(self.target).map_err(|error| self.cannot_write(&error))
    }

    fn cannot_write(self, error: &io::Error) -> Failure {
        let name = self.target.file_name().unwrap_or_default().to_string_lossy();
        Failure::new(FailureKind::Output, format!("can't write `{name}`")).cause(error)
    }

    async fn picture(self, coding: PictureCoding) -> Result<Made, Failure> {
        let scratch = self.scratch("picture")?;
        let brought = self.fetch.files(self.runs, coding, &scratch).await?;
        let (_, file) = brought.first().expect("one frame was asked for");
        std::fs::copy(file, self.target).map_err(|error| self.cannot_write(&error))?;
        Ok(Made { files: vec![None], ..Made::default() })
    }

    /// Pictures are named by the number of their frame; one that is asked for twice is one file.
    async fn pictures(self, coding: PictureCoding) -> Result<Made, Failure> {
        self.folder()?;
        let within = self.target.join(".runs");
        let brought = self.fetch.files(self.runs, coding, &within).await?;
        let digits = brought.last().map_or(1, |(last, _)| last.to_string().len()).max(6);
        let name = |frame: usize| format!("frame-{frame:0digits$}.{}", coding.extension());
        for (frame, file) in brought {
            std::fs::rename(file, self.target.join(name(frame)))
                .map_err(|error| self.cannot_write(&error))?;
        }
        std::fs::remove_dir_all(within).map_err(|error| self.cannot_write(&error))?;
        let files = self.wanted.iter().map(|frame| Some(name(*frame))).collect();
        Ok(Made { files, ..Made::default() })
    }

    /// Arrays of `size` frames each; `name` says which file of the folder a batch is, or that the
    /// result is the file.
    async fn arrays(
        self,
        size: usize,
        name: impl Fn(usize) -> Option<String>,
    ) -> Result<Made, Failure> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let (layout, dtype) = (self.args.layout, self.args.dtype);
        let tensor = |frames| Tensor { frames, width, height, layout, dtype };
        let create = |(batch, frames): (usize, &[usize])| {
            let path = name(batch).map_or(self.target.to_owned(), |name| self.target.join(name));
            ArrayFile::create(&path, tensor(frames.len()))
        };
        let files = self.wanted.chunks(size).enumerate().map(create).collect::<Result<Vec<_>, _>>();
        let files = files.map_err(|error| self.cannot_write(&error))?;
        let slots = self.slots();
        let put = |frame: usize, pixels: &[u8]| {
            let slots = slots.get(&frame).into_iter().flatten();
            slots.copied().try_for_each(|slot| files[slot / size].put(slot % size, pixels))
        };
        let coding = PictureCoding::Raw(self.args.channels.into());
        self.fetch.pixels(self.runs, coding, self.pixel_bytes(), put).await?;
        let array = Array {
            shape: tensor(size.min(self.wanted.len())).shape(),
            layout,
            channels: self.args.channels,
            dtype,
        };
        let files = (0..self.wanted.len()).map(|slot| name(slot / size)).collect();
        Ok(Made { files, array: Some(array), ..Made::default() })
    }

    async fn sprite(self, coding: PictureCoding) -> Result<Made, Failure> {
        self.folder()?;
        let cell = (self.size.0 as usize, self.size.1 as usize);
        let grids = Grid::sprites(self.wanted.len(), cell, self.args.columns)?;
        let name = |sheet: usize| format!("sprite-{sheet}.{}", coding.extension());
        let sheets: Vec<_> = (0..grids.len()).map(name).collect();
        self.sheets(&grids, coding, |sheet| self.target.join(name(sheet))).await?;
        let cues = self.cues(&grids, &sheets);
        std::fs::write(self.target.join("sprite.vtt"), sheet::vtt(&cues))
            .map_err(|error| self.cannot_write(&error))?;
        let files = cues.into_iter().map(|cue| Some(cue.sheet)).collect();
        Ok(Made { files, sheets, vtt: Some("sprite.vtt".into()), array: None })
    }

    async fn contact(self, coding: PictureCoding) -> Result<Made, Failure> {
        let cell = (self.size.0 as usize, self.size.1 as usize);
        let grid = Grid::contact(self.wanted.len(), cell, self.args.columns)?;
        self.sheets(&[grid], coding, |_| self.target.to_owned()).await?;
        Ok(Made { files: vec![None; self.wanted.len()], ..Made::default() })
    }

    /// Each frame is shown until the next; the first from the start, the last to the end.
    fn cues(self, grids: &[Grid], sheets: &[String]) -> Vec<Cue> {
        let index = self.fetch.index;
        let whole = grids.first().map_or(1, |grid| grid.cells());
        let start = |slot: usize| match slot {
            0 => 0.0,
            slot => self.wanted.get(slot).map_or(index.duration(), |frame| index.seconds(*frame)),
        };
        let cue = |slot: usize| Cue {
            from: start(slot),
            to: start(slot + 1),
            sheet: sheets[slot / whole].clone(),
            place: grids[slot / whole].place(slot % whole),
            size: (self.size.0 as usize, self.size.1 as usize),
        };
        (0..self.wanted.len()).map(cue).collect()
    }

    /// Fills the cells of `grids` one after the other, and codes each sheet.
    async fn sheets(
        self,
        grids: &[Grid],
        coding: PictureCoding,
        place: impl Fn(usize) -> std::path::PathBuf,
    ) -> Result<(), Failure> {
        let scratch = self.scratch("sheets")?;
        let drawn = |sheet: usize| scratch.join(format!("sheet-{sheet}"));
        let create = |(sheet, grid): (usize, &Grid)| Canvas::create(&drawn(sheet), *grid);
        let canvases = grids.iter().enumerate().map(create).collect::<Result<Vec<_>, _>>();
        let canvases = canvases.map_err(|error| self.cannot_write(&error))?;
        let whole = grids.first().map_or(1, |grid| grid.cells());
        let slots = self.slots();
        let put = |frame: usize, pixels: &[u8]| {
            let slots = slots.get(&frame).into_iter().flatten();
            slots.copied().try_for_each(|slot| canvases[slot / whole].put(slot % whole, pixels))
        };
        let raw = PictureCoding::Raw(Channels::Bgr);
        self.fetch.pixels(self.runs, raw, self.pixel_bytes(), put).await?;
        for sheet in 0..grids.len() {
            self.code(&drawn(sheet), coding, &place(sheet)).await?;
        }
        Ok(())
    }

    async fn code(self, drawn: &Path, coding: PictureCoding, to: &Path) -> Result<(), Failure> {
        let job = PictureJob {
            input: Input::of(drawn),
            stream: 0,
            keyframes_only: false,
            filters: Chain::default(),
            coding,
            most: 1,
            to: To::File(to.to_owned()),
            threads: None,
        };
        let cx = self.fetch.cx;
        let args = picture::args(&job);
        let run = exec::ffmpeg(&cx.tools().ffmpeg, args, cx.cancellation(), |_| {}).await;
        let what = format!("can't draw a sheet of `{}`", self.fetch.name);
        run.map(|_| ()).map_err(|error| failure::failure(error, &what))
    }

    /// A folder of this call's own, gone when it ends.
    fn scratch(self, name: &str) -> Result<std::path::PathBuf, Failure> {
        let folder = self.fetch.cx.files().scratch().join(name);
        std::fs::create_dir_all(&folder).map_err(|error| self.cannot_write(&error))?;
        Ok(folder)
    }
}
