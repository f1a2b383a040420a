//! Lives: families with supervisors, stacks that are used deeply, and runtimes that come and go.

use std::hint::black_box;
use std::time::Duration;

use smarm::supervisor::{self, Signal};
use smarm::{Config, Runtime};

use crate::books::Life;
use crate::crew::{Site, end_all, kill_some};
use crate::dice::Dice;
use crate::plant::{self, ON_PURPOSE, Plant};

/// A parent that is told of each of its children once, and grandchildren.
pub(crate) fn families(dice: &mut Dice, site: &Site) {
    match () {
        () if plant::once(Plant::Hang) => smarm::sleep(Duration::MAX),
        () if plant::once(Plant::Panic) => {
            end_all([site.spawn(dice, |_| panic!("an assertion of the user"))])
        }
        () if plant::once(Plant::Outlive) => drop(site.spawn_at_home(dice, |_| smarm::sleep(Duration::MAX))),
        () => {}
    }
    let parent = site.spawn(dice, |dice| {
        let signals = supervisor::mailbox();
        let (mut children, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..1 + dice.below(20) {
            let (life, how) = (Life::new(), dice.below(4));
            let child = smarm::spawn(move || {
                let _life = life;
                match how {
                    0 => panic!("{ON_PURPOSE}"),
                    1 => smarm::sleep(Duration::MAX),
                    2 => assert_eq!(smarm::spawn(|| 1).join().expect("it returns"), 1),
                    _ => smarm::yield_now(),
                }
            });
            expected.push(child.pid());
            children.push((child, how));
        }
        for (child, _) in children.iter().filter(|(_, how)| *how == 1) {
            child.kill();
        }
        end_all(children.into_iter().map(|(child, _)| child));
        for _ in 0..expected.len() {
            let (Signal::Exit { pid, .. } | Signal::Panic { pid, .. }) =
                signals.recv().expect("one for each child")
            else {
                unreachable!("there are no other signals")
            };
            let at = expected.iter().position(|known| *known == pid).expect("a child of mine, told of once");
            expected.swap_remove(at);
        }
        assert!(signals.try_recv().is_err(), "a signal too many");
    });
    end_all([parent]);
}

/// A burst of actors, some of which use much of their stacks, compute, or call onto the native stack.
pub(crate) fn deep_stacks(dice: &mut Dice, site: &Site) {
    #[inline(never)]
    fn descend(levels: usize) -> usize {
        let block = black_box([levels; 64]);
        if levels == 0 { block[63] } else { descend(levels - 1) + block[levels % 64] }
    }
    if plant::once(Plant::LeakMemory) {
        std::mem::forget(black_box(vec![1_u8; 256 << 20]));
    }
    if plant::once(Plant::LeakMapping) {
        leak_mapping();
    }
    let children: Vec<_> = (0..dice.below(100))
        .map(|_| {
            site.spawn(dice, |dice| {
                let levels = dice.below(100);
                let sum = levels * (levels + 1) / 2;
                match dice.below(4) {
                    0 => assert_eq!(smarm::on_native_stack(|| descend(levels)), sum),
                    1 => {
                        for _ in 0..dice.below(2000) {
                            black_box(descend(3));
                            smarm::check!();
                        }
                    }
                    2 => {
                        smarm::yield_now();
                        assert_eq!(descend(levels), sum);
                    }
                    _ => drop(std::panic::catch_unwind(|| descend(levels))),
                }
            })
        })
        .collect();
    kill_some(dice, &children);
    end_all(children);
}

/// A mapping that nobody unmaps, unlike its neighbours, so that they do not merge.
fn leak_mapping() {
    for protection in [libc::PROT_NONE, libc::PROT_READ].repeat(64) {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh private mapping at an address that the kernel chooses disturbs nothing.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
        assert_ne!(mapped, libc::MAP_FAILED);
    }
}

/// A runtime that begins and ends within this one's life, with actors that are parked when it ends.
pub(crate) fn runtimes(dice: &mut Dice, site: &Site) {
    if plant::is(Plant::LeakThread) {
        drop(std::thread::spawn(|| std::thread::sleep(Duration::from_secs(3600))));
    }
    let (workers, on_tokio) = (1 + dice.below(2), dice.once_in(2));
    let child = site.spawn_at_home(dice, move |dice| {
        let runtime: Runtime = if on_tokio {
            smarm_compat::Builder::new().workers(workers).start().expect("the runtime starts")
        } else {
            smarm::runtime::init(Config::exact(workers))
        };
        for nth in 0..dice.below(50) {
            let life = Life::new();
            drop(runtime.spawn(move || {
                let _life = life;
                if nth % 2 == 0 { smarm::sleep(Duration::MAX) } else { smarm::yield_now() }
            }));
        }
        if dice.once_in(2) {
            assert_eq!(runtime.run(|| smarm::spawn(|| 42).join().expect("it returns")), 42);
        }
    });
    end_all([child]);
    smarm::sleep(dice.moment());
}
