//! `smarm::fuzzing::select` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| smarm::fuzzing::select(bytes));
