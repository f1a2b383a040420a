//! Runs both sides in turn, and prints one aligned line per promise.

use std::time::{Duration, Instant};

/// What a line promises.
#[derive(Clone, Copy)]
pub enum Bar {
    /// At most this many times tokio's time.
    Ratio(f64),
    /// At most this many nanoseconds per operation.
    Nanoseconds(f64),
    /// Nothing: the line informs.
    None,
}

/// How thoroughly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effort {
    /// Each once, as cargo's test of the benches: whether they run at all.
    Once,
    Quick,
    Full,
}

/// Which lines are wanted, and how thoroughly.
pub struct Bars {
    effort: Effort,
    only: Vec<String>,
    headed: bool,
}

const USAGE: &str = "arguments: [--quick | --full] [--only NAME]...";

impl Bars {
    /// As the program's arguments say.
    pub fn from_arguments() -> Self {
        let mut bars = Self { effort: Effort::Once, only: Vec::new(), headed: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => bars.effort = bars.effort.max(Effort::Quick), // cargo says so to every bench
                "--quick" => bars.effort = Effort::Quick,
                "--full" => bars.effort = Effort::Full,
                "--only" => bars.only.extend(arguments.next()),
                name if !name.starts_with('-') => bars.only.push(name.to_owned()),
                unknown => panic!("{unknown} is not known; {USAGE}"),
            }
        }
        bars
    }

    /// Whether a line is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only.as_str()))
    }

    /// Measures smarm (the first that `make` gives) beside tokio. Each call does `operations`.
    pub fn compare<S, T>(&mut self, name: &str, bar: Bar, operations: u64, make: impl FnOnce() -> (S, T))
    where
        S: FnMut() -> Duration,
        T: FnMut() -> Duration,
    {
        if self.wants(name) {
            let (ours, theirs) = make();
            self.measure(name, bar, operations, ours, Some(theirs));
        }
    }

    /// Measures smarm where tokio has nothing to compare with.
    pub fn alone<S>(&mut self, name: &str, bar: Bar, operations: u64, make: impl FnOnce() -> S)
    where
        S: FnMut() -> Duration,
    {
        if self.wants(name) {
            self.measure(name, bar, operations, make(), None::<S>);
        }
    }

    fn measure<S, T>(&mut self, name: &str, bar: Bar, operations: u64, mut ours: S, mut theirs: Option<T>)
    where
        S: FnMut() -> Duration,
        T: FnMut() -> Duration,
    {
        // The first call of each warms up, and says for how many there is time. Many short ones are
        // better than few long ones: on a busy machine most of them run undisturbed.
        let begin = Instant::now();
        let first = (ours(), theirs.as_mut().map(|theirs| theirs()));
        let took = begin.elapsed().as_secs_f64();
        let repetitions = match self.effort {
            Effort::Once => 0,
            Effort::Quick => (0.9 / took).clamp(3.0, 2_000.0) as usize,
            Effort::Full => (10.0 / took).clamp(3.0, 2_000.0) as usize,
        };
        let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
        if repetitions == 0 {
            our_times.push(first.0);
            their_times.extend(first.1);
        }
        for _ in 0..repetitions {
            our_times.push(ours());
            if let Some(theirs) = &mut theirs {
                their_times.push(theirs());
            }
        }
        let per_operation =
            |times: Vec<Duration>| median(times).map(|time| time.as_secs_f64() * 1e9 / operations as f64);
        let our_time = per_operation(our_times).expect("it ran");
        let their_time = per_operation(their_times);
        self.line(name, our_time, their_time, bar);
    }

    /// Prints a line of nanoseconds.
    pub fn line(&mut self, name: &str, ours: f64, theirs: Option<f64>, bar: Bar) {
        let ratio = theirs.map(|theirs| ours / theirs);
        let (limit, holds) = match bar {
            Bar::Ratio(most) => (format!("<= {most:.2} x"), Some(ratio.is_some_and(|ratio| ratio <= most))),
            Bar::Nanoseconds(most) => (format!("<= {most:.0} ns"), Some(ours <= most)),
            Bar::None => ("-".into(), None),
        };
        let theirs = theirs.map_or("-".into(), |theirs| format!("{theirs:.1}"));
        let ratio = ratio.map_or("-".into(), |ratio| format!("{ratio:.3}"));
        self.print(name, &format!("{ours:.1}"), &theirs, &ratio, &limit, holds);
    }

    /// Prints a line of any figures. Without a verdict it only informs.
    pub fn print(
        &mut self,
        name: &str,
        ours: &str,
        theirs: &str,
        ratio: &str,
        bar: &str,
        holds: Option<bool>,
    ) {
        if !self.headed {
            self.headed = true;
            let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
            let load = load.split_whitespace().next().unwrap_or("unknown");
            println!("load of the machine at the beginning: {load}");
            println!("{:44} {:>10} {:>10} {:>7} {:>12}", "", "smarm ns", "tokio ns", "ratio", "bar");
        }
        let verdict = match holds {
            Some(true) => "holds",
            Some(false) => "misses",
            None => "",
        };
        println!("{name:44} {ours:>10} {theirs:>10} {ratio:>7} {bar:>12}  {verdict}");
    }
}

/// The middle one, if there is any.
pub fn median<T: Ord>(mut values: Vec<T>) -> Option<T> {
    let middle = values.len() / 2;
    values.sort_unstable();
    values.into_iter().nth(middle)
}
