//! Looks for bytes that break `parsers::wire::bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::wire::bodies(data));
