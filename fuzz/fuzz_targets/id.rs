//! Looks for bytes that break `colis_fuzz::id`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| colis_fuzz::id(data));
