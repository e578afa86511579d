//! See `keys` in `fuzz/targets.rs`.
#![no_main]

#[allow(dead_code, reason = "each fuzzer runs one target")]
#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::keys(data));
