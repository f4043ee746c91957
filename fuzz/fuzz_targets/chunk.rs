//! Looks for bytes that break `colis_fuzz::chunk`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| colis_fuzz::chunk(data));
