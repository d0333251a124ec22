//! ffmpeg's expressions as data: numbers that change with time. Pure.
//!
//! No text of a caller's ever gets in: all that can be built are numbers and what is written here.

use std::fmt;

/// An expression that ffmpeg evaluates for each frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr(String);

impl Expr {
    /// A number.
    pub fn number(value: f64) -> Expr {
        Expr(number(value))
    }

    /// `then` before `time`, and `otherwise` from then on.
    pub fn before(variable: &'static str, time: f64, then: Expr, otherwise: Expr) -> Expr {
        Expr(format!("if(lt({variable},{}),{then},{otherwise})", number(time)))
    }

    /// `c[0] + c[1] u + c[2] u² + c[3] u³`, where `u` is `variable - from`.
    pub fn polynomial(variable: &'static str, from: f64, c: [f64; 4]) -> Expr {
        let u = match number(from).as_str() {
            "0" => variable.to_owned(),
            from if from.starts_with('-') => format!("({variable}-({from}))"),
            from => format!("({variable}-{from})"),
        };
        let terms = c.map(number);
        let degree = terms.iter().rposition(|term| term != "0").unwrap_or(0);
        let (inner, outer) = terms[..=degree].split_last().expect("a cubic has four terms");
        let horner = |text: String, term: &String| match term.as_str() {
            "0" => format!("{u}*({text})"),
            term => format!("{term}+{u}*({text})"),
        };
        Expr(outer.iter().rev().fold(inner.clone(), horner))
    }

    /// `start + ln((speed + slope u) / speed) / slope`, where `u` is `variable - from`: the time that
    /// something takes whose speed changes in a straight line.
    pub fn logarithm(
        variable: &'static str,
        from: f64,
        (start, speed, slope): (f64, f64, f64),
    ) -> Expr {
        let inside = Expr::polynomial(variable, from, [1.0, slope / speed, 0.0, 0.0]);
        Expr(format!("{}+log({inside})*({})", number(start), number(1.0 / slope)))
    }

    /// The nearest whole number.
    pub fn nearest(&self) -> Expr {
        Expr(format!("round({self})"))
    }

    /// `self` times `other`.
    pub fn times(&self, other: &Expr) -> Expr {
        Expr(format!("({self})*({other})"))
    }

    /// `value` divided by `self`.
    pub fn divides(&self, value: f64) -> Expr {
        Expr(format!("{}/({self})", number(value)))
    }

    /// `self`, kept between `low` and `high`.
    pub fn clip(&self, low: f64, high: f64) -> Expr {
        Expr(format!("clip({self},{},{})", number(low), number(high)))
    }

    /// `self - other`.
    pub fn minus(&self, other: &Expr) -> Expr {
        Expr(format!("({self})-({other})"))
    }

    /// Whether the time is in any of `windows` of seconds, an end not included.
    pub fn within(variable: &'static str, windows: &[Window]) -> Expr {
        let parts: Vec<_> = windows.iter().map(|window| window.expr(variable)).collect();
        Expr(if parts.is_empty() { "1".into() } else { parts.join("+") })
    }
}

/// A range of time in seconds; an end that is none is open.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// The first moment.
    pub start: Option<f64>,
    /// The first moment that is outside.
    pub end: Option<f64>,
}

/// Half a millisecond: what times are rounded by when people write them down.
const ROUNDING: f64 = 0.0005;

impl Window {
    /// It has no ends.
    pub fn is_always(self) -> bool {
        self.start.is_none_or(|start| start <= 0.0) && self.end.is_none()
    }

    fn expr(self, variable: &'static str) -> String {
        let start = self
            .start
            .filter(|start| *start > 0.0)
            .map(|start| format!("gte({variable},{})", number(start - ROUNDING)));
        let end = self.end.map(|end| format!("lt({variable},{})", number(end - ROUNDING)));
        match (start, end) {
            (Some(start), Some(end)) => format!("{start}*{end}"),
            (one, other) => one.or(other).unwrap_or_else(|| "1".into()),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Eight decimals keep a time to a millisecond over hours, also where it is multiplied.
fn number(value: f64) -> String {
    let text = format!("{:.8}", if value.is_finite() { value } else { 0.0 });
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" | "" => "0".into(),
        short => short.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_written_as_products() {
        let poly = |from, c| Expr::polynomial("t", from, c).to_string();
        assert_eq!(poly(0.0, [1.0, 0.0, 0.0, 0.0]), "1");
        assert_eq!(poly(0.0, [-1.0, 0.0, 0.0, 0.0]), "-1");
        assert_eq!(poly(2.0, [0.0, 3.0, 0.0, -0.5]), "(t-2)*(3+(t-2)*((t-2)*(-0.5)))");
    }

    #[test]
    fn windows_are_half_open() {
        let window = Window { start: Some(1.0), end: Some(2.5) };
        let text = Expr::within("t", &[window, Window::default()]).to_string();
        assert_eq!(text, "gte(t,0.9995)*lt(t,2.4995)+1");
    }
}
