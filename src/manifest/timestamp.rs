//! Points in time, in whole seconds of UTC, spelled as RFC 3339 with a `Z`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Seconds since 1970-01-01T00:00:00Z; from then to the end of the year 9999, less a day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    const LAST: u64 = 253_402_207_200;

    /// The clock's time now.
    pub fn now() -> Self {
        Self::from_unix_seconds(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0))
    }

    /// From seconds since 1970, capped at the last one that can be written: 9999-12-30T22:00:00Z.
    pub fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds.min(Self::LAST))
    }

    /// Seconds since 1970.
    pub fn unix_seconds(self) -> u64 {
        self.0
    }

    /// For a text that compares clocks, of which none can be trusted: `2026-11-30 21:06:07 UTC`, which nobody rewrites as its own.
    pub fn for_clocks(self) -> String {
        self.to_string().replace('T', " ").replace('Z', " UTC")
    }

    /// This many seconds later.
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self::from_unix_seconds(self.0.saturating_add(seconds))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0).map_err(|_| fmt::Error)?;
        let time = jiff::Timestamp::from_second(seconds).map_err(|_| fmt::Error)?;
        write!(f, "{time:.0}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = "not an RFC 3339 time in whole seconds of UTC";
        let time: jiff::Timestamp = text.parse().map_err(|_| error)?;
        let stamp = u64::try_from(time.as_second())
            .map(Self::from_unix_seconds)
            .map_err(|_| error)?;
        if stamp.to_string() == text {
            Ok(stamp)
        } else {
            Err(error)
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_spelling() {
        let time = Timestamp::from_unix_seconds(1_795_234_787);
        assert_eq!(time.to_string(), "2026-11-21T04:19:47Z");
        assert_eq!("2026-11-21T04:19:47Z".parse(), Ok(time));
        for wrong in [
            "2026-11-21T04:19:47.0Z",
            "2026-11-21T05:19:47+01:00",
            "2026-11-21t04:19:47z",
            "1969-12-31T23:59:59Z",
        ] {
            assert!(wrong.parse::<Timestamp>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_largest_time_can_be_written() {
        let last = Timestamp::from_unix_seconds(u64::MAX);
        assert_eq!(last.to_string().parse(), Ok(last));
    }

    #[test]
    fn now_is_what_the_clock_says() {
        let clock = || {
            let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
            since.as_secs()
        };
        let before = clock();
        let now = Timestamp::now().unix_seconds();
        assert!((before..=clock()).contains(&now), "{now}");
    }

    #[test]
    fn times_add_up_and_show_themselves() {
        let time = Timestamp::from_unix_seconds(1_795_234_787);
        assert_eq!(time.plus_seconds(13).unix_seconds(), 1_795_234_800);
        assert_eq!(time.plus_seconds(u64::MAX).unix_seconds(), Timestamp::LAST);
        assert_eq!(format!("{time:?}"), "2026-11-21T04:19:47Z");
        let text = serde_json::to_string(&time).unwrap();
        assert_eq!(text, "\"2026-11-21T04:19:47Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), time);
    }
}
