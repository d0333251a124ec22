//! Questions that a person answers.

use std::io::{self, BufRead, Write};

use super::{Printer, Style};
use crate::error::{CliError, Result};

impl Printer {
    /// Asks whether to go on; anything but yes is no. Where nobody can be asked, it fails and says
    /// which option answers.
    pub fn confirm(&self, question: &str, interactive: bool) -> Result<bool> {
        if !interactive {
            return Err(CliError::failed("this needs a yes, and there is no terminal to ask on")
                .cause(question)
                .hint("run the same command with `-y` to say yes"));
        }
        let mut answer = String::new();
        let mut err = io::stderr().lock();
        let read = write!(err, "{} [y/N] ", self.paint_err(question, Style::Bold))
            .and_then(|()| err.flush())
            .and_then(|()| io::stdin().lock().read_line(&mut answer));
        read.map_err(|error| CliError::failed("can't read the answer").cause(error))?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}
