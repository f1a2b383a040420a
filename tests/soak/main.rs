//! The soak: all primitives in all worlds at once, for as long as one likes, while actors are killed and panic at
//! random. In the end the books must balance: what was sent was received, given back or dropped with its channel;
//! who was spawned has ended; and descriptors, threads, mappings and memory are what they were.
//!
//! ```text
//! cargo test --release --test soak -- --seconds 600 --seed 7
//! ```
//!
//! | argument | |
//! |---|---|
//! | `--seconds n` | how long it works, after a warm-up of a third of that; may be a fraction |
//! | `--seed n` | where its dice begin; printed, so that a run can be repeated as far as threads allow |
//! | `--patience n` | after so many seconds without progress the watchdog names what hangs; 30 unless set |
//! | `--settling n` | so many seconds may pass in the end until the process has what it had before; 30 unless set |
//!
//! Without `--seconds`, as in `cargo test`, it checks itself: a short soak must succeed, and one with a planted
//! fault (`--plant name`) must fail and say why, for each check that there is. A check that nobody has seen fail
//! is none.
//!
//! | word | meaning |
//! |---|---|
//! | world | a runtime under load: native, on tokio, attached to a service |
//! | work | what a crew does over and over, beginning and ending with nothing |
//! | crew | the actor that does one work in one world, with children in all of them |
//! | books | what was made and what has ended, counted by values that cannot be lost unseen |

mod arguments;
mod books;
mod census;
mod crew;
mod dice;
mod plant;
mod selfcheck;
mod watchdog;
mod work;
mod worlds;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use arguments::{Arguments, Wanted};
use books::BOOKS;
use census::Census;
use crew::Crew;
use worlds::Worlds;

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)) {
        Ok(Wanted::Nothing) => ExitCode::SUCCESS,
        Ok(Wanted::SelfCheck) => selfcheck::run(),
        Ok(Wanted::Soak(arguments)) => soak(&arguments),
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn soak(arguments: &Arguments) -> ExitCode {
    println!("soak: {:?} of work, seed {}", arguments.work, arguments.seed);
    plant::expect_panics_on_purpose();
    // Fewer threads block, so that as many are there before and after.
    smarm::io::set_block_on_io_threads(4);
    // The warm-up brings up what the process then keeps: pools, stacks, tables, allocator.
    let mut failures = phase(arguments, arguments.work / 3, "warm-up");
    let before = Census::settled(None, arguments.work);
    if failures.is_empty() {
        plant::arm(arguments.plant);
        failures = phase(arguments, arguments.work, "soak");
    }
    let after = Census::settled(Some(&before), arguments.settling);
    failures.extend(BOOKS.imbalances());
    failures.extend(after.excess(&before));

    print!("{BOOKS}");
    print!("{}", after.beside(&before));
    if failures.is_empty() {
        println!("soak: the books balance");
        return ExitCode::SUCCESS;
    }
    for failure in &failures {
        eprintln!("soak: FAILED: {failure}");
    }
    ExitCode::FAILURE
}

/// Has every crew work for a while, in worlds that are made for it, and gives what went wrong.
fn phase(arguments: &Arguments, length: Duration, name: &str) -> Vec<String> {
    let worlds = Worlds::start();
    let crews = Crew::all(&worlds, arguments);
    let watchdog = watchdog::watch(&crews, &worlds, arguments.patience, name);
    let end = Instant::now() + length;
    thread::sleep(length);
    while !crews.iter().all(Crew::has_worked) {
        thread::sleep(Duration::from_millis(1)); // the watchdog sees to it that this ends
    }
    crews.iter().for_each(Crew::stop);
    let failures: Vec<String> = crews.into_iter().filter_map(Crew::end).collect();
    let mut failures: Vec<String> =
        failures.into_iter().map(|failure| format!("{failure} ({name})")).collect();
    failures.extend(worlds.end(arguments.patience));
    watchdog.end();
    println!("soak: {name} took {:?} longer than planned to end", end.elapsed());
    failures
}
