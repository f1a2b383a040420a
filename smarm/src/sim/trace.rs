//! What happened in a simulation, as lines of text.

use std::fmt::{self, Write};
use std::str::Lines;

/// What happened in a simulation: a line for each actor that was spawned, ran, or ended, for each event of the
/// network, and for each [`note`](super::note), with the virtual time since the beginning, in seconds.
///
/// Actors are named by the order in which they were spawned, so nothing in it depends on the process, its addresses
/// or the real time: the same seed gives the same trace, byte for byte.
///
/// ```
/// let trace = smarm::sim::run(7, || smarm::spawn(|| smarm::sim::note("here")).join().unwrap()).into_trace();
/// assert_eq!(
///     trace.lines().filter(|line| line.contains("note")).collect::<Vec<_>>(),
///     ["0.000000000 note 2 here"],
/// );
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Trace {
    text: String,
}

impl Trace {
    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Line by line.
    pub fn lines(&self) -> Lines<'_> {
        self.text.lines()
    }

    /// A short name for its contents, to compare traces of several processes by: FNV-1a of 64 bits.
    ///
    /// Source: G. Fowler, L. Noll, K.-P. Vo, D. Eastlake, "The FNV Non-Cryptographic Hash Algorithm".
    pub fn hash(&self) -> u64 {
        self.text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// Adds a line, in which line breaks are written `\n`, for this many nanoseconds since the beginning.
    pub(super) fn add(&mut self, now: u64, what: fmt::Arguments<'_>) {
        let (seconds, nanos) = (now / 1_000_000_000, now % 1_000_000_000);
        let begin = self.text.len();
        let (Ok(()) | Err(_)) = write!(self.text, "{seconds}.{nanos:09} {what}"); // a String takes all
        if self.text[begin..].contains('\n') {
            let line = self.text.split_off(begin).replace('\n', "\\n");
            self.text.push_str(&line);
        }
        self.text.push('\n');
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Its hash and its length: the text may be megabytes.
impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({:016x}, {} lines)", self.hash(), self.text.lines().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_in_seconds() {
        let mut trace = Trace::default();
        trace.add(61_000_000_007, format_args!("run {}", 3));
        trace.add(0, format_args!("note 1 two\nlines"));
        assert_eq!(trace.as_str(), "61.000000007 run 3\n0.000000000 note 1 two\\nlines\n");
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // From the published test vectors.
        assert_eq!(Trace::default().hash(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Trace { text: "foobar".into() }.hash(), 0x8594_4171_f739_67e8);
    }
}
