//! Sizes and times as people write and read them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

const SIZES: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
const TIMES: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// `1 chunk`, `2 chunks`.
pub(crate) fn count<N: Copy + fmt::Display + PartialEq + From<u8>>(
    number: N,
    one: &str,
    many: &str,
) -> String {
    let what = if number == N::from(1) { one } else { many };
    format!("{number} {what}")
}

/// A size as text: `64KiB`, `1MiB`, `4096`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeText(u64);

impl SizeText {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// A time as text: `30s`, `12h`, `1d`, `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationText(Duration);

impl DurationText {
    /// As a duration.
    pub fn duration(self) -> Duration {
        self.0
    }
}

/// Not a size, or not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind}: {text}; expected {expected}")]
pub struct UnitError {
    text: String,
    kind: &'static str,
    expected: &'static str,
}

impl FromStr for SizeText {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let expected = "a number with KiB, MiB, GiB or TiB";
        let bytes = parse(text, &SIZES).ok_or_else(|| UnitError {
            text: text.to_owned(),
            kind: "size",
            expected,
        })?;
        Ok(Self(bytes))
    }
}

impl FromStr for DurationText {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let expected = "a number with s, m, h or d";
        let seconds = parse(text, &TIMES)
            .filter(|seconds| *seconds == 0 || !text.bytes().all(|b| b.is_ascii_digit()));
        let seconds = seconds.ok_or_else(|| UnitError {
            text: text.to_owned(),
            kind: "time",
            expected,
        })?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1));
    let digits = digits.trim_end();
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits
        .parse::<u64>()
        .ok()
        .filter(|_| plain)?
        .checked_mul(factor)
}

impl<'de> Deserialize<'de> for SizeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Shows bytes in the unit that fits.
#[derive(Debug, Clone, Copy)]
pub struct Size(pub u64);

impl Size {
    /// What passed in one of `seconds`.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "for people"
    )]
    pub fn per_second(bytes: u64, seconds: f64) -> Self {
        Self((bytes as f64 / seconds.max(0.001)) as u64)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SIZES
            .into_iter()
            .find(|(_, factor)| self.0 >= *factor)
            .unwrap_or(("B", 1));
        let (whole, tenths) = (self.0 / factor, self.0 % factor * 10 / factor);
        if tenths == 0 || whole >= 100 {
            write!(f, "{whole} {unit}")
        } else {
            write!(f, "{whole}.{tenths} {unit}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("1 MiB", 1 << 20),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(text.parse::<SizeText>().unwrap().bytes(), bytes, "{text}");
        }
        for (text, seconds) in [
            ("0", 0),
            ("30s", 30),
            ("5m", 300),
            ("12h", 43_200),
            ("1d", 86_400),
        ] {
            assert_eq!(
                text.parse::<DurationText>().unwrap().duration().as_secs(),
                seconds,
                "{text}"
            );
        }
        for text in ["", "x", "-1", "1.5MiB", "1XB", "99999999999999TiB"] {
            assert!(text.parse::<SizeText>().is_err(), "{text}");
        }
        assert!(
            "30".parse::<DurationText>().is_err(),
            "a time without a unit"
        );
    }

    #[test]
    fn sizes_are_shown_as_people_read_them() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (64 << 20, "64 MiB"),
            (3 << 30, "3 GiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), shown);
        }
    }
}
