//! Waiting for what AWS says it has reached. It tells nobody when that is, so it is asked, less and
//! less often.

use std::time::Duration;

use super::CloudResult;
use super::error::CloudError;

/// The first pause, and what each later one grows by, up to the longest.
const FIRST: Duration = Duration::from_millis(100);
const GROWTH: f64 = 1.6;
const LONGEST: Duration = Duration::from_secs(10);
/// How long compute environments, queues and functions may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);
/// How long a new role takes to be known everywhere; AWS says seconds, and means up to a minute.
const PROPAGATION: Duration = Duration::from_secs(90);

/// What one look found.
#[derive(Debug)]
pub(super) enum Look {
    /// It is there.
    Reached,
    /// It isn't yet; what the service says about it.
    NotYet(String),
    /// It never will be; why.
    Never(String),
}

/// Looks until `what` has become `wanted`.
pub(super) async fn until<F>(
    what: &str,
    wanted: &'static str,
    look: impl FnMut() -> F,
) -> CloudResult<()>
where
    F: Future<Output = CloudResult<Look>>,
{
    until_within(PATIENCE, what, wanted, look).await
}

async fn until_within<F>(
    patience: Duration,
    what: &str,
    wanted: &'static str,
    mut look: impl FnMut() -> F,
) -> CloudResult<()>
where
    F: Future<Output = CloudResult<Look>>,
{
    let mut pauses = Pauses::within(patience);
    loop {
        let not = |reason| CloudError::NotReached { what: what.to_owned(), wanted, reason };
        match look().await? {
            Look::Reached => return Ok(()),
            Look::Never(reason) => return Err(not(reason)),
            Look::NotYet(reason) => {
                if !pauses.pause().await {
                    return Err(not(format!("it is still {reason}")));
                }
            }
        }
    }
}

/// Does something again while it fails as it does when a role is new.
pub(super) async fn propagated<T, F>(mut act: impl FnMut() -> F) -> CloudResult<T>
where
    F: Future<Output = CloudResult<T>>,
{
    again_while(PROPAGATION, CloudError::may_be_propagation, &mut act).await
}

/// Does something again while it fails in a way that passes.
pub(super) async fn again_while<T, F>(
    limit: Duration,
    passes: impl Fn(&CloudError) -> bool,
    act: &mut impl FnMut() -> F,
) -> CloudResult<T>
where
    F: Future<Output = CloudResult<T>>,
{
    let mut pauses = Pauses::within(limit);
    loop {
        match act().await {
            Err(error) if passes(&error) => {
                if !pauses.pause().await {
                    return Err(error);
                }
            }
            ended => return ended,
        }
    }
}

/// Pauses that grow, until their sum is too much.
struct Pauses {
    next: Duration,
    left: Duration,
}

impl Pauses {
    fn within(limit: Duration) -> Self {
        Pauses { next: FIRST, left: limit }
    }

    /// Pauses; `false` when there was no time left for it.
    async fn pause(&mut self) -> bool {
        if self.left.is_zero() {
            return false;
        }
        let pause = self.next.min(self.left);
        tokio::time::sleep(pause).await;
        self.left -= pause;
        self.next = self.next.mul_f64(GROWTH).min(LONGEST);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn it_is_looked_at_until_it_is_reached_or_never_will_be() {
        let looks = Cell::new(0);
        let look = |last: fn() -> Look| {
            looks.set(0);
            let looks = &looks;
            move || {
                looks.set(looks.get() + 1);
                let found = if looks.get() < 2 { Look::NotYet("CREATING".into()) } else { last() };
                async move { Ok(found) }
            }
        };
        let little = Duration::from_millis(1);
        let until = |look| until_within(little, "queue `q`", "valid", look);
        until(look(|| Look::Reached)).await.unwrap();
        assert_eq!(looks.get(), 2);
        let never = until(look(|| Look::Never("no role".into()))).await;
        let text = never.unwrap_err().to_string();
        assert_eq!(text, "queue `q` didn't become valid: no role");
        let late = until(look(|| Look::NotYet("CREATING".into()))).await;
        assert!(late.unwrap_err().to_string().ends_with("it is still CREATING"));
    }
}
