//! Which frames are wanted, and the runs of ffmpeg that bring them without decoding the rest. Pure.

use super::args::Pick;
use crate::ffmpeg::index::FrameIndex;
use crate::wire::{Failure, FailureKind};

/// Frames that are rather decoded and dropped than jumped over by a process of their own: starting
/// one costs as much as decoding about so many.
const JUMP: usize = 24;

/// Frames that one run picks out at most: each decoded frame is compared with all of them.
const MOST: usize = 128;

/// Frames that one call may take.
const MOST_FRAMES: usize = 200_000;

/// One run: begins to decode at a keyframe, and picks frames out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The keyframe to begin with; none is the start of the file.
    pub(super) from: Option<usize>,
    /// Frames by index, in the order they are shown.
    pub(super) frames: Vec<usize>,
}

/// The frames that `pick` means, in the order they were asked for. `scenes` are the changes that
/// were found, where they were looked for.
pub(super) fn frames(
    pick: Pick<'_>,
    index: &FrameIndex,
    scenes: &[i64],
    name: &str,
) -> Result<Vec<usize>, Failure> {
    let all = index.frames.len();
    let picked: Vec<usize> = match pick {
        Pick::Indices(wanted) => {
            let found = |wanted: &u64| {
                usize::try_from(*wanted).ok().filter(|at| *at < all).ok_or_else(|| {
                    none(format!("there is no frame {wanted} in `{name}`"))
                        .cause(format!("it has {all}, counted from 0"))
                })
            };
            wanted.iter().map(found).collect::<Result<_, _>>()?
        }
        Pick::Times(wanted) => {
            let found = |seconds: &f64| {
                let at = if *seconds >= 0.0 { index.at(*seconds) } else { None };
                at.ok_or_else(|| {
                    none(format!("there is no frame at {seconds} s in `{name}`"))
                        .cause(format!("it lasts {:.3} s", index.duration()))
                })
            };
            wanted.iter().map(found).collect::<Result<_, _>>()?
        }
        Pick::Fps(fps) => {
            let instants = (0..MOST_FRAMES + 1).map(|tick| tick as f64 / fps);
            instants.map_while(|seconds| index.at(seconds)).collect()
        }
        Pick::Every(step) => {
            (0..all).step_by(usize::try_from(step).unwrap_or(usize::MAX)).collect()
        }
        Pick::Count(count) => {
            let middle = |part: u64| (2 * part + 1) as f64 * index.duration() / (2 * count) as f64;
            (0..count).filter_map(|part| index.at(middle(part))).collect()
        }
        Pick::Scenes(_) => {
            let changed = |at: &usize| {
                *at == 0 || index.frames.get(*at).is_some_and(|f| scenes.contains(&f.pts))
            };
            (0..all).filter(changed).collect()
        }
        Pick::Keyframes => (0..all).filter(|at| index.frames[*at].key).collect(),
    };
    if picked.len() > MOST_FRAMES {
        return Err(none(format!("that are more than {MOST_FRAMES} frames")));
    }
    Ok(picked)
}

fn none(message: String) -> Failure {
    Failure::new(FailureKind::InvalidArgs, message)
}

/// The runs that bring `wanted`, each frame once. A new one begins where a keyframe lies between
/// two frames that are far enough apart.
pub(super) fn runs(wanted: &[usize], index: &FrameIndex) -> Vec<Run> {
    let mut sorted = wanted.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut runs: Vec<Run> = Vec::new();
    for frame in sorted {
        let key = index.key_before(frame);
        let joins = |run: &&mut Run| {
            let last = *run.frames.last().expect("a run has frames");
            let jumps = key.is_some_and(|key| key > last + JUMP);
            !jumps && (run.frames.len() < MOST || key.is_none_or(|key| key <= last))
        };
        match runs.last_mut().filter(joins) {
            Some(run) => run.frames.push(frame),
            None => runs.push(Run { from: key, frames: vec![frame] }),
        }
    }
    runs
}

/// The runs that bring keyframes, decoding nothing else.
pub(super) fn key_runs(keys: &[usize], index: &FrameIndex) -> Vec<Run> {
    let run = |keys: &[usize]| Run { from: index.key_before(keys[0]), frames: keys.to_vec() };
    keys.chunks(MOST).map(run).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ffmpeg::Rational;
    use crate::ffmpeg::index::FrameAt;

    fn index(count: usize, every: usize) -> FrameIndex {
        let frame =
            |at| FrameAt { pts: at as i64 * 40, key: at % every == 0, ..FrameAt::default() };
        let frames = (0..count).map(frame).collect();
        FrameIndex { time_base: Rational { num: 1, den: 1000 }, frames, seekable: true }
    }

    fn picked(pick: Pick<'_>) -> Vec<usize> {
        frames(pick, &index(100, 50), &[1600], "a.mp4").unwrap()
    }

    #[test]
    fn every_way_to_choose() {
        assert_eq!(picked(Pick::Indices(&[7, 3, 7])), [7, 3, 7]);
        assert_eq!(picked(Pick::Times(&[0.0, 0.1, 3.99])), [0, 2, 99]);
        assert_eq!(picked(Pick::Fps(1.0)), [0, 25, 50, 75]);
        assert_eq!(picked(Pick::Every(40)), [0, 40, 80]);
        assert_eq!(picked(Pick::Count(4)), [12, 37, 62, 87]);
        assert_eq!(picked(Pick::Scenes(0.3)), [0, 40]);
        assert_eq!(picked(Pick::Keyframes), [0, 50]);
        // At twice the rate, each frame comes twice.
        assert_eq!(picked(Pick::Fps(50.0))[..4], [0, 0, 1, 1]);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let said = |pick| frames(pick, &index(100, 50), &[], "a.mp4").unwrap_err();
        insta::assert_snapshot!(said(Pick::Indices(&[100])), @"there is no frame 100 in `a.mp4`");
        insta::assert_snapshot!(said(Pick::Times(&[4.1])), @"there is no frame at 4.1 s in `a.mp4`");
        insta::assert_snapshot!(said(Pick::Times(&[-1.0])), @"there is no frame at -1 s in `a.mp4`");
    }

    #[test]
    fn a_run_begins_at_the_keyframe_before_and_near_frames_share_one() {
        let run = |from, frames: &[usize]| Run { from: Some(from), frames: frames.to_vec() };
        let runs = |wanted: &[usize]| super::runs(wanted, &index(1000, 50));
        assert_eq!(runs(&[260, 10, 20]), [run(0, &[10, 20]), run(250, &[260])]);
        assert_eq!(runs(&[45, 55]), [run(0, &[45, 55])]);
        assert_eq!(runs(&[5, 5]), [run(0, &[5])]);
    }

    proptest! {
        #[test]
        fn runs_bring_every_frame_once(wanted in prop::collection::vec(0_usize..500, 1..200)) {
            let index = index(500, 30);
            let runs = runs(&wanted, &index);
            let brought: Vec<_> = runs.iter().flat_map(|run| run.frames.clone()).collect();
            let mut expected = wanted;
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(brought, expected);
            for run in runs {
                prop_assert!(run.from.is_some_and(|from| index.frames[from].key && from <= run.frames[0]));
            }
        }
    }
}
