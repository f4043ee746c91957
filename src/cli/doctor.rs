//! `doctor`: which step fails, on this machine and on the way to a peer, and what to do.
//!
//! Each check is a function that gives a [`Finding`]. Nothing is changed, nothing is repaired, and what depends on a
//! step that failed is skipped. With a peer every wait has an end: the whole takes a quarter of a minute at most.

mod answer;
mod certs;
mod limits;
mod machine;
mod peer;
mod port;

use std::fmt::Display;

use serde::Serialize;
use serde_json::json;

pub(super) use machine::{LITTLE, MOVED, existing, moved};

use super::{
    Context,
    args::Doctor,
    output::Output,
    report::{ExitCode, Failure},
    serve::raise_descriptor_limit,
};
use crate::name::Escaped;

pub(super) async fn run(context: &Context, args: &Doctor) -> Result<ExitCode, Failure> {
    // As `serve` does; the store keeps some hundred folders open.
    raise_descriptor_limit();
    let mut report = Report::new(context.output);
    report.add(machine::home(context));
    report.add(machine::config(context));
    let descriptors = report.add(limits::descriptors());
    report.add(limits::memory());
    certs::examine(context, &mut report);
    machine::examine(context, descriptors, &mut report);
    // What keeps it from being loaded was found above.
    let us = context.session().ok();
    report.add(port::port(context, args.listen, us.as_ref()).await);
    if let Some(peer) = &args.peer {
        peer::examine(context, us.as_ref(), peer, &mut report).await;
    }
    Ok(report.end())
}

/// How a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
    Skip,
}

/// What one check has found.
#[derive(Debug, Serialize)]
struct Finding {
    step: &'static str,
    verdict: Verdict,
    detail: String,
    hint: Option<String>,
    /// How the program ends because of it.
    #[serde(skip)]
    code: ExitCode,
}

impl Finding {
    fn new(step: &'static str, verdict: Verdict, code: ExitCode, detail: impl Display) -> Self {
        Self {
            step,
            verdict,
            detail: detail.to_string(),
            hint: None,
            code,
        }
    }

    fn ok(step: &'static str, detail: impl Display) -> Self {
        Self::new(step, Verdict::Ok, ExitCode::Ok, detail)
    }

    fn warn(step: &'static str, detail: impl Display) -> Self {
        Self::new(step, Verdict::Warn, ExitCode::Ok, detail)
    }

    fn fail(step: &'static str, code: ExitCode, detail: impl Display) -> Self {
        Self::new(step, Verdict::Fail, code, detail)
    }

    fn skip(step: &'static str, why: impl Display) -> Self {
        Self::new(step, Verdict::Skip, ExitCode::Ok, why)
    }

    /// What a command would say that fails in this way.
    fn failure(step: &'static str, failure: impl Into<Failure>) -> Self {
        let (code, what, hint) = failure.into().into_parts();
        let hint = hint.unwrap_or_else(|| "see docs/doctor.md".to_owned());
        Self::fail(step, code, what).hint(hint)
    }

    fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

/// Says findings as they come, and keeps them.
struct Report {
    output: Output,
    findings: Vec<Finding>,
}

impl Report {
    fn new(output: Output) -> Self {
        Self {
            output,
            findings: Vec::new(),
        }
    }

    fn add(&mut self, finding: Finding) -> Verdict {
        let verdict = finding.verdict;
        self.say(&finding);
        self.findings.push(finding);
        verdict
    }

    fn has(&self, step: &str) -> bool {
        self.findings.iter().any(|finding| finding.step == step)
    }

    fn say(&self, finding: &Finding) {
        let mark = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
            Verdict::Skip => "skip",
        };
        let (step, detail) = (finding.step, Escaped::new(&finding.detail));
        self.output.line(format!("{mark:<5} {step:<18} {detail}"));
        if let Some(hint) = &finding.hint {
            let hint = Escaped::new(hint);
            self.output.line(format!("{:<24} hint: {hint}", ""));
        }
        self.output.object("finding", finding);
    }

    /// The summary, and how the program ends: as the first failure says, for it is the nearest to the cause.
    fn end(&self) -> ExitCode {
        let of = |verdict| self.findings.iter().filter(move |f| f.verdict == verdict);
        let (ok, warnings, skipped) = (
            of(Verdict::Ok).count(),
            of(Verdict::Warn).count(),
            of(Verdict::Skip).count(),
        );
        let failed: Vec<_> = of(Verdict::Fail).map(|finding| finding.step).collect();
        let code = of(Verdict::Fail)
            .next()
            .map_or(ExitCode::Ok, |finding| finding.code);
        let verdict = match (failed.len(), warnings) {
            (0, 0) => "all is well".to_owned(),
            (0, _) => "nothing failed".to_owned(),
            _ => format!("failed: {}", failed.join(", ")),
        };
        self.output.line(format!(
            "{verdict} ({ok} ok, {warnings} warnings, {} failed, {skipped} skipped)",
            failed.len()
        ));
        self.output.object(
            "summary",
            &json!({"ok": ok, "warnings": warnings, "failed": failed, "skipped": skipped,
                "exit": code as u8}),
        );
        code
    }
}
