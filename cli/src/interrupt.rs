//! Ctrl-C.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Presses of Ctrl-C since this was made, also those that come while nobody waits for one: what
/// `tokio::signal::ctrl_c` gives knows only presses that come while it is waited for.
#[derive(Debug)]
pub(crate) struct Interrupts(Signal);

impl Interrupts {
    /// Listens from now on; Ctrl-C no longer ends the process by itself.
    pub(crate) fn listen() -> io::Result<Self> {
        signal(SignalKind::interrupt()).map(Interrupts)
    }

    /// Waits for a press.
    pub(crate) async fn pressed(&mut self) {
        // The stream of a signal has no end.
        self.0.recv().await;
    }
}
