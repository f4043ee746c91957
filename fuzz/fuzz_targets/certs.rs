//! Looks for bytes that break `parsers::files::certs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::files::certs(data));
