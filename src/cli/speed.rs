//! How fast a command transfers, by its flags.

use std::num::NonZeroU64;

use super::report::Failure;
use crate::{config::units::SizeText, session::Mistake, store::Pace};

/// How many bytes a second may move, if that was asked for.
pub(super) fn pace(asked: Option<&str>) -> Result<Option<Pace>, Failure> {
    let Some(asked) = asked else {
        return Ok(None);
    };
    let limit = NonZeroU64::new(asked.parse::<SizeText>()?.bytes());
    Ok(Some(Pace::new(limit.ok_or(Mistake::MovesNothing)?)))
}
