//! Looks for bytes that break `parsers::table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::table(data));
