//! Looks for bytes that break `parsers::files::certificate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::files::certificate(data));
