//! Fractions as ffmpeg writes them: frame rates, time bases and shapes of pixels.

use std::fmt;
use std::str::FromStr;

/// A fraction with a positive denominator, in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rational {
    /// Numerator.
    pub num: i64,
    /// Denominator, at least 1.
    pub den: i64,
}

/// A text that is no fraction, or one that ffmpeg uses for "unknown", such as `0/0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a fraction such as `30000/1001`")]
pub struct NotRational;

impl Rational {
    /// `num`/`den` in lowest terms; none when `den` isn't positive.
    pub fn new(num: i64, den: i64) -> Option<Self> {
        let divisor = i64::try_from(gcd(num.unsigned_abs(), den.unsigned_abs())).ok()?;
        (den > 0).then(|| Rational { num: num / divisor, den: den / divisor })
    }

    /// The fraction nearest to a rate given in decimals; 29.97 and the like become the exact
    /// `30000/1001` that they stand for.
    pub fn from_rate(rate: f64) -> Option<Self> {
        if !(rate.is_finite() && rate > 0.0 && rate <= 1000.0) {
            return None;
        }
        let ntsc = (rate * 1.001).round();
        if rate.fract() != 0.0 && (ntsc * 1000.0 / 1001.0 - rate).abs() < 0.005 {
            return Self::new(ntsc as i64 * 1000, 1001);
        }
        Self::new((rate * 1000.0).round() as i64, 1000)
    }

    /// The value.
    pub fn value(self) -> f64 {
        self.num as f64 / self.den as f64
    }
}

impl FromStr for Rational {
    type Err = NotRational;

    fn from_str(text: &str) -> Result<Self, NotRational> {
        let (num, den) = text.split_once(['/', ':']).ok_or(NotRational)?;
        let number = |text: &str| text.parse().map_err(|_| NotRational);
        Rational::new(number(num)?, number(den)?).ok_or(NotRational)
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_ffprobe_writes() {
        assert_eq!("30000/1001".parse(), Ok(Rational { num: 30000, den: 1001 }));
        assert_eq!("16:12".parse(), Ok(Rational { num: 4, den: 3 }));
        assert_eq!("0/0".parse::<Rational>(), Err(NotRational));
        assert_eq!("N/A".parse::<Rational>(), Err(NotRational));
    }

    #[test]
    fn decimal_rates_become_the_broadcast_fractions() {
        let rate = |r| Rational::from_rate(r).map(|r| r.to_string());
        assert_eq!(rate(29.97).as_deref(), Some("30000/1001"));
        assert_eq!(rate(23.976).as_deref(), Some("24000/1001"));
        assert_eq!(rate(59.94).as_deref(), Some("60000/1001"));
        assert_eq!(rate(25.0).as_deref(), Some("25/1"));
        assert_eq!(rate(12.5).as_deref(), Some("25/2"));
        assert_eq!(rate(0.0), None);
        assert_eq!(rate(f64::NAN), None);
    }
}
