//! Looks for bytes that break `colis_fuzz::name`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| colis_fuzz::name(data));
