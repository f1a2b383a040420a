//! Many that want the same: chameneos and dining philosophers.

use std::time::Duration;

use crate::measure::Stopwatch;

use super::super::super::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    Blue,
    Red,
    Yellow,
}

impl Colour {
    /// What both become when they meet.
    fn complement(self, other: Self) -> Self {
        use Colour::{Blue, Red, Yellow};
        match (self, other) {
            (own, same) if own == same => own,
            (Blue, Red) | (Red, Blue) => Yellow,
            (Blue, Yellow) | (Yellow, Blue) => Red,
            _ => Blue,
        }
    }
}

program! {
    /// 100 creatures meet in a mall in pairs and change their colours, `meetings` times in all.
    pub fn chameneos(meetings: u64) -> Duration {
        const CREATURES: usize = 100;
        let stopwatch = Stopwatch::start();
        // Who comes says its colour and where it hears the other's: `None` once the mall is closed.
        let (to_mall, mut inbox) = W::channel::<(Colour, W::Sender<Option<Colour>>)>();
        let mall = go!({
            let mut waiting: Option<(Colour, W::Sender<Option<Colour>>)> = None;
            let (mut left, mut sent_home) = (meetings, 0);
            while sent_home < CREATURES {
                let (colour, creature) = wait!(W::recv(&mut inbox)).expect("a creature comes");
                if left == 0 {
                    wait!(W::send(&creature, None));
                    sent_home += 1;
                    continue;
                }
                match waiting.take() {
                    None => waiting = Some((colour, creature)),
                    Some((other, first)) => {
                        left -= 1;
                        wait!(W::send(&first, Some(colour)));
                        wait!(W::send(&creature, Some(other)));
                    }
                }
            }
        });
        let mut creatures = Vec::new();
        for number in 0..CREATURES {
            let to_mall = to_mall.clone();
            creatures.push(go!({
                let mut colour = [Colour::Blue, Colour::Red, Colour::Yellow][number % 3];
                let (own, mut met) = W::channel();
                let mut meetings = 0;
                loop {
                    wait!(W::send(&to_mall, (colour, own.clone())));
                    match wait!(W::recv(&mut met)).expect("the mall answers") {
                        Some(other) => {
                            colour = colour.complement(other);
                            meetings += 1;
                        }
                        None => break meetings,
                    }
                }
            }));
        }
        let mut met: u64 = 0;
        for creature in creatures {
            met += wait!(W::join(creature));
        }
        wait!(W::join(mall));
        let elapsed = stopwatch.elapsed();
        assert_eq!(met, 2 * meetings);
        elapsed
    }
}

/// To the arbitrator of the forks.
enum Forks<A> {
    /// Both of this philosopher; the answer says whether they were free.
    Ask(usize, A),
    Back(usize),
}

program! {
    /// 20 philosophers ask an arbitrator for their forks until they get them, `meals` times in all.
    pub fn philosophers(meals: u64) -> Duration {
        const PHILOSOPHERS: usize = 20;
        let each = meals / PHILOSOPHERS as u64;
        let stopwatch = Stopwatch::start();
        let (to_arbitrator, mut inbox) = W::channel::<Forks<W::Answerer<bool>>>();
        let arbitrator = go!({
            let mut taken = [false; PHILOSOPHERS];
            let mut granted = 0_u64;
            while let Some(message) = wait!(W::recv(&mut inbox)) {
                match message {
                    Forks::Ask(philosopher, answerer) => {
                        let (left, right) = (philosopher, (philosopher + 1) % PHILOSOPHERS);
                        let free = !taken[left] && !taken[right];
                        if free {
                            (taken[left], taken[right]) = (true, true);
                            granted += 1;
                        }
                        W::answer(answerer, free);
                    }
                    Forks::Back(philosopher) => {
                        let (left, right) = (philosopher, (philosopher + 1) % PHILOSOPHERS);
                        assert!(taken[left] && taken[right], "who gives forks back had them");
                        (taken[left], taken[right]) = (false, false);
                    }
                }
            }
            granted
        });
        let mut philosophers = Vec::new();
        for philosopher in 0..PHILOSOPHERS {
            let sender = to_arbitrator.clone();
            philosophers.push(go!({
                for _ in 0..each {
                    loop {
                        let (answerer, answer) = W::oneshot();
                        wait!(W::send(&sender, Forks::Ask(philosopher, answerer)));
                        if wait!(W::hear(answer)) {
                            break;
                        }
                    }
                    wait!(W::send(&sender, Forks::Back(philosopher)));
                }
            }));
        }
        drop(to_arbitrator);
        for philosopher in philosophers {
            wait!(W::join(philosopher));
        }
        let granted = wait!(W::join(arbitrator));
        let elapsed = stopwatch.elapsed();
        assert_eq!(granted, each * PHILOSOPHERS as u64);
        elapsed
    }
}
