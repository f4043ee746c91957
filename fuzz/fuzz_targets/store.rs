//! Looks for bytes that break `parsers::files::store`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::files::store(data));
