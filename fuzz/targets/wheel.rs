//! `smarm::fuzzing::wheel` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| smarm::fuzzing::wheel(bytes));
