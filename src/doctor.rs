//! Which step fails, on this machine and on the way to a peer, and what to do.
//!
//! Each check is a function that gives a [`Finding`]. Nothing is changed, nothing is repaired, and what depends on a
//! step that failed is skipped. With a peer every wait has an end: the whole takes a quarter of a minute at most.

mod answer;
mod certs;
mod limits;
mod machine;
mod peer;
mod port;

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

pub use crate::session::{Finding, Summary, Verdict};
use crate::{
    config::Config,
    session::{Home, Kind, Session, Silent},
};

/// What to look at, beside this machine.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DoctorRequest {
    /// The peer to which the way is gone: a name of the address book, or an address.
    pub peer: Option<String>,
    /// Where this peer is to serve, if not where the settings say.
    pub listen: Option<SocketAddr>,
}

/// What is looked at.
struct Subject<'a> {
    home: &'a Home,
    config: &'a Config,
}

/// Looks at `home`, which may be wrong in every way, and at the machine, and gives each finding to `tell` as it comes. `config` is
/// what holds there; that its file is wrong is one of the findings.
pub async fn examine(
    home: &Home,
    config: &Config,
    request: &DoctorRequest,
    tell: impl FnMut(Finding) + Send,
) -> Summary {
    let subject = Subject { home, config };
    let mut report = Report {
        tell: Box::new(tell),
        told: Vec::new(),
    };
    report.add(machine::home(&subject));
    report.add(machine::config(&subject));
    let descriptors = report.add(limits::descriptors());
    report.add(limits::memory());
    certs::examine(&subject, &mut report);
    machine::examine(&subject, descriptors, &mut report);
    // What keeps it from being loaded was found above.
    let us = Session::with(home.clone(), config.clone(), Arc::new(Silent)).ok();
    report.add(port::port(&subject, request.listen, us.as_ref()).await);
    if let Some(peer) = &request.peer {
        peer::examine(&subject, us.as_ref(), peer, &mut report).await;
    }
    report.summary()
}

/// Tells findings as they come, and keeps how the steps are.
struct Report<'a> {
    tell: Box<dyn FnMut(Finding) + Send + 'a>,
    told: Vec<(Cow<'static, str>, Verdict, Option<Kind>)>,
}

impl Report<'_> {
    fn add(&mut self, finding: Finding) -> Verdict {
        let verdict = finding.verdict;
        self.told
            .push((finding.step.clone(), verdict, finding.kind));
        (self.tell)(finding);
        verdict
    }

    fn has(&self, step: &str) -> bool {
        self.told.iter().any(|(told, ..)| told == step)
    }

    fn summary(&self) -> Summary {
        let of = |verdict| self.told.iter().filter(move |told| told.1 == verdict);
        let kind = of(Verdict::Fail).find_map(|(.., kind)| *kind);
        Summary {
            ok: of(Verdict::Ok).count(),
            warnings: of(Verdict::Warn).count(),
            failed: of(Verdict::Fail).map(|told| told.0.to_string()).collect(),
            skipped: of(Verdict::Skip).count(),
            exit: kind.map_or(0, |kind| kind as u8),
            kind,
        }
    }
}
