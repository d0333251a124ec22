//! Looking on without taking part: what whoever runs the queue tells, as long as somebody does.

use std::time::Duration;

use tokio::sync::mpsc;

use super::executor::Interest;
use super::socket::{self, Connection, Line};
use crate::dispatch::Told;
use crate::home::Home;

/// Between looks for somebody who runs the queue, while nobody does: nothing tells when that
/// changes.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Events from elsewhere. Unlike an [`super::Attendance`] it never runs calls itself, so it can end
/// at any time.
#[derive(Debug)]
pub struct Observation {
    told: mpsc::UnboundedReceiver<Told>,
}

impl Observation {
    /// Starts looking on.
    pub(super) fn start(home: Home, interest: Interest) -> Self {
        let (events, told) = mpsc::unbounded_channel();
        tokio::spawn(look_on(home, interest, events));
        Observation { told }
    }

    /// What `told` tells.
    pub(crate) fn of(told: mpsc::UnboundedReceiver<Told>) -> Self {
        Observation { told }
    }

    /// What is told next: first of all [`Told::Attached`] or [`Told::Detached`]. Safe to cancel.
    pub async fn next(&mut self) -> Told {
        // The task ends only when nobody listens any more.
        self.told.recv().await.unwrap_or(Told::Detached)
    }
}

async fn look_on(home: Home, interest: Interest, events: mpsc::UnboundedSender<Told>) {
    let mut pause = FIRST_PAUSE;
    let mut attached = true;
    loop {
        if let Ok(connection) = Connection::look_on(&socket::path(&home)).await {
            attached |= listen(connection, &interest, &events).await;
        }
        if std::mem::take(&mut attached) {
            pause = FIRST_PAUSE;
            // Whether anybody listens is looked at next.
            let _ = events.send(Told::Detached);
        }
        tokio::select! {
            () = events.closed() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// Passes on what is told until the executor is gone; whether it told anything.
async fn listen(
    mut connection: Connection,
    interest: &Interest,
    events: &mpsc::UnboundedSender<Told>,
) -> bool {
    let mut told_anything = false;
    if connection.say(&Line::watch(interest)).await.is_err() {
        return false;
    }
    loop {
        tokio::select! {
            () = events.closed() => return told_anything,
            told = connection.next() => match told {
                Some(told) => {
                    told_anything = true;
                    let _ = events.send(told);
                }
                None => return told_anything,
            },
        }
    }
}
