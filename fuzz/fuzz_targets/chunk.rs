//! Looks for bytes that break `parsers::chunk`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::chunk(data));
