//! Looks for bytes that break `parsers::files::settings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::files::settings(data));
