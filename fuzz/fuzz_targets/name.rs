//! Looks for bytes that break `parsers::name`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::name(data));
