//! Looks for bytes that break `colis_fuzz::wire::bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| colis_fuzz::wire::bodies(data));
