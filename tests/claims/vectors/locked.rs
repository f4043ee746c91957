//! Files of keys under a passphrase, as the format says they are.

use std::{fs, time::Instant};

use colis::crypto::{
    CryptoError,
    locked::{Locked, PassphraseKeys},
    password::Password,
};
use data_encoding::BASE64;
use serde::Deserialize;

use super::vector::root;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    about: String,
    passphrase: String,
    file: String,
    opened: Option<String>,
    error: Option<String>,
}

fn open(vector: &Written) -> Result<Vec<u8>, CryptoError> {
    let file = pem::parse(&vector.file).unwrap();
    let locked = Locked::parse(file.contents())?;
    let keys = PassphraseKeys::derive(&Password::new(&vector.passphrase), &locked)?;
    Ok(locked.open(&keys).unwrap()?.to_vec())
}

fn class(error: &CryptoError) -> String {
    match error {
        CryptoError::PassphraseCost { .. } => "PassphraseCost".to_owned(),
        CryptoError::WrongPassword => "WrongPassword".to_owned(),
        CryptoError::Malformed { what } => format!("Malformed({what})"),
        CryptoError::Forged { what } => format!("Forged({what})"),
        other => other.to_string(),
    }
}

#[test]
fn every_locked_file_opens_or_is_refused_as_it_says() {
    let text = fs::read(root().join("locked.json")).unwrap();
    let vectors: Vec<Written> = serde_json::from_slice(&text).unwrap();
    assert!(vectors.len() > 20);
    for vector in &vectors {
        let (about, began) = (&vector.about, Instant::now());
        let (found, took) = (open(vector), began.elapsed());
        match &vector.opened {
            Some(opened) => assert_eq!(BASE64.encode(&found.unwrap()), *opened, "{about}"),
            None => assert_eq!(Some(class(&found.unwrap_err())), vector.error, "{about}"),
        }
        if vector.error.as_deref() == Some("PassphraseCost") {
            assert!(took.as_millis() < 20, "{about}: {took:?}");
        }
    }
}
