//! Text as a JSON string, for all that is written here as JSON.

use std::fmt::{self, Write as _};

/// Displays the text in quotes, with what JSON wants escaped.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\""),
                '\\' => f.write_str("\\\\"),
                '\n' => f.write_str("\\n"),
                c if c < ' ' => write!(f, "\\u{:04x}", c as u32),
                c => f.write_char(c),
            }?;
        }
        f.write_char('"')
    }
}
