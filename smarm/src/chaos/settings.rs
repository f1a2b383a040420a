//! What is disturbed, and how often: by the configuration, or by the environment.

use std::env;
use std::fmt;
use std::sync::OnceLock;

use super::Kind;

const KINDS: [(Kind, &str, f64); 7] = [
    (Kind::Yields, "yields", 0.25),
    (Kind::Order, "order", 0.5),
    (Kind::Wakes, "wakes", 0.125),
    (Kind::Inbox, "inbox", 0.25),
    (Kind::Polls, "polls", 0.125),
    (Kind::Faults, "faults", 0.0),
    (Kind::Poison, "poison", 0.25),
];

/// How often [`Kind::Faults`] strikes if the environment asks for it.
const FAULTS: f64 = 0.0625;

/// Odds of this are always.
const ALWAYS: f64 = 4_294_967_296.0;

/// Disturbs what is not promised: the order of actors, the number of wakes and polls, and more. The same seed
/// does it in the same way, on one worker whose actors wait for each other alone.
///
/// It needs the feature `chaos`. [`Config::chaos`](crate::Config::chaos) switches it on for one runtime; the
/// environment does it for all whose configuration says nothing:
///
/// ```sh
/// SMARM_CHAOS=7 cargo test --features chaos
/// SMARM_CHAOS=7 SMARM_CHAOS_KINDS=yields,order cargo test --features chaos
/// ```
///
/// | kind | method | unless set otherwise, one of | strikes |
/// |---|---|---|---|
/// | `yields` | [`forced_yields`](Self::forced_yields) | 4 | a smarm call that could wait: it yields, also when it need not wait |
/// | `order` | [`random_order`](Self::random_order) | 2 | the choice of who runs next: anybody who can |
/// | `wakes` | [`early_wakes`](Self::early_wakes) | 8 | a park: the actor is woken some switches later, for nothing |
/// | `inbox` | [`delayed_inbox`](Self::delayed_inbox) | 4 | wakes from other threads: they count some turns later |
/// | `polls` | [`spurious_polls`](Self::spurious_polls) | 8 | a future that was pending: it is polled once more |
/// | `poison` | [`poisoned_stacks`](Self::poisoned_stacks) | 4 | the end of an actor: what its stack held is overwritten |
/// | `faults` | [`faults`](Self::faults) | never; 16 if named in `SMARM_CHAOS_KINDS` | a worker's `mmap`, `mprotect`, `madvise` or `epoll_ctl`: it fails |
///
/// While calls are made to yield, slices are not measured, and `check!()` yields at random.
///
/// A panic of an actor, and a shutdown that leaves something running, print the seed.
///
/// ```
/// use smarm::{Chaos, Config};
///
/// let trace = |seed| {
///     smarm::runtime::init(Config::exact(1).chaos(Chaos::new(seed))).run(|| {
///         let (sender, receiver) = smarm::channel();
///         for name in 0..10 {
///             let sender = sender.clone();
///             smarm::spawn(move || (0..10).for_each(|_| sender.send(name).unwrap()));
///         }
///         drop(sender);
///         receiver.iter().collect::<Vec<_>>()
///     })
/// };
/// assert_eq!(trace(1), trace(1));
/// assert_ne!(trace(1), trace(2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Chaos {
    seed: u64,
    /// By kind, of [`ALWAYS`].
    odds: [u64; KINDS.len()],
}

impl Chaos {
    /// All kinds but faults, as often as the table says.
    pub fn new(seed: u64) -> Self {
        Self { seed, odds: KINDS.map(|(_, _, probability)| odds(probability)) }
    }

    /// None, whatever the environment says: for tests of what chaos disturbs, such as the number of allocations.
    pub fn off() -> Self {
        Self { seed: 0, odds: [0; KINDS.len()] }
    }

    /// Forced yields as before, and nothing else.
    pub fn only_forced_yields(mut self) -> Self {
        let yields = self.odds[Kind::Yields as usize];
        self.odds = [0; KINDS.len()];
        self.odds[Kind::Yields as usize] = yields;
        self
    }

    /// How often a smarm call that could wait yields, also when it need not wait.
    ///
    /// # Panics
    /// As for all kinds, if the probability is not from 0 to 1.
    #[track_caller]
    pub fn forced_yields(self, probability: f64) -> Self {
        self.with(Kind::Yields, probability)
    }

    /// How often any actor that can run runs next, in place of the one whose turn it is.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1.
    #[track_caller]
    pub fn random_order(self, probability: f64) -> Self {
        self.with(Kind::Order, probability)
    }

    /// How often an actor that parks is woken for nothing.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1. At 1, a wait is polled again and again.
    #[track_caller]
    pub fn early_wakes(self, probability: f64) -> Self {
        self.with(Kind::Wakes, probability)
    }

    /// How often a worker that could take in the wakes from other threads leaves them for later.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1, or is 1: they would never be taken in.
    #[track_caller]
    pub fn delayed_inbox(self, probability: f64) -> Self {
        assert!(probability < 1.0, "wakes from elsewhere must be taken in at some time: choose less than 1");
        self.with(Kind::Inbox, probability)
    }

    /// How often a future that was pending is polled once more.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1.
    #[track_caller]
    pub fn spurious_polls(self, probability: f64) -> Self {
        self.with(Kind::Polls, probability)
    }

    /// How often the system calls fail by which a worker gets memory for stacks and registers descriptors.
    ///
    /// [`spawn`](crate::spawn) panics if there is no stack; [`Builder::spawn`](crate::Builder::spawn) gives the
    /// error.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1.
    #[track_caller]
    pub fn faults(self, probability: f64) -> Self {
        self.with(Kind::Faults, probability)
    }

    /// How often the stack of an actor that has ended is overwritten.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1.
    #[track_caller]
    pub fn poisoned_stacks(self, probability: f64) -> Self {
        self.with(Kind::Poison, probability)
    }

    /// What all is derived from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    #[track_caller]
    fn with(mut self, kind: Kind, probability: f64) -> Self {
        assert!((0.0..=1.0).contains(&probability), "a probability is from 0 to 1, not {probability}");
        self.odds[kind as usize] = odds(probability);
        self
    }

    pub(super) fn odds(&self, kind: Kind) -> u64 {
        self.odds[kind as usize]
    }

    /// Whether anything is disturbed.
    pub(super) fn is_on(&self) -> bool {
        self.odds != [0; KINDS.len()]
    }

    /// By the environment's variables.
    ///
    /// # Panics
    /// If they are wrong.
    fn parse(seed: &str, kinds: Option<&str>) -> Self {
        let Ok(number) = seed.trim().parse() else {
            panic!("smarm: SMARM_CHAOS is {seed:?}; it must be a number from 0 to {}", u64::MAX)
        };
        let chaos = Self::new(number);
        let Some(kinds) = kinds else { return chaos };
        kinds.split(',').map(str::trim).filter(|name| !name.is_empty()).fold(
            Self { odds: [0; KINDS.len()], ..chaos },
            |some, name| match KINDS.iter().find(|(_, known, _)| *known == name) {
                Some((Kind::Faults, ..)) => some.faults(FAULTS),
                Some(&(kind, _, probability)) => some.with(kind, probability),
                None => panic!(
                    "smarm: SMARM_CHAOS_KINDS has {name:?}; it is a list of {}, with commas in between",
                    KINDS.map(|(_, name, _)| name).join(", ")
                ),
            },
        )
    }

    /// What the environment asks for.
    pub(super) fn of_environment() -> Option<Self> {
        static ASKED: OnceLock<Option<Chaos>> = OnceLock::new();
        *ASKED.get_or_init(|| {
            let seed = env::var("SMARM_CHAOS").ok().filter(|seed| !seed.is_empty())?;
            Some(Self::parse(&seed, env::var("SMARM_CHAOS_KINDS").ok().as_deref()))
        })
    }
}

fn odds(probability: f64) -> u64 {
    (probability * ALWAYS) as u64
}

/// The variables that ask for it. If no kind that is on has other odds than these give, that is all there is to it.
impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SMARM_CHAOS={}", self.seed)?;
        if self.odds != Self::new(self.seed).odds {
            let on = KINDS.iter().filter(|(kind, ..)| self.odds(*kind) > 0).map(|(_, name, _)| *name);
            write!(f, " SMARM_CHAOS_KINDS={}", on.collect::<Vec<_>>().join(","))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Chaos");
        f.field("seed", &self.seed);
        for (kind, name, _) in KINDS {
            f.field(name, &(self.odds(kind) as f64 / ALWAYS));
        }
        f.finish()
    }
}

/// What a configuration says about chaos.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice(pub(crate) Option<Chaos>);

impl Choice {
    /// The configuration says nothing.
    pub(crate) const NONE: Self = Self(None);

    /// As the environment says, if the configuration says nothing.
    pub(crate) fn settled(self) -> Self {
        Self(self.0.or_else(Chaos::of_environment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_asks_for_the_same() {
        assert_eq!(Chaos::new(7).to_string(), "SMARM_CHAOS=7");
        assert_eq!(Chaos::parse(" 7", None), Chaos::new(7));
        for kinds in ["yields,order", "wakes,faults,poison", "inbox,polls", ""] {
            let chaos = Chaos::parse("3", Some(kinds));
            assert_eq!(chaos.to_string(), format!("SMARM_CHAOS=3 SMARM_CHAOS_KINDS={kinds}"));
        }
        assert_eq!(Chaos::parse("1", Some("yields")), Chaos::new(1).only_forced_yields());
        assert!(!Chaos::off().is_on() && Chaos::new(0).is_on());
    }

    #[test]
    fn what_the_environment_cannot_mean_is_named() {
        let message = |seed: &str, kinds: Option<&str>| {
            let panicked = std::panic::catch_unwind(|| Chaos::parse(seed, kinds)).unwrap_err();
            crate::actor::park::message(&*panicked).to_owned()
        };
        assert!(message("x", None).contains("SMARM_CHAOS is \"x\""));
        assert!(message("1", Some("yields,noise")).contains("\"noise\"; it is a list of yields, order"));
    }
}
