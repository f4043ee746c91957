//! Looks for bytes that break `parsers::timestamp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::timestamp(data));
