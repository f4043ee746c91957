//! Looks for bytes that break `parsers::wrap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::wrap(data));
