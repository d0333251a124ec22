//! What is tried again here since the SDK doesn't: a body that breaks off after its head has come.

use std::time::Duration;

/// How often, the first time counted.
const TRIES: u32 = 4;
/// How long before each further time.
const PAUSE: Duration = Duration::from_millis(250);

/// What `ask` returns once it succeeds, fails for good, or has failed often enough.
pub(crate) async fn again<T, E, F: Future<Output = Result<T, E>>>(
    may_help: impl Fn(&E) -> bool,
    mut ask: impl FnMut() -> F,
) -> Result<T, E> {
    for _ in 1..TRIES {
        match ask().await {
            Err(error) if may_help(&error) => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
    ask().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn what_may_help_is_tried_again_and_nothing_for_ever() {
        let asked = Cell::new(0);
        let count = || {
            asked.set(asked.get() + 1);
            asked.get()
        };
        let third = || async { Some("came").filter(|_| count() == 3).ok_or("broke off") };
        assert_eq!(again(|_| true, third).await, Ok("came"));
        asked.set(0);
        assert_eq!(again(|_| true, || async { Err::<(), _>(count()) }).await, Err(TRIES));
        asked.set(0);
        assert_eq!(again(|_| false, || async { Err::<(), _>(count()) }).await, Err(1));
    }
}
