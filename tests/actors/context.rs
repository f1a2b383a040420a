//! The switch: registers, floats and frames survive it, and backtraces end at the actor's entry.

use std::arch::asm;
use std::backtrace::Backtrace;
use std::hint::black_box;
use std::sync::Mutex;

use smarm_workspace::{PATIENCE, child, within, workers};

/// Runs `actors` copies of `f` side by side on one worker.
fn side_by_side(actors: usize, f: impl Fn(usize) + Clone + Send + 'static) {
    within(PATIENCE, || {
        let runtime = workers(1);
        let actors: Vec<_> = (0..actors)
            .map(|n| {
                let f = f.clone();
                runtime.spawn(move || f(n)).unwrap()
            })
            .collect();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
    });
}

#[test]
fn many_integers_held_in_registers_survive_many_switches() {
    side_by_side(8, |n| {
        let mut values: [u64; 16] = std::array::from_fn(|at| (n * 100 + at) as u64);
        for round in 0..1000 {
            let [a, b, c, d, e, f, g, h] = *values.first_chunk::<8>().unwrap();
            smarm::yield_now();
            let sum = a ^ b.rotate_left(3) ^ c ^ d ^ e.rotate_left(7) ^ f ^ g ^ h;
            values[round % 16] = values[round % 16].wrapping_add(black_box(sum));
        }
        // The same without switches.
        let mut expected: [u64; 16] = std::array::from_fn(|at| (n * 100 + at) as u64);
        for round in 0..1000 {
            let [a, b, c, d, e, f, g, h] = *expected.first_chunk::<8>().unwrap();
            let sum = a ^ b.rotate_left(3) ^ c ^ d ^ e.rotate_left(7) ^ f ^ g ^ h;
            expected[round % 16] = expected[round % 16].wrapping_add(sum);
        }
        assert_eq!(values, expected);
    });
}

#[test]
fn floats_survive_many_switches_to_the_last_bit() {
    side_by_side(8, |n| {
        let series = |mut between: Box<dyn FnMut()>| {
            let (mut a, mut b, mut c, mut d) = (n as f64 + 0.1, 0.2_f64, 0.3_f64, 0.4_f32);
            let mut lanes = [0.5_f64; 8];
            for round in 1..1000 {
                between();
                a = (a * 1.000_1 + b).sin();
                b = (b + c / f64::from(round)).sqrt();
                c = c.mul_add(0.99, a);
                d += a as f32;
                for (at, lane) in lanes.iter_mut().enumerate() {
                    *lane = *lane * 0.5 + a * at as f64;
                }
            }
            (a.to_bits(), b.to_bits(), c.to_bits(), d.to_bits(), lanes.map(f64::to_bits))
        };
        assert_eq!(series(Box::new(smarm::yield_now)), series(Box::new(|| ())));
    });
}

#[test]
fn the_rounding_and_the_masks_of_floats_are_the_default_in_each_actor() {
    fn mxcsr() -> u32 {
        let mut word = 0_u32;
        // SAFETY: stores the register into a place for one word.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack)) };
        word
    }
    fn x87() -> u16 {
        let mut word = 0_u16;
        // SAFETY: stores the register into a place for half a word.
        unsafe { asm!("fnstcw [{}]", in(reg) &raw mut word, options(nostack)) };
        word
    }
    const STICKY: u32 = 0x3f; // the flags of exceptions that have been
    let outside = (mxcsr() & !STICKY, x87());
    side_by_side(4, move |_| {
        assert_eq!((mxcsr() & !STICKY, x87()), outside);
        smarm::yield_now();
        assert_eq!((mxcsr() & !STICKY, x87()), outside);
    });
}

#[test]
fn the_stack_of_each_actor_is_aligned_as_the_abi_wants_it() {
    #[repr(align(64))]
    struct Aligned([u8; 64]);
    side_by_side(16, |n| {
        let padding = vec![1_u8; n];
        let aligned = black_box(Aligned([7; 64]));
        assert_eq!((&raw const aligned).addr() % 64, 0);
        smarm::yield_now();
        assert_eq!(aligned.0.iter().map(|&byte| usize::from(byte)).sum::<usize>(), 7 * 64);
        drop(padding);
    });
}

#[test]
fn a_deep_recursion_with_a_switch_at_each_level_returns_through_all_its_frames() {
    fn descend(level: usize) -> usize {
        let held = black_box([level; 4]);
        smarm::yield_now();
        let below = if level == 0 { 0 } else { descend(level - 1) };
        smarm::yield_now();
        assert_eq!(held, [level; 4]);
        below + held[0]
    }
    side_by_side(8, |_| assert_eq!(descend(200), 200 * 201 / 2));
}

#[test]
fn arguments_and_results_of_many_registers_pass_through_a_switch() {
    #[expect(clippy::too_many_arguments)]
    #[inline(never)]
    fn many(a: u64, b: f64, c: u64, d: f64, e: u64, f: u64, g: f64, h: u64, i: u64, j: u64) -> (u64, f64) {
        smarm::yield_now();
        (a + c + e + f + h + i + j, b + d + g)
    }
    side_by_side(4, |n| {
        for round in 0..200 {
            let at = (n + round) as u64;
            assert_eq!(many(at, 0.5, 2, 0.25, 3, 4, 0.125, 5, 6, 7), (at + 27, 0.875));
        }
    });
}

/// The names of the frames of a backtrace, the outermost last.
fn frames(trace: &str) -> Vec<&str> {
    let names = trace.lines().filter_map(|line| line.trim().split_once(": "));
    names.filter(|(number, _)| number.parse::<usize>().is_ok()).map(|(_, name)| name).collect()
}

#[track_caller]
fn assert_ends_at_the_entry(trace: &str, through: &str) {
    let frames = frames(trace);
    assert!(frames.iter().any(|name| name.contains(through)), "{through} is not in {trace}");
    let last = frames.iter().rev().find(|name| !name.contains("unknown")).expect("some frames have names");
    assert!(last.contains("trampoline"), "it does not end at the actor's entry: {trace}");
    assert!(!frames.iter().any(|name| name.contains("run_batch")), "it runs on into the worker: {trace}");
}

#[inline(never)]
fn a_function_of_the_actor() -> String {
    black_box(Backtrace::force_capture().to_string())
}

#[test]
fn a_backtrace_in_an_actor_ends_at_its_entry() {
    within(PATIENCE, || {
        smarm::run(|| {
            assert_ends_at_the_entry(&a_function_of_the_actor(), "a_function_of_the_actor");
            smarm::yield_now();
            assert_ends_at_the_entry(&a_function_of_the_actor(), "a_function_of_the_actor");
        });
    });
}

#[test]
fn a_backtrace_of_a_panic_in_an_actor_ends_at_its_entry() {
    static TRACE: Mutex<String> = Mutex::new(String::new());
    #[inline(never)]
    fn a_function_that_panics() {
        panic!("boom");
    }
    child::run_well(|| {
        std::panic::set_hook(Box::new(|_| *TRACE.lock().unwrap() = a_function_of_the_actor()));
        smarm::run(|| {
            smarm::yield_now();
            assert!(smarm::spawn(a_function_that_panics).join().is_err_and(|error| error.is_panic()));
        });
        assert_ends_at_the_entry(&TRACE.lock().unwrap(), "a_function_that_panics");
    });
}
