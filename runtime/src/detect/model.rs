//! Which export a model is: told by its metadata and by the shapes of what goes in and comes out. Pure.

use std::fmt::Write as _;

use super::names;
use super::onnx::{Element, Facts, Tensor};
use crate::wire::{Failure, FailureKind};

/// The oldest standard operators that exporters of these models wrote.
const OLDEST_OPSET: i64 = 9;
/// The newest that is known to anything here; more is a damaged or made-up file.
const NEWEST_OPSET: i64 = 30;
/// The coarsest grid, where the metadata doesn't say.
const STRIDE: u32 = 32;
/// The finest grid of all exports.
const FINEST: u32 = 8;
/// The largest side of a picture that goes into a network.
const MAX_SIDE: u64 = 8192;

/// What has to be known of a model before it is loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The name of its input.
    pub input: String,
    /// The name of its output.
    pub output: String,
    /// Width and height of what it takes.
    pub size: (u32, u32),
    /// Pictures that go in at once; none where that is free.
    pub batch: Option<usize>,
    /// Names of its classes by number; none when the metadata has none.
    pub names: Option<Vec<String>>,
    /// Pixels of a cell of its coarsest grid.
    pub stride: u32,
    /// What the exporter calls it.
    pub description: Option<String>,
    /// The version of the standard operators.
    pub opset: i64,
    /// The metadata says that overlaps are suppressed inside.
    end_to_end: bool,
}

/// What the numbers of the output mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// YOLOv5, v7: `[boxes, 5 + classes]`: centre, size, whether there is something, classes.
    Anchors {
        /// How many boxes.
        boxes: usize,
        /// How many classes.
        classes: usize,
    },
    /// YOLOv8, v9, v11, v12: `[4 + classes, boxes]`: centre, size, classes.
    AnchorFree {
        /// How many boxes.
        boxes: usize,
        /// How many classes.
        classes: usize,
    },
    /// YOLOv10, and exports with suppression inside: `[boxes, 6]`: corners, score, class.
    EndToEnd {
        /// How many boxes at most.
        boxes: usize,
    },
}

impl Head {
    /// As its users call it.
    pub fn name(self) -> &'static str {
        match self {
            Head::Anchors { .. } => "yolov5",
            Head::AnchorFree { .. } => "yolov8/v11",
            Head::EndToEnd { .. } => "end-to-end",
        }
    }

    /// Classes, where the shape says how many.
    pub fn classes(self) -> Option<usize> {
        match self {
            Head::Anchors { classes, .. } | Head::AnchorFree { classes, .. } => Some(classes),
            Head::EndToEnd { .. } => None,
        }
    }
}

impl Model {
    /// What `facts` say; `name` is what the caller called the file.
    pub fn of(facts: &Facts, name: &str) -> Result<Self, Failure> {
        let opset = opset(facts, name)?;
        let said = |key: &str| facts.metadata.get(key).map(String::as_str);
        if let Some(task) = said("task").filter(|task| *task != "detect") {
            return Err(unlike(name, format!("its task is `{task}`, not `detect`")).hint(
                "export a model that detects, such as `yolo export model=yolo11n.pt format=onnx`",
            ));
        }
        let input = input(facts, name)?;
        let (batch, size) = picture(input, name)?;
        let output =
            facts.outputs.first().ok_or_else(|| unlike(name, "it has no output".into()))?;
        let end_to_end = said("end2end").is_some_and(|said| said.eq_ignore_ascii_case("true"))
            || said("args").is_some_and(|args| args.contains("'nms': True"));
        Ok(Model {
            input: input.name.clone(),
            output: output.name.clone(),
            size,
            batch,
            names: said("names").and_then(names::classes),
            stride: said("stride").and_then(|text| text.parse().ok()).unwrap_or(STRIDE),
            description: said("description").map(str::to_owned),
            opset,
            end_to_end,
        })
    }

    /// What an output of `shape`, which was computed, means.
    pub fn head(&self, shape: &[usize], name: &str) -> Result<Head, Failure> {
        let found = match *shape {
            [_, a, b] => self.head_of(a, b),
            _ => None,
        };
        found.ok_or_else(|| {
            let classes = match &self.names {
                Some(names) => format!("its metadata names {} classes", names.len()),
                None => "its metadata names no classes".into(),
            };
            unlike(name, format!("its output `{}` is {shape:?}, and {classes}", self.output)).hint(
                "known are YOLOv5's [n, boxes, 5 + classes], YOLOv8's and v11's \
                 [n, 4 + classes, boxes], and [n, boxes, 6] of exports with suppression inside",
            )
        })
    }

    fn head_of(&self, a: usize, b: usize) -> Option<Head> {
        let named = self.names.as_ref().map(Vec::len);
        let cells = self.cells();
        let free = a >= 5 && named.map_or(a < b, |names| a == 4 + names);
        let anchors = b >= 6 && named.map_or(a > b, |names| b == 5 + names);
        let end_to_end = b == 6;
        // With one class, rows of YOLOv5 are as long as those of exports with suppression inside.
        let rows_of_grid = a == 3 * cells;
        if end_to_end && (self.end_to_end || anchors && !rows_of_grid) && !(free && b == cells) {
            Some(Head::EndToEnd { boxes: a })
        } else if free {
            Some(Head::AnchorFree { boxes: b, classes: a - 4 })
        } else if anchors {
            Some(Head::Anchors { boxes: a, classes: b - 5 })
        } else {
            end_to_end.then_some(Head::EndToEnd { boxes: a })
        }
    }

    /// Cells of all grids: of eight pixels, sixteen and so on, to the stride.
    fn cells(&self) -> usize {
        let (width, height) = self.size;
        let strides = std::iter::successors(Some(FINEST), |stride| Some(stride * 2));
        let cells =
            |stride: u32| width.div_ceil(stride) as usize * height.div_ceil(stride) as usize;
        strides.take_while(|stride| *stride <= self.stride.max(FINEST)).map(cells).sum()
    }

    /// The name of a class; its number where it has none.
    pub fn label(&self, class: u32) -> String {
        let named = self.names.as_ref().and_then(|names| names.get(class as usize));
        named.cloned().unwrap_or_else(|| class.to_string())
    }
}

fn opset(facts: &Facts, name: &str) -> Result<i64, Failure> {
    let wrong = |what: String| unlike(name, what).hint("export it again, with `opset=17`");
    match facts.opset {
        None => Err(wrong("it doesn't say which operators it uses (no opset)".into())),
        Some(opset) if opset < OLDEST_OPSET => {
            Err(wrong(format!("its operators are of opset {opset}, older than {OLDEST_OPSET}")))
        }
        Some(opset) if opset > NEWEST_OPSET => {
            Err(wrong(format!("its operators are of opset {opset}, which doesn't exist yet")))
        }
        Some(opset) => Ok(opset),
    }
}

fn input<'a>(facts: &'a Facts, name: &str) -> Result<&'a Tensor, Failure> {
    match &facts.inputs[..] {
        [input] => match input.element {
            Element::Float => Ok(input),
            Element::Half => Err(unlike(name, format!("`{}` takes 16-bit floats", input.name))
                .hint("export it without `half=True`")),
            Element::Other(_) => {
                Err(unlike(name, format!("`{}` doesn't take 32-bit floats", input.name)))
            }
        },
        [] => Err(unlike(name, "it takes nothing".into())),
        several => {
            Err(unlike(name, format!("it takes {} tensors, not one picture", several.len())))
        }
    }
}

/// How many pictures an input takes, and of which size.
fn picture(input: &Tensor, name: &str) -> Result<(Option<usize>, (u32, u32)), Failure> {
    let [batch, channels, height, width] = input.shape[..] else {
        return Err(unlike(
            name,
            format!("`{}` is {}, not [n, 3, height, width]", input.name, shown(input)),
        ));
    };
    if channels != Some(3) {
        return Err(unlike(
            name,
            format!("`{}` is {}, not of 3 channels", input.name, shown(input)),
        ));
    }
    let (Some(height), Some(width)) = (height, width) else {
        return Err(unlike(
            name,
            format!("the size of its pictures isn't fixed: `{}` is {}", input.name, shown(input)),
        )
        .hint("export it with a fixed size: `dynamic=False imgsz=640`"));
    };
    let side = |side: u64| u32::try_from(side).ok().filter(|_| (1..=MAX_SIDE).contains(&side));
    let size = side(width).zip(side(height)).ok_or_else(|| {
        unlike(name, format!("`{}` is {}: no size of a picture", input.name, shown(input)))
    })?;
    Ok((batch.and_then(|batch| usize::try_from(batch).ok()).filter(|batch| *batch > 0), size))
}

/// `[?, 3, 640, 640]`
fn shown(tensor: &Tensor) -> String {
    let mut text = String::from("[");
    for (index, side) in tensor.shape.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let side = side.map_or("?".into(), |side| side.to_string());
        let _ = write!(text, "{comma}{side}");
    }
    text + "]"
}

fn unlike(name: &str, why: String) -> Failure {
    Failure::new(FailureKind::InvalidInput, format!("`{name}` isn't a model that can be used here"))
        .cause(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(input: &[Option<u64>], metadata: &[(&str, &str)]) -> Facts {
        let tensor = |name: &str, shape: &[Option<u64>]| Tensor {
            name: name.into(),
            element: Element::Float,
            shape: shape.to_vec(),
        };
        Facts {
            opset: Some(17),
            inputs: vec![tensor("images", input)],
            outputs: vec![tensor("output0", &[])],
            metadata: metadata.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            nodes: 1,
        }
    }

    const SQUARE: [Option<u64>; 4] = [Some(1), Some(3), Some(640), Some(640)];

    fn head(names: &str, shape: &[usize]) -> Option<Head> {
        let metadata = if names.is_empty() { vec![] } else { vec![("names", names)] };
        Model::of(&facts(&SQUARE, &metadata), "m.onnx").unwrap().head(shape, "m.onnx").ok()
    }

    #[test]
    fn exports_are_told_apart_by_their_shapes() {
        let two = "{0: 'a', 1: 'b'}";
        let one = "{0: 'a'}";
        assert_eq!(head("", &[1, 84, 8400]), Some(Head::AnchorFree { boxes: 8400, classes: 80 }));
        assert_eq!(head("", &[1, 25200, 85]), Some(Head::Anchors { boxes: 25200, classes: 80 }));
        assert_eq!(head("", &[1, 300, 6]), Some(Head::EndToEnd { boxes: 300 }));
        assert_eq!(head(two, &[1, 6, 8400]), Some(Head::AnchorFree { boxes: 8400, classes: 2 }));
        assert_eq!(head(two, &[1, 300, 6]), Some(Head::EndToEnd { boxes: 300 }));
        // With one class, both have rows of six.
        assert_eq!(head(one, &[1, 25200, 6]), Some(Head::Anchors { boxes: 25200, classes: 1 }));
        assert_eq!(head(one, &[1, 300, 6]), Some(Head::EndToEnd { boxes: 300 }));
        for wrong in [&[1, 1000][..], &[1, 84, 8400, 1], &[1, 9, 8400]] {
            assert_eq!(head(two, wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_detector_says_what_was_found() {
        let why = |input: &[Option<u64>], metadata: &[(&str, &str)]| {
            Model::of(&facts(input, metadata), "m.onnx").unwrap_err().causes.remove(0)
        };
        insta::assert_snapshot!(why(&[Some(1), Some(3), None, None], &[]), @"the size of its pictures isn't fixed: `images` is [1, 3, ?, ?]");
        insta::assert_snapshot!(why(&[Some(1), Some(1000)], &[]), @"`images` is [1, 1000], not [n, 3, height, width]");
        insta::assert_snapshot!(why(&[Some(1), Some(1), Some(28), Some(28)], &[]), @"`images` is [1, 1, 28, 28], not of 3 channels");
        insta::assert_snapshot!(why(&SQUARE, &[("task", "segment")]), @"its task is `segment`, not `detect`");
        let wrong = |opset| {
            let facts = Facts { opset, ..facts(&SQUARE, &[]) };
            Model::of(&facts, "m.onnx").unwrap_err().causes.remove(0)
        };
        insta::assert_snapshot!(wrong(Some(99)), @"its operators are of opset 99, which doesn't exist yet");
        insta::assert_snapshot!(wrong(Some(6)), @"its operators are of opset 6, older than 9");
        insta::assert_snapshot!(wrong(None), @"it doesn't say which operators it uses (no opset)");
    }

    #[test]
    fn labels_are_names_or_numbers() {
        let named = facts(&SQUARE, &[("names", "{0: 'ball'}")]);
        let model = Model::of(&named, "m").unwrap();
        assert_eq!((model.label(0), model.label(7)), ("ball".into(), "7".into()));
    }
}
