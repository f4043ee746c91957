//! Why a request did not get an answer: the causes under an error, sorted by what the caller can do.

use std::{error::Error, io};

use rustls::{AlertDescription, Error as TlsError, InvalidMessage};

use super::PeerAddress;
use crate::{store::StoreError, tls::Distrust};

/// Why a peer refuses a certificate that has ended.
pub(super) const EXPIRED: &str = "it has expired, or a clock is wrong";

/// What a failed request means.
pub(super) fn classify(address: &PeerAddress, error: &reqwest::Error) -> StoreError {
    let network = |what: &str| network(address, what);
    for cause in causes(error) {
        if let Some(tls) = tls_error(cause) {
            return tls_failed(address, tls, error.is_connect());
        }
    }
    if error.is_connect() && error.is_timeout() {
        return network("no answer within the time to connect");
    }
    let hyper = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
    let system = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    match (hyper, system) {
        (_, Some(system)) if error.is_connect() => {
            network(&format!("cannot connect: {}", innermost(system)))
        }
        // A peer that refuses our certificate may hang up before its reason arrives.
        (Some(hyper), _) if hyper.is_canceled() || hyper.is_closed() => {
            network("the connection was closed at once; our certificate may not be accepted there")
        }
        (Some(hyper), _) if hyper.is_incomplete_message() => network("the connection was cut"),
        (Some(hyper), _) if hyper.is_parse() => StoreError::Protocol {
            reason: format!("{address} does not answer in HTTP"),
        },
        (_, Some(system)) if system.kind() == io::ErrorKind::UnexpectedEof => {
            network("the connection was cut")
        }
        (_, Some(system)) => network(&innermost(system)),
        _ => network(
            &causes(error)
                .last()
                .map_or_else(|| error.to_string(), ToString::to_string),
        ),
    }
}

/// Nothing came for too long.
pub(super) fn stalled(address: &PeerAddress) -> StoreError {
    network(address, "the peer has stalled")
}

fn network(address: &PeerAddress, what: &str) -> StoreError {
    StoreError::Network {
        reason: format!("{address}: {what}"),
    }
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
fn tls_failed(address: &PeerAddress, error: &TlsError, first: bool) -> StoreError {
    let reason = match error {
        TlsError::AlertReceived(alert) if is_about_bytes(*alert) => {
            return network(address, "what we sent was damaged on the way");
        }
        TlsError::AlertReceived(alert) => format!(
            "{address} refused our certificate ({})",
            alert_reason(*alert)
        ),
        TlsError::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            match other.0.downcast_ref::<Distrust>() {
                Some(distrust) => format!("{address} is not trusted: {distrust}"),
                None => format!("{address} is not trusted: {other:?}"),
            }
        }
        TlsError::InvalidCertificate(reason) => format!("{address} is not trusted: {reason:?}"),
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) if first => {
            return StoreError::Protocol {
                reason: format!("{address} does not speak TLS"),
            };
        }
        other => {
            return StoreError::Network {
                reason: format!("{address}: {other}"),
            };
        }
    };
    StoreError::Untrusted { reason }
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

pub(super) fn alert_reason(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRevoked => "it is revoked",
        AlertDescription::CertificateExpired => EXPIRED,
        AlertDescription::AccessDenied => "its owner has blocked us",
        AlertDescription::UnknownCA => "it does not come from that peer's circle",
        AlertDescription::CertificateRequired => "none was shown",
        AlertDescription::ProtocolVersion => "it speaks another version of TLS",
        _ => "the handshake failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_byte_is_worth_another_try_and_a_stranger_is_not() {
        let address = "127.0.0.1:1".parse().unwrap();
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
            let failed = tls_failed(&address, &error, first);
            assert_eq!(failed.is_retryable(), worth, "{error}: {failed}");
        }
    }
}
