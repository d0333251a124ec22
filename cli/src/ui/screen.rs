//! The whole terminal as a page that is drawn again and again, with keys; left as it was found.

use std::io::{self, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// To the other page of the terminal, without a cursor (xterm's control sequences).
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The terminal on stdout. Dropped, it shows what it showed before.
#[derive(Debug)]
pub struct Screen {
    before: Option<Termios>,
    keys: mpsc::UnboundedReceiver<u8>,
    resized: Signal,
    interrupted: Signal,
    terminated: Signal,
}

/// What a person does with the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// `q` was pressed.
    Quit,
    /// Ctrl-C, or the process is to end.
    Interrupt,
    /// It has another size.
    Resized,
}

impl Screen {
    /// Takes the terminal.
    pub fn open() -> io::Result<Self> {
        let screen = Screen {
            before: read_key_by_key(),
            keys: keys(),
            resized: signal(SignalKind::window_change())?,
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
        };
        write!(io::stdout().lock(), "{ENTER}")?;
        Ok(screen)
    }

    /// Columns and rows; of a terminal that doesn't say, the usual ones.
    pub fn size(&self) -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => (80, 24),
        }
    }

    /// Shows these lines and nothing else.
    pub fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut page = String::from("\x1b[H");
        for (row, line) in lines.iter().enumerate() {
            let end = if row == 0 { "" } else { "\r\n" };
            page.push_str(end);
            page.push_str(line);
            page.push_str("\x1b[K");
        }
        page.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(page.as_bytes())?;
        out.flush()
    }

    /// What a person does next. Safe to cancel.
    pub async fn input(&mut self) -> Input {
        loop {
            tokio::select! {
                Some(key) = self.keys.recv() => if matches!(key, b'q' | b'Q') { return Input::Quit },
                _ = self.interrupted.recv() => return Input::Interrupt,
                _ = self.terminated.recv() => return Input::Interrupt,
                _ = self.resized.recv() => return Input::Resized,
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no mending.
        let _ = write!(io::stdout().lock(), "{LEAVE}");
        let _ = io::stdout().flush();
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

/// Makes stdin give keys as they are pressed, unseen; none when it is no terminal.
fn read_key_by_key() -> Option<Termios> {
    let before = tcgetattr(io::stdin()).ok()?;
    let mut unseen = before.clone();
    unseen.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
    tcsetattr(io::stdin(), OptionalActions::Now, &unseen).ok()?;
    Some(before)
}

/// The keys that are pressed, read by a thread of their own: a read can't be given up, and the end
/// of the program must not wait for one.
fn keys() -> mpsc::UnboundedReceiver<u8> {
    let (pressed, keys) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for key in io::stdin().lock().bytes().map_while(Result::ok) {
            if pressed.send(key).is_err() {
                return;
            }
        }
    });
    keys
}
