//! Looks for bytes that break `parsers::payload`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::payload(data));
