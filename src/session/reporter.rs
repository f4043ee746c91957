//! Who is told what a session does.

use super::Event;

/// Is told the events of a session. Called from several threads; must not block. If it panics, the operation that tells it does.
pub trait Reporter: Send + Sync {
    /// Something happened.
    fn tell(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Reporter for F {
    fn tell(&self, event: &Event) {
        self(event);
    }
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn tell(&self, _: &Event) {}
}
