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

    /// Asks for a value on the terminal without showing what is typed.
    pub fn ask_unseen(&self, what: &str) -> io::Result<String> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let stdin = io::stdin();
        let shown = tcgetattr(&stdin)?;
        let mut unseen = shown.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        write!(io::stderr().lock(), "{what}: ")?;
        tcsetattr(&stdin, OptionalActions::Flush, &unseen)?;
        let mut answer = String::new();
        let read = stdin.lock().read_line(&mut answer);
        tcsetattr(&stdin, OptionalActions::Flush, &shown)?;
        writeln!(io::stderr().lock())?;
        read.map(|_| answer)
    }
}
