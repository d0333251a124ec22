//! Lengths on a picture as people write them. Pure.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::quantity;

/// A length or a place on a picture: pixels, or a share of the picture's width or height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// Pixels.
    Pixels(f64),
    /// Hundredths of the picture's width (of what lies across) or height (of the rest).
    Percent(f64),
}

impl Length {
    /// In pixels, on a side that is `whole` pixels long.
    pub fn of(self, whole: f64) -> f64 {
        match self {
            Length::Pixels(pixels) => pixels,
            Length::Percent(percent) => percent / 100.0 * whole,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let read = |digits: &str| {
            digits.trim().parse::<f64>().ok().filter(|value| value.is_finite() && value.abs() < 1e6)
        };
        match text.strip_suffix('%') {
            Some(percent) => read(percent).map(Length::Percent),
            None => read(text.strip_suffix("px").unwrap_or(text)).map(Length::Pixels),
        }
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a length; expected pixels such as `40`, or a share such as `5%`";
        quantity::deserialize(deserializer, Length::parse, expected)
    }
}

impl JsonSchema for Length {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Length".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        quantity::schema("^-?[0-9]+(\\.[0-9]+)?(%|px)?$", json!({ "type": "number" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_pixels_or_shares() {
        assert_eq!(Length::parse("40").map(|l| l.of(200.0)), Some(40.0));
        assert_eq!(Length::parse("-40px").map(|l| l.of(200.0)), Some(-40.0));
        assert_eq!(Length::parse("12.5%").map(|l| l.of(200.0)), Some(25.0));
        for wrong in ["", "%", "5em", "nan", "inf", "1e9"] {
            assert_eq!(Length::parse(wrong), None, "{wrong}");
        }
    }
}
