//! How fast a command transfers, by its flags or the settings.

use std::num::NonZeroU64;

use super::{Context, report::Failure};
use crate::{config::units::SizeText, store::Pace};

/// How many bytes a second may move: as asked, else as configured.
pub(super) fn pace(context: &Context, asked: Option<&str>) -> Result<Option<Pace>, Failure> {
    let asked = asked.map(str::parse::<SizeText>).transpose()?;
    let Some(limit) = asked.or(context.config.limit) else {
        return Ok(None);
    };
    let nothing =
        || Failure::usage("a limit of 0 would move nothing").hint("leave it out for none");
    let limit = NonZeroU64::new(limit.bytes()).ok_or_else(nothing)?;
    Ok(Some(Pace::new(limit)))
}
