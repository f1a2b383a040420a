//! Actors that serve others: a dictionary, a bank, a barber.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::measure::Stopwatch;

use super::super::super::World;
use super::Random;

/// To the dictionary; each answer is the value that was there.
enum Entry<A> {
    Read(u64, A),
    Write(u64, u64, A),
}

program! {
    /// 20 workers ask one dictionary, and write every tenth time, `requests` times in all.
    pub fn dictionary(requests: u64) -> Duration {
        const WORKERS: u64 = 20;
        const KEYS: u64 = 4_096;
        let each = requests / WORKERS;
        let stopwatch = Stopwatch::start();
        let (to_dictionary, mut inbox) = W::channel::<Entry<W::Answerer<Option<u64>>>>();
        let dictionary = go!({
            let mut entries: HashMap<u64, u64> = (0..KEYS).map(|key| (key, key)).collect();
            let mut asked = 0;
            while let Some(request) = wait!(W::recv(&mut inbox)) {
                asked += 1;
                match request {
                    Entry::Read(key, answerer) => W::answer(answerer, entries.get(&key).copied()),
                    Entry::Write(key, value, answerer) => W::answer(answerer, entries.insert(key, value)),
                }
            }
            asked
        });
        let mut workers = Vec::new();
        for worker in 0..WORKERS {
            let sender = to_dictionary.clone();
            workers.push(go!({
                let mut random = Random::new(worker + 1);
                for _ in 0..each {
                    let (answerer, answer) = W::oneshot();
                    let key = random.below(KEYS);
                    let request = if random.below(10) == 0 {
                        Entry::Write(key, key + KEYS, answerer)
                    } else {
                        Entry::Read(key, answerer)
                    };
                    wait!(W::send(&sender, request));
                    let value = wait!(W::hear(answer)).expect("the key is there");
                    assert!(value == key || value == key + KEYS, "a value belongs to its key");
                }
            }));
        }
        drop(to_dictionary);
        for worker in workers {
            wait!(W::join(worker));
        }
        let asked: u64 = wait!(W::join(dictionary));
        let elapsed = stopwatch.elapsed();
        assert_eq!(asked, each * WORKERS);
        elapsed
    }
}

/// To an account.
enum Account<A, S> {
    /// Passes the amount on to another account, and says when that has it.
    Transfer(u64, S, A),
    Deposit(u64, A),
}

/// An account's inbox has senders of inboxes in it: a type that would name itself.
pub struct Address<W: World>(W::Sender<Account<W::Answerer<()>, Address<W>>>);

impl<W: World> Clone for Address<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

program! {
    /// A teller makes transfers between 1,000 accounts, of which each confirms what it has got; ten at a time,
    /// `transfers` in all.
    pub fn bank(transfers: u64) -> Duration {
        const ACCOUNTS: u64 = 1_000;
        const AT_A_TIME: u64 = 10;
        const AMOUNT: u64 = 1_000_000;
        let stopwatch = Stopwatch::start();
        let (mut addresses, mut accounts) = (Vec::new(), Vec::new());
        for _ in 0..ACCOUNTS {
            let (sender, mut inbox) = W::channel::<Account<W::Answerer<()>, Address<W>>>();
            addresses.push(Address::<W>(sender));
            accounts.push(go!({
                let mut balance = AMOUNT;
                while let Some(message) = wait!(W::recv(&mut inbox)) {
                    match message {
                        Account::Transfer(amount, to, answerer) => {
                            balance -= amount;
                            let (confirm, confirmed) = W::oneshot();
                            wait!(W::send(&to.0, Account::Deposit(amount, confirm)));
                            wait!(W::hear(confirmed));
                            W::answer(answerer, ());
                        }
                        Account::Deposit(amount, answerer) => {
                            balance += amount;
                            W::answer(answerer, ());
                        }
                    }
                }
                balance
            }));
        }
        let mut random = Random::new(1);
        for _ in 0..transfers / AT_A_TIME {
            let mut answers = Vec::new();
            for _ in 0..AT_A_TIME {
                // As in Savina, money goes to accounts of a higher number, so no circle of accounts waits for
                // itself.
                let from = random.below(ACCOUNTS - 1);
                let to = from + 1 + random.below(ACCOUNTS - from - 1);
                let (answerer, answer) = W::oneshot();
                let (from, to) = (&addresses[from as usize], addresses[to as usize].clone());
                wait!(W::send(&from.0, Account::Transfer(1 + random.below(10), to, answerer)));
                answers.push(answer);
            }
            for answer in answers {
                wait!(W::hear(answer));
            }
        }
        drop(addresses);
        let mut sum = 0;
        for account in accounts {
            sum += wait!(W::join(account));
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, ACCOUNTS * AMOUNT);
        elapsed
    }
}

/// To the waiting room. A customer hears whether its hair was cut: if not, the room was full.
enum Room<A> {
    Enter(A),
    Next,
}

program! {
    /// One barber, a waiting room of 100 chairs, and customers who come back until their hair is cut.
    pub fn barber(haircuts: u64) -> Duration {
        const CHAIRS: usize = 100;
        const CUSTOMERS: u64 = 200;
        let each = haircuts / CUSTOMERS;
        let stopwatch = Stopwatch::start();
        let (to_room, mut inbox) = W::channel::<Room<W::Answerer<bool>>>();
        let (to_barber, mut customers) = W::channel::<W::Answerer<bool>>();
        let from_barber = to_room.clone();
        let room = go!({
            let (mut chairs, mut asleep, mut left) = (VecDeque::new(), true, each * CUSTOMERS);
            while left > 0 {
                match wait!(W::recv(&mut inbox)).expect("the barber has the other end") {
                    Room::Enter(customer) if asleep => {
                        asleep = false;
                        wait!(W::send(&to_barber, customer));
                    }
                    Room::Enter(customer) if chairs.len() < CHAIRS => chairs.push_back(customer),
                    Room::Enter(customer) => W::answer(customer, false),
                    Room::Next => {
                        left -= 1;
                        match chairs.pop_front() {
                            Some(customer) => {
                                wait!(W::send(&to_barber, customer));
                            }
                            None => asleep = true,
                        }
                    }
                }
            }
        });
        let barber = go!({
            let mut cut = 0;
            while let Some(customer) = wait!(W::recv(&mut customers)) {
                cut += 1;
                W::answer(customer, true);
                wait!(W::send(&from_barber, Room::Next));
            }
            cut
        });
        let mut actors = Vec::new();
        for _ in 0..CUSTOMERS {
            let to_room = to_room.clone();
            actors.push(go!({
                for _ in 0..each {
                    loop {
                        let (answerer, answer) = W::oneshot();
                        wait!(W::send(&to_room, Room::Enter(answerer)));
                        if wait!(W::hear(answer)) {
                            break;
                        }
                        wait!(W::yield_now());
                    }
                }
            }));
        }
        for actor in actors {
            wait!(W::join(actor));
        }
        wait!(W::join(room));
        let cut: u64 = wait!(W::join(barber));
        let elapsed = stopwatch.elapsed();
        assert_eq!(cut, each * CUSTOMERS);
        elapsed
    }
}
