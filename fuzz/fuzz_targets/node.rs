//! See `node` in `fuzz/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kvs_fuzz::run_node(data));
