//! What the doctor says.

use super::{brief, peers};
use crate::{
    cli::output::Output,
    config::units::count,
    name::Escaped,
    session::{Event, Finding, Summary, Verdict},
};

/// Says the findings of the doctor.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Finding(finding) => said(output, finding),
        Event::Summary(summary) => output.line(in_all(summary)),
        _ => peers::say(output, event),
    }
}

fn said(output: Output, finding: &Finding) {
    let mark = match finding.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
        Verdict::Skip => "skip",
    };
    let (step, detail) = (&finding.step, brief::on_clock_here(&finding.detail));
    let detail = Escaped::new(&detail);
    output.line(format!("{mark:<5} {step:<18} {detail}"));
    if let Some(hint) = &finding.hint {
        let hint = brief::on_clock_here(hint);
        let hint = Escaped::whole(&hint);
        output.line(format!("{:<24} hint: {hint}", ""));
    }
}

fn in_all(summary: &Summary) -> String {
    let (ok, warnings, skipped) = (summary.ok, summary.warnings, summary.skipped);
    let failed = &summary.failed;
    let verdict = match (failed.len(), warnings) {
        (0, 0) => "all is well".to_owned(),
        (0, _) => "nothing failed".to_owned(),
        _ => format!("failed: {}", failed.join(", ")),
    };
    let (warnings, failed) = (count(warnings, "warning", "warnings"), failed.len());
    format!("{verdict} ({ok} ok, {warnings}, {failed} failed, {skipped} skipped)")
}
