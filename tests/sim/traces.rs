use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use smarm::net::{TcpStream, UdpSocket};
use smarm::sim::{self, Sim};
use smarm::sync::Semaphore;
use smarm::{Group, Mutex};
use smarm_workspace::{PATIENCE, child, within};

use crate::support::{for_seeds, simulated, start_echo};

/// A bit of everything: actors, channels, timers, connections, datagrams, faults.
fn program() -> u64 {
    start_echo();
    let (sender, receiver) = smarm::channel();
    for number in 0..5_u64 {
        let sender = sender.clone();
        drop(sim::host(&format!("client {number}"), move || {
            let mut stream = TcpStream::connect("echo:7").unwrap();
            smarm::sleep(Duration::from_millis(sim::random() % 20));
            stream.write_all(&number.to_le_bytes()).unwrap();
            let mut buf = [0; 8];
            stream.read_exact(&mut buf).unwrap();
            sim::note(format_args!("{number} is back"));
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.send_to(b"done", (sim::ip("main"), 9)).unwrap();
            sender.send(u64::from_le_bytes(buf)).unwrap();
        }));
    }
    drop(sender);
    sim::partition("client 3", "echo");
    smarm::sleep(Duration::from_secs(2));
    sim::heal("client 3", "echo");
    receiver.iter().fold(0, |all, number| all * 10 + number)
}

fn rough() -> Sim {
    Sim::new(0).loss(0.1)
}

#[test]
fn the_same_seed_gives_the_same_trace_and_the_same_result() {
    for seed in 0..20 {
        let [first, second] = [(); 2].map(|()| within(PATIENCE, || rough().seed(seed).run(program)));
        assert!(first.trace().lines().count() > 100, "{:?}", first.trace());
        assert_eq!(first.trace().as_str(), second.trace().as_str());
        assert_eq!(first.elapsed(), second.elapsed());
        assert_eq!(first.unwrap(), second.unwrap());
    }
}

/// What actors coordinate and wait by, all at once.
fn primitives() -> u64 {
    let permits = Arc::new(Semaphore::new(2));
    let (sender, receiver) = smarm::channel();
    let ticking = sender.clone();
    let ticker = smarm::spawn(move || {
        let mut interval = smarm::time::interval(Duration::from_millis(7));
        while ticking.send(1).is_ok() {
            interval.tick();
        }
    });
    drop(smarm::time::send_after(Duration::from_millis(33), &sender, 100));
    let mut group = Group::new();
    for number in 0..6 {
        let permits = permits.clone();
        group.spawn(move || {
            let _permit = permits.acquire().unwrap();
            smarm::sleep(Duration::from_micros(sim::random() % 20_000));
            number
        });
    }
    let locked = Mutex::new(0);
    smarm::scope(|scope| {
        for number in 0..4 {
            let locked = &locked;
            scope.spawn(move || {
                for _ in 0..3 {
                    let mut sum = locked.lock(Duration::from_secs(9)).unwrap();
                    *sum = *sum * 3 % 1009 + number;
                    smarm::check!();
                }
            });
        }
    });
    let mut sum = *locked.lock(Duration::from_secs(9)).unwrap();
    let (other, others) = smarm::channel::bounded(1);
    drop(smarm::spawn(move || (0..20).try_for_each(|number| other.send(number))));
    for _ in 0..30 {
        sum = sum * 31 % 1_000_003;
        smarm::select! {
            number = recv(&receiver) => sum += number.unwrap(),
            number = recv(&others) => sum += number.unwrap_or(7),
            () = after(Duration::from_millis(3)) => sum += 11,
        }
    }
    while let Some(number) = group.join_next() {
        sum = sum * 31 % 1_000_003 + number.unwrap();
    }
    ticker.kill();
    sum
}

#[test]
fn all_that_actors_wait_by_is_the_seed_s() {
    let runs =
        |seed| [within(PATIENCE, || sim::run(seed, primitives)), smarm_compat::sim::run(seed, primitives)];
    let mut sums = Vec::new();
    for seed in 0..100 {
        for (first, second) in runs(seed).into_iter().zip(runs(seed)) {
            assert_eq!(first.trace().as_str(), second.trace().as_str(), "seed {seed}");
            let sum = first.unwrap();
            assert_eq!(sum, second.unwrap());
            sums.push(sum);
        }
    }
    sums.sort_unstable();
    sums.dedup();
    assert!(sums.len() > 90, "{} of 200 differ", sums.len());
}

#[test]
fn different_seeds_give_different_traces() {
    let mut hashes: Vec<_> = (0..20).map(|seed| rough().seed(seed).run(program).trace().hash()).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 20);
}

#[test]
fn two_processes_have_the_same_trace_byte_for_byte() {
    let mark = "the trace: ";
    let body = || {
        // Slots and pids that the simulation would get elsewhere.
        smarm::run(|| drop([(); 100].map(|()| smarm::spawn(|| smarm::sleep(Duration::from_millis(1))))));
        let outcomes = [rough().seed(11).run(program), smarm_compat::sim::run_in(&rough().seed(12), program)];
        for outcome in &outcomes {
            eprintln!("{mark}{:016x} {}", outcome.trace().hash(), outcome.trace().as_str().len());
        }
    };
    let Some(output) = child::run(body) else { return };
    assert!(output.status.success(), "{}", child::text(&output));
    let here = [rough().seed(11).run(program), smarm_compat::sim::run_in(&rough().seed(12), program)]
        .map(|outcome| format!("{:016x} {}", outcome.trace().hash(), outcome.trace().as_str().len()));
    let said = child::stderr(&output);
    let there: Vec<_> = said.lines().filter_map(|line| line.strip_prefix(mark)).collect();
    assert_eq!(there, here);
}

#[test]
fn a_thread_s_history_does_not_matter_nor_what_runs_beside() {
    let alone = rough().seed(3).run(program);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for seed in [1, 3, 2] {
                    let beside = rough().seed(seed).run(program);
                    assert_eq!(beside.trace() == alone.trace(), seed == 3);
                }
            });
        }
    });
}

#[test]
fn an_hour_passes_at_once_and_timers_keep_their_order() {
    let order = simulated(1, || {
        let begin = smarm::time::now();
        let (sender, receiver) = smarm::channel();
        for minutes in [40, 10, 60, 20, 50, 30] {
            let sender = sender.clone();
            drop(smarm::spawn(move || {
                smarm::sleep(Duration::from_secs(60 * minutes));
                sender.send(minutes).unwrap();
            }));
        }
        drop(sender);
        let order: Vec<_> = receiver.iter().collect();
        let passed = smarm::time::now() - begin;
        assert!(passed >= Duration::from_secs(3600) && passed < Duration::from_secs(3601), "{passed:?}");
        order
    });
    assert_eq!(order, [10, 20, 30, 40, 50, 60]);
}

#[test]
fn an_actor_moves_the_time_on_by_hand() {
    let passed = simulated(1, || {
        let begin = smarm::time::now();
        smarm::time::advance(Duration::from_secs(5));
        smarm::time::now() - begin
    });
    assert_eq!(passed, Duration::from_secs(5));
}

#[test]
fn what_a_seed_draws_is_the_same_and_is_told_apart_from_other_seeds() {
    let draw = || [(); 3].map(|()| sim::random());
    assert_eq!(simulated(5, draw), simulated(5, draw));
    assert_ne!(simulated(5, draw), simulated(6, draw));
    assert_eq!(simulated(5, sim::seed), Some(5));
    assert_eq!(sim::seed(), None);
}

#[test]
fn the_order_of_actors_is_the_seed_s() {
    let order = || {
        let (sender, receiver) = smarm::channel();
        for name in 0..4 {
            let sender = sender.clone();
            drop(smarm::spawn(move || sender.send(name).unwrap()));
        }
        drop(sender);
        receiver.iter().collect::<Vec<_>>()
    };
    let mut orders: Vec<_> = (0..100).map(|seed| simulated(seed, order)).collect();
    orders.sort();
    orders.dedup();
    assert!(orders.len() > 10, "of 24 orders there were {}", orders.len());
}

#[test]
fn the_smallest_stack_has_room_for_what_a_simulation_writes_down() {
    for_seeds(|| {
        let actors = ["one", "two"].map(|name| {
            let small = smarm::Builder::new().name(name).stack_size(16 << 10);
            small.spawn(|| (0..50).for_each(|_| smarm::yield_now())).unwrap()
        });
        actors.into_iter().for_each(|actor| actor.join().unwrap());
    });
}
