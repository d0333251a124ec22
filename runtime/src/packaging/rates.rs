//! How many bits per second were really written. Pure.

use std::collections::VecDeque;

/// Bytes that take so many seconds to play.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Seconds.
    pub seconds: f64,
    /// Bytes.
    pub bytes: u64,
}

/// Bits per second over all of `pieces`.
pub fn average(pieces: &[Piece]) -> u64 {
    let total = pieces.iter().fold(Piece { seconds: 0.0, bytes: 0 }, |total, piece| Piece {
        seconds: total.seconds + piece.seconds,
        bytes: total.bytes + piece.bytes,
    });
    rate(total)
}

/// The largest bit rate of any successive pieces that take between half and one and a half of
/// `target` seconds together: the peak segment bit rate of RFC 8216 §4.3.4.2. Where there are no
/// such pieces, the average.
pub fn peak(pieces: &[Piece], target: f64) -> u64 {
    let mut peak = 0;
    for start in 0..pieces.len() {
        let mut run = Piece { seconds: 0.0, bytes: 0 };
        for piece in &pieces[start..] {
            run.seconds += piece.seconds;
            run.bytes += piece.bytes;
            if run.seconds > target * 1.5 {
                break;
            }
            if run.seconds >= target * 0.5 {
                peak = peak.max(rate(run));
            }
        }
    }
    if peak == 0 { average(pieces) } else { peak }
}

fn rate(piece: Piece) -> u64 {
    if piece.seconds > 0.0 { (piece.bytes as f64 * 8.0 / piece.seconds).ceil() as u64 } else { 0 }
}

/// Finds the busiest second of a stream, frame by frame, without keeping more than that second.
#[derive(Debug, Default)]
pub struct BusiestSecond {
    window: VecDeque<(f64, u64)>,
    bytes: u64,
    most: u64,
}

impl BusiestSecond {
    /// Takes a frame of so many bytes that is decoded at `seconds`.
    pub fn add(&mut self, seconds: f64, bytes: u64) {
        while self.window.front().is_some_and(|(first, _)| seconds - first >= 1.0) {
            self.bytes -= self.window.pop_front().map_or(0, |(_, bytes)| bytes);
        }
        self.window.push_back((seconds, bytes));
        self.bytes += bytes;
        self.most = self.most.max(self.bytes);
    }

    /// Bits of the busiest second so far.
    pub fn bits(&self) -> u64 {
        self.most * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pieces: &[(f64, u64)]) -> Vec<Piece> {
        pieces.iter().map(|&(seconds, bytes)| Piece { seconds, bytes }).collect()
    }

    #[test]
    fn the_peak_is_that_of_whole_segments() {
        let pieces = pieces(&[(6.0, 600), (6.0, 1200), (6.0, 300), (0.5, 900)]);
        assert_eq!(average(&pieces), 1298);
        // The last piece is too short to count alone: 300 + 900 bytes in 6.5 s are less.
        assert_eq!(peak(&pieces, 6.0), 1600);
    }

    #[test]
    fn short_segments_are_put_together() {
        let pieces = pieces(&[(2.0, 100), (2.0, 500), (2.0, 400), (2.0, 100)]);
        assert_eq!(peak(&pieces, 6.0), 1800);
    }

    #[test]
    fn what_is_shorter_than_half_a_segment_has_its_average() {
        assert_eq!(peak(&pieces(&[(1.0, 100)]), 6.0), 800);
        assert_eq!(peak(&[], 6.0), 0);
    }

    #[test]
    fn the_busiest_second_slides() {
        let mut busiest = BusiestSecond::default();
        for frame in 0..100 {
            let bytes = if (45..55).contains(&frame) { 1000 } else { 10 };
            busiest.add(f64::from(frame) / 10.0, bytes);
        }
        assert_eq!(busiest.bits(), 80_000);
    }
}
