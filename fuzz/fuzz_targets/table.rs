//! Looks for bytes that break `colis_fuzz::table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| colis_fuzz::table(data));
