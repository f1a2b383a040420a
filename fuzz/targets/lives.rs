//! `smarm::fuzzing::lives` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| smarm::fuzzing::lives(bytes));
