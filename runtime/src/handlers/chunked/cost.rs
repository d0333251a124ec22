//! How many workers a video is worth: time and price of each choice. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::split::LEAST_FRAMES;

/// What is wanted of a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The least time of workers.
    Cheapest,
    /// The least time until the result is there.
    Fastest,
    /// Twice the workers only where that saves a good part of the time.
    #[default]
    Balanced,
}

/// The most workers that are considered.
const MOST_WORKERS: u64 = 64;

/// Doubling the workers is worth it when the time becomes at most this share of what it was.
const WORTH_DOUBLING: f64 = 0.7;

/// Seconds that a worker takes before it works, where nothing was measured.
const START_UP: f64 = 1.0;

/// What the work costs on this deployment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Model {
    /// Seconds from a worker's start to its first frame, and from its last frame to its end.
    pub startup_seconds: f64,
    /// Seconds that one worker takes for one frame.
    pub seconds_per_frame: f64,
    /// Where these come from.
    pub basis: Basis,
}

/// Where the figures of a [`Model`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Earlier runs of the same work here.
    Measured,
    /// Nothing was measured: a worker is taken to be as fast as the video plays.
    Assumed,
}

/// What is to be done, and with what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task {
    /// Frames of the video.
    pub frames: u64,
    /// Seconds of the video.
    pub seconds: f64,
    /// Workers that can work at the same time; none is as many as one likes.
    pub room: Option<u64>,
    /// What a second of a worker costs.
    pub price_per_second: Option<f64>,
}

/// One number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Choice {
    /// How many.
    pub workers: u64,
    /// Frames of the longest chunk.
    pub frames_per_chunk: u64,
    /// Seconds until the result is there.
    pub seconds: f64,
    /// Seconds of all workers together.
    pub worker_seconds: f64,
    /// What they cost, where a price was given.
    pub price: Option<f64>,
    /// This is what is done.
    pub chosen: bool,
}

impl Model {
    /// What is taken for true where nothing was measured.
    pub fn assumed(task: Task) -> Self {
        let seconds_per_frame = task.seconds / task.frames.max(1) as f64;
        Model { startup_seconds: START_UP, seconds_per_frame, basis: Basis::Assumed }
    }

    /// Every choice for `task`, and the one for `goal` marked; `asked` overrules it.
    pub fn choices(self, task: Task, goal: Goal, asked: Option<u64>) -> Vec<Choice> {
        let most = (task.frames / LEAST_FRAMES as u64).clamp(1, MOST_WORKERS);
        let powers = (0..).map(|power| 1 << power).take_while(|workers| *workers <= most);
        let mut counts: Vec<u64> = powers.chain(asked.map(|asked| asked.clamp(1, most))).collect();
        counts.sort_unstable();
        counts.dedup();
        let mut choices: Vec<_> =
            counts.iter().map(|workers| self.choice(task, *workers)).collect();
        let chosen = match asked {
            Some(asked) => counts.iter().position(|w| *w == asked.clamp(1, most)).unwrap_or(0),
            None => self.choose(task, goal, &choices),
        };
        choices[chosen].chosen = true;
        choices
    }

    fn choice(self, task: Task, workers: u64) -> Choice {
        let frames_per_chunk = task.frames.div_ceil(workers);
        let each = self.startup_seconds + frames_per_chunk as f64 * self.seconds_per_frame;
        let rounds = task.room.map_or(1, |room| workers.div_ceil(room.max(1)));
        let worker_seconds =
            workers as f64 * self.startup_seconds + task.frames as f64 * self.seconds_per_frame;
        Choice {
            workers,
            frames_per_chunk,
            seconds: rounds as f64 * each,
            worker_seconds,
            price: task.price_per_second.map(|price| price * worker_seconds),
            chosen: false,
        }
    }

    /// The place of the best choice.
    fn choose(self, task: Task, goal: Goal, choices: &[Choice]) -> usize {
        let known = thresholds(task.seconds).min(task.room.unwrap_or(u64::MAX));
        match goal {
            Goal::Cheapest => least(choices, |choice| choice.worker_seconds),
            Goal::Fastest => least(choices, |choice| choice.seconds),
            Goal::Balanced if self.basis == Basis::Assumed => {
                choices.iter().rposition(|choice| choice.workers <= known).unwrap_or(0)
            }
            Goal::Balanced => {
                let worth = |pair: &[Choice]| pair[1].seconds <= pair[0].seconds * WORTH_DOUBLING;
                choices.windows(2).take_while(|pair| worth(pair)).count()
            }
        }
    }
}

/// What users of such systems do without a model: under 30 s of video one worker, under 90 s two,
/// under 180 s four, above that eight.
fn thresholds(seconds: f64) -> u64 {
    match seconds {
        ..30.0 => 1,
        ..90.0 => 2,
        ..180.0 => 4,
        _ => 8,
    }
}

/// The place of the choice with the least of something; the first of equals.
fn least(choices: &[Choice], of: impl Fn(&Choice) -> f64) -> usize {
    let places = 0..choices.len();
    places.min_by(|a, b| of(&choices[*a]).total_cmp(&of(&choices[*b]))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(seconds: f64) -> Task {
        let frames = (seconds * 30.0) as u64;
        Task { frames, seconds, room: None, price_per_second: None }
    }

    fn chosen(choices: &[Choice]) -> u64 {
        choices.iter().find(|choice| choice.chosen).unwrap().workers
    }

    fn measured(startup_seconds: f64, seconds_per_frame: f64) -> Model {
        Model { startup_seconds, seconds_per_frame, basis: Basis::Measured }
    }

    #[test]
    fn without_measurements_the_known_thresholds_hold() {
        let workers = |seconds| {
            let task = task(seconds);
            chosen(&Model::assumed(task).choices(task, Goal::Balanced, None))
        };
        assert_eq!(
            [10.0, 29.9, 30.0, 89.0, 90.0, 179.0, 180.0, 3600.0].map(workers),
            [1, 1, 2, 2, 4, 4, 8, 8]
        );
    }

    #[test]
    fn goals_differ() {
        let (task, model) = (task(60.0), measured(2.0, 0.02));
        let workers = |goal| chosen(&model.choices(task, goal, None));
        assert_eq!(workers(Goal::Cheapest), 1);
        assert_eq!(workers(Goal::Balanced), 16);
        assert_eq!(workers(Goal::Fastest), 64);
    }

    #[test]
    fn more_workers_than_there_is_room_for_gain_nothing() {
        let task = Task { room: Some(2), ..task(60.0) };
        let model = measured(0.5, 0.02);
        assert_eq!(chosen(&model.choices(task, Goal::Fastest, None)), 2);
        assert_eq!(chosen(&model.choices(task, Goal::Balanced, None)), 2);
    }

    #[test]
    fn a_number_that_was_asked_for_is_taken_and_still_compared() {
        let task = Task { price_per_second: Some(0.001), ..task(10.0) };
        let choices = measured(1.0, 0.05).choices(task, Goal::Balanced, Some(3));
        assert_eq!(chosen(&choices), 3);
        let table: String = choices
            .iter()
            .map(|c| {
                let (price, mark) = (c.price.unwrap(), if c.chosen { " <" } else { "" });
                format!(
                    "{:2} {:3} {:5.2} {:5.2} {price:.4}{mark}\n",
                    c.workers, c.frames_per_chunk, c.seconds, c.worker_seconds
                )
            })
            .collect();
        insta::assert_snapshot!(table, @"
         1 300 16.00 16.00 0.0160
         2 150  8.50 17.00 0.0170
         3 100  6.00 18.00 0.0180 <
         4  75  4.75 19.00 0.0190
         8  38  2.90 23.00 0.0230
        ");
    }

    #[test]
    fn a_video_of_a_few_frames_is_one_chunk() {
        let task = Task { frames: 30, ..task(1.0) };
        let choices = Model::assumed(task).choices(task, Goal::Fastest, Some(8));
        assert_eq!((choices.len(), choices[0].workers), (1, 1));
    }
}
