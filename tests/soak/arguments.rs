//! What is asked for.

use std::time::Duration;

use crate::plant::Plant;

/// What is to be done.
pub(crate) enum Wanted {
    Soak(Arguments),
    SelfCheck,
    /// Somebody runs other tests by name, or lists them.
    Nothing,
}

/// How a soak is to be.
pub(crate) struct Arguments {
    pub(crate) work: Duration,
    pub(crate) seed: u64,
    pub(crate) patience: Duration,
    pub(crate) settling: Duration,
    pub(crate) plant: Option<Plant>,
}

impl Arguments {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Wanted, String> {
        let half_a_minute = Duration::from_secs(30);
        let mut this = Self {
            work: Duration::ZERO,
            seed: 1,
            patience: half_a_minute,
            settling: half_a_minute,
            plant: None,
        };
        let (mut soak, mut filtered) = (false, false);
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--seconds" => {
                    soak = true;
                    this.work = seconds(&value()?)?;
                }
                "--patience" => this.patience = seconds(&value()?)?,
                "--settling" => this.settling = seconds(&value()?)?,
                "--seed" => this.seed = value()?.parse().map_err(|_| "--seed needs a number")?,
                "--plant" => this.plant = Some(Plant::named(&value()?)?),
                // What `cargo test` passes to every test binary.
                "--list" => return Ok(Wanted::Nothing),
                "--test-threads" | "--skip" | "--format" | "--color" => drop(value()?),
                flag if flag.starts_with('-') => {}
                filter => filtered |= !"soak".contains(filter),
            }
        }
        Ok(match (soak, filtered) {
            (true, _) => Wanted::Soak(this),
            (false, true) => Wanted::Nothing,
            (false, false) => Wanted::SelfCheck,
        })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| format!("{text} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
