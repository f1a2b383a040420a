//! What a parked actor costs: a million of them wait for one event.
//!
//! It is measured in a process of its own: in this one, the stacks of the lines before are still being
//! given back to the system, which would count as if the parked actors needed less.

use std::env;
use std::fs;
use std::future::poll_fn;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::task::{Poll, Waker};

use smarm::Config;
use smarm::compat::await_future;

use crate::report::Bars;

const ACTORS: usize = 1_000_000;
/// What actors that only wait need: a stack and its guard then share a page of page tables with 38 others.
const STACK_SIZE: usize = 32 << 10;
/// Bytes of memory and page tables per actor.
const MOST: usize = 4_400;

/// An event that many wait for, with room for all of them from the beginning.
struct Gate {
    /// Who waits; `None` once the gate is open.
    waiting: Mutex<Option<Vec<Waker>>>,
}

impl Gate {
    fn new() -> Self {
        Self { waiting: Mutex::new(Some(touched(Waker::noop().clone()))) }
    }

    /// Waits until the gate is open.
    async fn pass(&self) {
        let mut enlisted = false;
        poll_fn(|cx| match &mut *self.waiting.lock().expect("no waiter panics") {
            None => Poll::Ready(()),
            Some(waiting) => {
                if !enlisted {
                    enlisted = true;
                    waiting.push(cx.waker().clone());
                }
                Poll::Pending
            }
        })
        .await;
    }

    fn waiting(&self) -> usize {
        self.waiting.lock().expect("no waiter panics").as_ref().map_or(0, Vec::len)
    }

    fn open(&self) {
        let waiting = self.waiting.lock().expect("no waiter panics").take();
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

/// The argument with which this program measures in place of everything else.
pub const ALONE: &str = "--measure-memory-alone";

/// Prints what a parked actor takes, as a new process finds it.
pub fn parked_actors(bars: &mut Bars) {
    let name = "memory of 1000000 parked actors, bytes each";
    if !bars.wants(name) {
        return;
    }
    let program = env::current_exe().expect("Linux knows it");
    let output = Command::new(program).arg(ALONE).stderr(Stdio::inherit()).output().expect("it starts");
    assert!(output.status.success(), "the measuring process failed");
    let each: usize = String::from_utf8_lossy(&output.stdout).trim().parse().expect("it prints a number");
    bars.print(name, &each.to_string(), "-", "-", &format!("<= {MOST} B"), Some(each <= MOST));
}

/// Parks a million actors, looks at the process's memory, wakes and joins them all. Gives the bytes
/// that each took.
pub fn measure() -> usize {
    let runtime = smarm::runtime::init(Config::exact(1).stack_size(STACK_SIZE));
    runtime.run(|| {
        // What the bench itself keeps of each actor is resident before the first look.
        let gate: &Gate = Box::leak(Box::new(Gate::new()));
        let mut actors = Vec::with_capacity(ACTORS);
        black_box(&mut actors).spare_capacity_mut().fill_with(MaybeUninit::zeroed);
        let before = resident_and_page_tables();
        for number in 0..ACTORS {
            actors.push(smarm::spawn(move || {
                await_future(gate.pass());
                number
            }));
        }
        while gate.waiting() < ACTORS {
            smarm::yield_now();
        }
        let each = resident_and_page_tables().saturating_sub(before) / ACTORS;
        gate.open();
        let sum: usize = actors.into_iter().map(|actor| actor.join().expect("it does not panic")).sum();
        assert_eq!(sum, ACTORS * (ACTORS - 1) / 2);
        each
    })
}

/// An empty vector whose room for all actors is resident.
fn touched<T: Clone>(value: T) -> Vec<T> {
    let mut places = vec![value; ACTORS];
    places.clear();
    places
}

/// The process's resident memory and page tables, in bytes.
fn resident_and_page_tables() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says so");
    let kilobytes = |field: &str| -> usize {
        let line = status.lines().find(|line| line.starts_with(field)).expect("Linux says so");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("Linux says so")
    };
    (kilobytes("VmRSS:") + kilobytes("VmPTE:")) << 10
}
