//! Why a request did not get an answer: the causes under an error, sorted by what the caller can do.

use std::{error::Error, io};

use rustls::{AlertDescription, CertificateError, Error as TlsError, InvalidMessage};

use super::resolve::Unresolved;
use crate::{
    name::{LibraryError, connection_failed},
    store::{Alert, NetworkCause, ProtocolFault, Rejection, Remote, StoreError},
    tls::Distrust,
};

/// What a failed request means.
pub(super) fn classify(remote: Remote, error: &reqwest::Error) -> StoreError {
    for cause in causes(error) {
        if let Some(tls) = tls_error(cause) {
            return tls_failed(remote, tls, error.is_connect());
        }
    }
    if causes(error).any(is_parse) {
        let fault = ProtocolFault::NoHttp;
        return StoreError::Protocol { remote, fault };
    }
    let cause = network_cause(error);
    StoreError::Network { remote, cause }
}

fn is_parse(cause: &(dyn Error + 'static)) -> bool {
    let hyper = cause.downcast_ref::<hyper::Error>();
    hyper.is_some_and(hyper::Error::is_parse)
}

fn network_cause(error: &reqwest::Error) -> NetworkCause {
    if error.is_connect() && error.is_timeout() {
        return NetworkCause::ConnectTimeout;
    }
    if let Some(Unresolved(error)) = causes(error).find_map(|cause| cause.downcast_ref()) {
        return NetworkCause::UnknownHost(again(error));
    }
    let hyper = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
    let system = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    match (hyper, system) {
        (_, Some(system)) if error.is_connect() => not_connected(system),
        // A peer that refuses our certificate may hang up before its reason arrives.
        (Some(hyper), _) if hyper.is_canceled() || hyper.is_closed() => NetworkCause::ClosedAtOnce,
        (Some(hyper), _) if hyper.is_incomplete_message() => NetworkCause::Cut,
        (_, Some(system)) => match system.kind() {
            io::ErrorKind::UnexpectedEof => NetworkCause::Cut,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => NetworkCause::Reset(again(system)),
            _ => NetworkCause::Other(LibraryError::new(innermost(system))),
        },
        _ => NetworkCause::Other(LibraryError::new(innermost(error))),
    }
}

fn not_connected(system: &io::Error) -> NetworkCause {
    let error = again(system);
    match system.kind() {
        io::ErrorKind::ConnectionRefused => NetworkCause::Refused(error),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            NetworkCause::Unreachable(error)
        }
        io::ErrorKind::TimedOut => NetworkCause::ConnectTimeout,
        _ => NetworkCause::NotConnected(error),
    }
}

/// The same error as one of our own: of what it wraps the message that says something.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            io::Error::new(error.kind(), connection_failed(error))
        }
        None => io::Error::new(error.kind(), innermost(error)),
    }
}

/// Nothing came for too long.
pub(super) fn stalled(remote: Remote) -> StoreError {
    let cause = NetworkCause::Stalled;
    StoreError::Network { remote, cause }
}

/// The message of what an error wraps at last, which is the one that says something.
fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// The error and everything under it. An I/O error hides what it wraps from `source`.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| next_cause(*error))
}

fn next_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

pub(super) fn tls_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    cause.downcast_ref()
}

/// `first` says that nothing came before it: later the other side has shown that it speaks TLS and takes our certificate.
fn tls_failed(remote: Remote, error: &TlsError, first: bool) -> StoreError {
    let rejected = |remote, cause| StoreError::Untrusted { remote, cause };
    let network = |remote, cause| StoreError::Network { remote, cause };
    match error {
        TlsError::AlertReceived(alert) if is_about_bytes(*alert) => {
            network(remote, NetworkCause::Damaged)
        }
        TlsError::AlertReceived(alert) => {
            rejected(remote, Rejection::TheyRefusedUs(alert_of(*alert)))
        }
        TlsError::InvalidCertificate(error) => {
            rejected(remote, Rejection::WeRefusedThem(distrust_of(error)))
        }
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) if first => {
            let fault = ProtocolFault::NoTls;
            StoreError::Protocol { remote, fault }
        }
        other => network(remote, NetworkCause::Other(LibraryError::new(other))),
    }
}

/// Why our verifier refused the peer; for another verifier what it says.
pub(super) fn distrust_of(error: &CertificateError) -> Distrust {
    let ours = match error {
        CertificateError::Other(other) => other.0.downcast_ref::<Distrust>().cloned(),
        _ => None,
    };
    ours.unwrap_or_else(|| Distrust::Foreign {
        source: LibraryError::new(error),
    })
}

/// Whether an alert complains of what arrived and not of who we are.
fn is_about_bytes(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadRecordMac
            | AlertDescription::RecordOverflow
            | AlertDescription::DecodeError
            | AlertDescription::UnexpectedMessage
    )
}

pub(super) fn alert_of(alert: AlertDescription) -> Alert {
    match alert {
        AlertDescription::CertificateRevoked => Alert::Revoked,
        AlertDescription::CertificateExpired => Alert::Expired,
        AlertDescription::AccessDenied => Alert::Blocked,
        AlertDescription::UnknownCA => Alert::OtherCircle,
        AlertDescription::CertificateRequired => Alert::NoneShown,
        AlertDescription::ProtocolVersion => Alert::OtherVersion,
        other => Alert::Other(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_byte_is_worth_another_try_and_a_stranger_is_not() {
        let remote = Remote::new("127.0.0.1:1".parse().unwrap(), None);
        let alert = TlsError::AlertReceived;
        let damaged = TlsError::InvalidMessage(InvalidMessage::InvalidContentType);
        for (error, first, worth) in [
            (alert(AlertDescription::BadRecordMac), false, true),
            (alert(AlertDescription::DecodeError), true, true),
            (alert(AlertDescription::UnknownCA), true, false),
            (alert(AlertDescription::CertificateRevoked), false, false),
            (damaged.clone(), false, true),
            (damaged, true, false),
        ] {
            let failed = tls_failed(remote.clone(), &error, first);
            assert_eq!(failed.is_retryable(), worth, "{error}: {failed}");
        }
    }
}
