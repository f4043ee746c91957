//! Several addresses of one peer: the first that answers.

use std::{future::Future, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::sleep;

/// How long an address is tried before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Returns the first answer of `tries`, which begin in their order. An address that swallows what is sent to it holds the
/// next one up for a quarter of a second only; one that fails does not hold it up.
///
/// # Errors
/// Each failure, in the order in which they came, if no try succeeds; nothing if there are no tries.
pub async fn first_answer<T, E, F>(tries: impl IntoIterator<Item = F>) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = tries.into_iter().peekable();
    let (mut begun, mut failed) = (FuturesUnordered::new(), Vec::new());
    loop {
        begun.extend(waiting.next());
        let ended = tokio::select! {
            ended = begun.next() => ended,
            () = sleep(HEAD_START), if waiting.peek().is_some() => continue,
        };
        match ended {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(failure)) => failed.push(failure),
            None => return Err(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures::FutureExt as _;

    use super::*;

    fn race(tries: Vec<futures::future::BoxFuture<'_, Result<u8, u8>>>) -> Result<u8, Vec<u8>> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().unwrap();
        runtime.block_on(first_answer(tries))
    }

    #[test]
    fn the_first_that_answers_wins_and_none_holds_the_next_one_up() {
        let fails = |code| ready(Err(code)).boxed();
        let answers = |answer| ready(Ok(answer)).boxed();
        let swallows = || pending().boxed();
        assert_eq!(race(vec![answers(1), answers(2)]), Ok(1));
        assert_eq!(race(vec![fails(1), fails(2), answers(3)]), Ok(3));
        assert_eq!(race(vec![swallows(), swallows(), answers(3)]), Ok(3));
        assert_eq!(race(vec![swallows(), fails(2), answers(3)]), Ok(3));
        assert_eq!(race(vec![fails(1), fails(2)]), Err(vec![1, 2]));
        assert_eq!(race(Vec::new()), Err(Vec::new()));
    }
}
