//! Looks for bytes that break `parsers::envelope`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::envelope(data));
