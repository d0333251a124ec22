//! Whether a call needs its claim: it does unless some part of it waits for calls that it made.
//!
//! As long as one part waits, the claim stays given back, though another part may go on: else two
//! waits at the same time could hold the claim that the second one's call needs.

use tokio::sync::oneshot;

use super::link::Calls;

/// The waits of one attempt.
#[derive(Debug, Default)]
pub(super) struct Claim {
    waits: u32,
    turn: u64,
    wanted: Option<oneshot::Sender<()>>,
}

impl Claim {
    /// One more wait; `true` when the claim is to be given back.
    pub(super) fn begin_wait(&mut self) -> bool {
        self.waits += 1;
        if self.waits > 1 {
            return false;
        }
        if let Some(wanted) = self.wanted.take() {
            // The part that waits for the claim may have been dropped.
            let _ = wanted.send(());
        }
        true
    }

    /// One wait less. After the last the claim is wanted again, under a number of its own.
    pub(super) fn end_wait(&mut self) -> Option<(u64, oneshot::Receiver<()>)> {
        self.waits -= 1;
        if self.waits > 0 {
            return None;
        }
        let (wanted, granted) = oneshot::channel();
        self.wanted = Some(wanted);
        self.turn += 1;
        Some((self.turn, granted))
    }

    /// The claim that was wanted under that number is held; a late answer to an earlier wish is
    /// none to this one.
    pub(super) fn resumed(&mut self, turn: u64) {
        if turn == self.turn
            && let Some(wanted) = self.wanted.take()
        {
            let _ = wanted.send(());
        }
    }
}

/// One part's wait. Dropped while it waits, the claim is taken again, though nobody sees when.
#[derive(Debug)]
pub(super) struct Waiting {
    calls: Calls,
    active: bool,
    /// Says when the claim that was wanted is held.
    granted: Option<oneshot::Receiver<()>>,
}

impl Waiting {
    pub(super) fn new(calls: Calls) -> Self {
        Waiting { calls, active: false, granted: None }
    }

    /// Waits from now on; nothing changes if it does already.
    pub(super) fn begin(&mut self) {
        if !self.active {
            (self.active, self.granted) = (true, None);
            self.calls.begin_wait();
        }
    }

    /// Waits no more, and returns when the claim is held again, unless other parts still wait.
    /// Safe to cancel.
    pub(super) async fn end(&mut self) {
        if self.active {
            self.granted = self.stop();
        }
        if let Some(granted) = &mut self.granted {
            // An attempt that is over needs no claim.
            let _ = granted.await;
            self.granted = None;
        }
    }

    fn stop(&mut self) -> Option<oneshot::Receiver<()>> {
        if !std::mem::take(&mut self.active) {
            return None;
        }
        self.calls.end_wait()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claim_is_given_back_at_the_first_wait_and_wanted_after_the_last() {
        let mut claim = Claim::default();
        assert!(claim.begin_wait());
        assert!(!claim.begin_wait());
        assert!(claim.end_wait().is_none());
        let (turn, mut granted) = claim.end_wait().unwrap();
        assert!(granted.try_recv().is_err());
        claim.resumed(turn);
        assert!(granted.try_recv().is_ok());
    }

    #[test]
    fn a_wait_that_begins_before_the_claim_is_back_lets_the_other_part_go_on() {
        let mut claim = Claim::default();
        claim.begin_wait();
        let (first, mut granted) = claim.end_wait().unwrap();
        assert!(claim.begin_wait(), "it may have been granted meanwhile");
        assert!(granted.try_recv().is_ok());
        let (_, mut granted) = claim.end_wait().unwrap();
        claim.resumed(first);
        assert!(granted.try_recv().is_err(), "an answer to the first wish only");
    }
}
