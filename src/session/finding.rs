//! What the doctor finds.

use std::{borrow::Cow, fmt::Display, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Error, Kind};

/// How a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Well.
    Ok,
    /// It works, and something should be done about it.
    Warn,
    /// It does not work.
    Fail,
    /// It was not looked at.
    Skip,
}

/// What one check has found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at, for programs: never renamed.
    pub step: Cow<'static, str>,
    /// How it is.
    pub verdict: Verdict,
    /// What was found. It may have foreign text in it.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Of what failed: what a caller can do about it.
    #[serde(skip)]
    pub kind: Option<Kind>,
    /// The error of an operation that was tried, if it is one.
    #[serde(skip)]
    pub cause: Option<Arc<Error>>,
}

impl Finding {
    fn new(step: &'static str, verdict: Verdict, detail: impl Display) -> Self {
        Self {
            step: step.into(),
            verdict,
            detail: detail.to_string(),
            hint: None,
            kind: None,
            cause: None,
        }
    }

    pub(crate) fn ok(step: &'static str, detail: impl Display) -> Self {
        Self::new(step, Verdict::Ok, detail)
    }

    pub(crate) fn warn(step: &'static str, detail: impl Display) -> Self {
        Self::new(step, Verdict::Warn, detail)
    }

    pub(crate) fn fail(step: &'static str, kind: Kind, detail: impl Display) -> Self {
        Self {
            kind: Some(kind),
            ..Self::new(step, Verdict::Fail, detail)
        }
    }

    pub(crate) fn skip(step: &'static str, why: impl Display) -> Self {
        Self::new(step, Verdict::Skip, why)
    }

    /// An operation would fail in this way.
    pub(crate) fn failure(step: &'static str, error: impl Into<Error>) -> Self {
        let error = error.into();
        let found = Self::fail(step, error.kind(), &error);
        Self {
            cause: Some(Arc::new(error)),
            ..found
        }
    }

    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

/// What was found in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Steps that are well.
    pub ok: usize,
    /// Steps with a warning.
    pub warnings: usize,
    /// The steps that failed.
    pub failed: Vec<String>,
    /// Steps that were not looked at.
    pub skipped: usize,
    /// What can be done about the first failure, which is the nearest to the cause, as its exit code says it; 0 without one.
    pub exit: u8,
    /// The same.
    #[serde(skip)]
    pub kind: Option<Kind>,
}
