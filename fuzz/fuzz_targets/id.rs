//! Looks for bytes that break `parsers::id`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::id(data));
