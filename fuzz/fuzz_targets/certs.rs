//! Looks for bytes that break `colis_fuzz::files::certs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| colis_fuzz::files::certs(data));
