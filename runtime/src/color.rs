//! Colours as people write them. Pure.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// An sRGB colour with opacity: `#ff8800`, `#f80`, `#ff880080` or a name of CSS such as `white`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color {
    /// Red.
    pub red: u8,
    /// Green.
    pub green: u8,
    /// Blue.
    pub blue: u8,
    /// 255 is opaque.
    pub alpha: u8,
}

/// The basic names of CSS Color Level 4, and `orange`.
const NAMES: &[(&str, u32)] = &[
    ("black", 0x00_0000),
    ("silver", 0xc0_c0c0),
    ("gray", 0x80_8080),
    ("grey", 0x80_8080),
    ("white", 0xff_ffff),
    ("maroon", 0x80_0000),
    ("red", 0xff_0000),
    ("purple", 0x80_0080),
    ("fuchsia", 0xff_00ff),
    ("magenta", 0xff_00ff),
    ("green", 0x00_8000),
    ("lime", 0x00_ff00),
    ("olive", 0x80_8000),
    ("yellow", 0xff_ff00),
    ("navy", 0x00_0080),
    ("blue", 0x00_00ff),
    ("teal", 0x00_8080),
    ("aqua", 0x00_ffff),
    ("cyan", 0x00_ffff),
    ("orange", 0xff_a500),
];

impl Color {
    /// Opaque white.
    pub const WHITE: Color = Color::opaque(0xff_ffff);
    /// Opaque black.
    pub const BLACK: Color = Color::opaque(0);
    /// The yellow that marks things.
    pub const MARKER: Color = Color::opaque(0xff_d400);

    /// An opaque colour from `0xrrggbb`.
    pub const fn opaque(rgb: u32) -> Color {
        let [_, red, green, blue] = rgb.to_be_bytes();
        Color { red, green, blue, alpha: 255 }
    }

    /// `0xrrggbb`.
    pub fn rgb(self) -> u32 {
        u32::from_be_bytes([0, self.red, self.green, self.blue])
    }

    /// Its opacity, 0 to 1.
    pub fn opacity(self) -> f64 {
        f64::from(self.alpha) / 255.0
    }
}

impl FromStr for Color {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let named = NAMES.iter().find(|(name, _)| *name == lower);
        if let Some((_, rgb)) = named {
            return Ok(Color::opaque(*rgb));
        }
        lower.strip_prefix('#').and_then(hex).ok_or_else(|| {
            format!(
                "`{text}` isn't a colour; expected one such as `#ff8800`, `#ff880080` or `white`"
            )
        })
    }
}

fn hex(digits: &str) -> Option<Color> {
    let value = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
    match digits.len() {
        3 => {
            let wide = |shift: u32| (value >> shift & 0xf) * 0x11;
            Some(Color::opaque(wide(8) << 16 | wide(4) << 8 | wide(0)))
        }
        6 => Some(Color::opaque(value)),
        8 => Some(Color { alpha: value.to_be_bytes()[3], ..Color::opaque(value >> 8) }),
        _ => None,
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:06x}", self.rgb())?;
        if self.alpha < 255 { write!(f, "{:02x}", self.alpha) } else { Ok(()) }
    }
}

impl<'de> Deserialize<'de> for Color {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Color {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Color".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
        let pattern = format!(
            "^(#([0-9A-Fa-f]{{3}}|[0-9A-Fa-f]{{6}}|[0-9A-Fa-f]{{8}})|{})$",
            names.join("|")
        );
        json_schema!({ "type": "string", "pattern": pattern, "examples": ["#ff8800"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_written() {
        let read = |text: &str| text.parse::<Color>().map(|color| color.to_string());
        assert_eq!(read("#F80").as_deref(), Ok("#ff8800"));
        assert_eq!(read("#ff880080").as_deref(), Ok("#ff880080"));
        assert_eq!(read(" White ").as_deref(), Ok("#ffffff"));
        for wrong in ["", "#", "#12", "#gggggg", "#+12345", "red:x", "rgb(1,2,3)"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
