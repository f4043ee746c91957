//! A line of the log for a person: what happened, and on what, without level and names of targets.

use std::fmt::{self, Debug, Write as _};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::name::Escaped;

/// Writes events as sentences.
pub(super) struct Sentence;

impl<S, N> FormatEvent<S, N> for Sentence
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut told = Told::default();
        event.record(&mut told);
        let text = told.sentence();
        writeln!(writer, "{}", Escaped::new(&text))
    }
}

/// What an event tells.
#[derive(Default)]
struct Told {
    message: String,
    others: String,
}

impl Told {
    fn sentence(self) -> String {
        let Self { message, others } = self;
        match others.is_empty() {
            true => format!("colis: {message}"),
            false => format!("colis: {message} ({others})"),
        }
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => {
                let between = if self.others.is_empty() { "" } else { ", " };
                write!(self.others, "{between}{name}: {value:?}")
            }
        };
    }
}
