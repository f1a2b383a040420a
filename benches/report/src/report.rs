//! The report: `docs/BENCHMARKS.md`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::machine;
use crate::measure::Figures;
use crate::peer::Peer;
use crate::session::{Outcome, Spread, spread};
use crate::workload::{Against, Bar, Workload};

/// The `docs` of the repository that this program was built from.
pub fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The best of some peers by one figure.
pub fn best(
    measured: &BTreeMap<Peer, Vec<Figures>>,
    figure: &str,
    among: impl Fn(Peer) -> bool,
) -> Option<(Peer, Spread)> {
    let all = measured.iter().filter(|(peer, _)| among(**peer));
    all.filter_map(|(peer, rounds)| Some((*peer, spread(rounds, figure)?)))
        .min_by(|one, other| one.1.median.total_cmp(&other.1.median))
}

/// What a bar came to: what is compared, the value or ratio, and whether it holds.
struct Verdict {
    workload: &'static str,
    text: String,
    value: f64,
    most: f64,
}

fn verdict(workload: &'static Workload, bar: &Bar, outcome: &Outcome) -> Option<Verdict> {
    let (_, measured) = outcome.measured.iter().find(|(known, _)| known.name == workload.name)?;
    let size = if bar.at == 0 { *measured.keys().next_back()? } else { bar.at };
    let at = measured.get(&size)?;
    let (ours, own) = best(at, bar.figure, Peer::is_smarm)?;
    let (value, text) = match bar.against {
        Against::Nobody => (own.median, format!("{}: {}", ours.slug(), bar.figure)),
        Against::Figure(other) => {
            let other_value = spread(&at[&ours], other)?.median;
            (own.median / other_value, format!("{}: {} / {other}", ours.slug(), bar.figure))
        }
        Against::One(_) | Against::Tokio => {
            let (peer, theirs) = best(at, bar.figure, |peer| match bar.against {
                Against::One(one) => peer == one,
                _ => peer.is_tokio(),
            })?;
            (own.median / theirs.median, format!("{} / {}: {}", ours.slug(), peer.slug(), bar.figure))
        }
    };
    let size = if workload.of.is_empty() { String::new() } else { format!(", {size} {}", workload.of) };
    Some(Verdict { workload: workload.name, text: format!("{text}{size}"), value, most: bar.most })
}

/// Writes the report.
///
/// # Errors
/// Those of the file.
pub fn write(outcome: &Outcome) -> std::io::Result<()> {
    let path = docs().join("BENCHMARKS.md");
    std::fs::write(path, text(outcome))
}

fn text(outcome: &Outcome) -> String {
    let mut text = String::from(
        "# Side by side\n\n\
         Written by `cargo run --release -p bench-report`; not by hand. How to read it: each figure is the median of \
         several processes, the peers in turn; in brackets the quartiles. Work on one worker is measured by the CPU \
         time of its thread, all else, and all of OS threads, by the wall clock. \
         `×` is the cost as a multiple of the best of tokio's: less is better. What a workload does, its size and \
         its checks are the same for all: the programs are compiled for each peer from one text \
         (`benches/report/src/programs`). A result that is wrong fails the run.\n\n",
    );
    let minutes = outcome.took.as_secs_f64() / 60.0;
    let [before, after] = &outcome.load;
    let _ = writeln!(
        text,
        "A `--{}` run of {minutes:.0} minutes; the machine's load was {before} at the beginning and {after} at the \
         end, this run included.\n",
        outcome.plan
    );
    text.push_str("| | |\n|---|---|\n");
    for (name, value) in machine::facts() {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    text.push_str("\n## The peers\n| name | what it is |\n|---|---|\n");
    for peer in Peer::ALL {
        let _ = writeln!(text, "| {} | {} |", peer.slug(), peer.what());
    }
    bars(&mut text, outcome);
    text.push_str("\n![ratios](benchmarks/ratios.svg)\n");
    let mut group = "";
    for (workload, measured) in &outcome.measured {
        if workload.group != group {
            group = workload.group;
            let _ = writeln!(text, "\n## {group}");
        }
        section(&mut text, workload, measured);
    }
    text
}

fn bars(text: &mut String, outcome: &Outcome) {
    text.push_str(
        "\n## What smarm wants of itself\n\
         smarm's best mode in this run, against the best of those named; a bar without a peer is an absolute figure, in \
         the unit of that figure.\n\n\
         | workload | what | value | bar | |\n|---|---|---|---|---|\n",
    );
    for (workload, _) in &outcome.measured {
        for bar in workload.bars {
            if let Some(Verdict { workload, text: what, value, most }) = verdict(workload, bar, outcome) {
                let holds = if value <= most { "holds" } else { "**misses**" };
                let _ = writeln!(text, "| {workload} | {what} | {} | ≤ {most} | {holds} |", rounded(value));
            }
        }
    }
}

fn section(text: &mut String, workload: &Workload, measured: &BTreeMap<u64, BTreeMap<Peer, Vec<Figures>>>) {
    let workers =
        if workload.workers == 1 { "one worker".into() } else { format!("{} workers", workload.workers) };
    let _ = writeln!(
        text,
        "\n### {}\n`{}`, {workers}. Shows {}. Does not show {}.\n",
        workload.title, workload.name, workload.shows, workload.hides
    );
    if measured.len() > 2 {
        let _ = writeln!(text, "![{0}](benchmarks/{0}.svg)\n", workload.name);
    }
    if measured.values().any(|peers| peers.values().any(|rounds| spread(rounds, "p99").is_some())) {
        let _ = writeln!(text, "![{0}](benchmarks/{0}-latency.svg)\n", workload.name);
    }
    let sized = !workload.of.is_empty();
    let further: String = workload.further.iter().map(|(_, heading)| format!(" {heading} |")).collect();
    let size_heading = if sized { format!(" {} |", workload.of) } else { String::new() };
    let _ = writeln!(text, "|{size_heading} peer | ns per {} | × |{further}", workload.unit);
    let _ = writeln!(text, "|{}", "---|".repeat(3 + usize::from(sized) + workload.further.len()));
    for (size, peers) in measured {
        let reference = best(peers, "cost", Peer::is_tokio).map(|(_, cost)| cost.median);
        for (peer, rounds) in peers {
            let Some(cost) = spread(rounds, "cost") else { continue };
            let ratio = reference.map_or(String::new(), |reference| rounded(cost.median / reference));
            let size = if sized { format!(" {size} |") } else { String::new() };
            let further: String = workload
                .further
                .iter()
                .map(|(figure, _)| {
                    format!(
                        " {} |",
                        spread(rounds, figure).map_or(String::new(), |found| rounded(found.median))
                    )
                })
                .collect();
            let _ = writeln!(
                text,
                "|{size} {} | {} ({} to {}) | {ratio} |{further}",
                peer.slug(),
                rounded(cost.median),
                rounded(cost.low),
                rounded(cost.high)
            );
        }
    }
    for (peer, most) in workload.limits {
        let _ = writeln!(text, "\n{} takes part up to {most}: the system grants it no more.", peer.slug());
    }
}

/// With three digits, or all before the point.
pub fn rounded(value: f64) -> String {
    let digits = match value.abs() {
        under if under < 0.1 => 4,
        under if under < 1.0 => 3,
        under if under < 10.0 => 2,
        under if under < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}
