//! The plots: ratios as bars with their spread, costs against sizes, distributions of latencies.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::measure::QUANTILES;
use crate::peer::Peer;
use crate::report::{best, docs};
use crate::session::{Measured, Outcome, spread};
use crate::workload::Workload;

type Result = std::result::Result<(), Box<dyn Error>>;

const COLOURS: [RGBColor; 7] = [
    RGBColor(200, 60, 30),
    RGBColor(240, 150, 40),
    RGBColor(40, 90, 170),
    RGBColor(90, 160, 220),
    RGBColor(60, 140, 80),
    RGBColor(120, 120, 120),
    RGBColor(130, 70, 150),
];

fn colour(peer: Peer, workload: &Workload) -> RGBColor {
    let place = workload.peers.iter().position(|known| *known == peer).unwrap_or(0);
    COLOURS[place % COLOURS.len()]
}

/// Writes them all.
///
/// # Errors
/// Those of the files.
pub fn write(outcome: &Outcome) -> Result {
    let folder = docs().join("benchmarks");
    std::fs::create_dir_all(&folder)?;
    ratios(outcome, &folder.join("ratios.svg"))?;
    for (workload, measured) in &outcome.measured {
        if measured.len() > 2 {
            costs(workload, measured, &folder.join(format!("{}.svg", workload.name)))?;
        }
        let latencies = measured.values().any(|peers| peers.values().any(|all| spread(all, "p99").is_some()));
        if latencies {
            distributions(workload, measured, &folder.join(format!("{}-latency.svg", workload.name)))?;
        }
    }
    Ok(())
}

/// For each workload and size, smarm's best mode as a multiple of the best of tokio's.
fn ratios(outcome: &Outcome, path: &Path) -> Result {
    let mut rows = Vec::new();
    for (workload, measured) in &outcome.measured {
        for (size, peers) in measured {
            let (Some((_, ours)), Some((_, theirs))) =
                (best(peers, "cost", Peer::is_smarm), best(peers, "cost", Peer::is_tokio))
            else {
                continue;
            };
            let name = if workload.of.is_empty() {
                workload.name.to_owned()
            } else {
                format!("{}, {size} {}", workload.name, workload.of)
            };
            // The widest that the quartiles of both allow.
            let span = [ours.low / theirs.high, ours.median / theirs.median, ours.high / theirs.low];
            rows.push((name, span));
        }
    }
    let (least, most) = (0.01_f64, 10.0_f64);
    let root = SVGBackend::new(path, (900, 70 + 18 * rows.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("smarm's cost as a multiple of tokio's (left of 1: smarm is cheaper)", ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(240)
        .build_cartesian_2d((least..most).log_scale(), 0.0..rows.len() as f64)?;
    let label = |place: &f64| {
        let number = rows.len().checked_sub(1 + *place as usize);
        number.and_then(|number| rows.get(number)).map_or(String::new(), |(name, _)| name.clone())
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_label_formatter(&|value| format!("{value}"))
        .draw()?;
    for (number, (_, [low, middle, high])) in rows.iter().enumerate() {
        let top = (rows.len() - number) as f64;
        let fill = if *middle <= 1.0 { COLOURS[4] } else { COLOURS[0] };
        let within = |value: f64| value.clamp(least, most);
        let bar = [(1.0, top - 0.8), (within(*middle), top - 0.2)];
        chart.draw_series([Rectangle::new(bar, fill.filled())])?;
        let whisker = vec![(within(*low), top - 0.5), (within(*high), top - 0.5)];
        chart.draw_series([PathElement::new(whisker, BLACK.stroke_width(2))])?;
        let name = label(&(top - 1.0));
        let (_, y) = chart.backend_coord(&(least, top - 0.5));
        root.draw(&Text::new(name, (15, y - 6), ("sans-serif", 12)))?;
    }
    root.present()?;
    Ok(())
}

/// Cost against size, both on logarithmic scales.
fn costs(workload: &Workload, measured: &Measured, path: &Path) -> Result {
    let root = SVGBackend::new(path, (760, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let points = |peer: Peer| -> Vec<(f64, f64)> {
        let of_size = measured.iter();
        of_size
            .filter_map(|(size, peers)| Some((*size as f64, spread(peers.get(&peer)?, "cost")?.median)))
            .collect()
    };
    let all: Vec<_> = workload.peers.iter().flat_map(|peer| points(*peer)).collect();
    let (low, high) = range(all.iter().map(|(_, cost)| *cost));
    let (first, last) = range(measured.keys().map(|size| *size as f64));
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("{}: ns per {}", workload.title, workload.unit), ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d((first..last * 1.1).log_scale(), (low / 1.5..high * 1.5).log_scale())?;
    chart.configure_mesh().x_desc(workload.of).y_desc("ns").draw()?;
    for &peer in workload.peers {
        let (points, colour) = (points(peer), colour(peer, workload));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(peer.slug())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    legend(&mut chart)?;
    root.present()?;
    Ok(())
}

/// Latencies by their quantiles, at the largest size.
fn distributions(workload: &Workload, measured: &Measured, path: &Path) -> Result {
    let Some((size, peers)) = measured.iter().next_back() else { return Ok(()) };
    let root = SVGBackend::new(path, (760, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let points = |peer: &Peer| -> Vec<(f64, f64)> {
        let Some(rounds) = peers.get(peer) else { return Vec::new() };
        let quantiles = QUANTILES.iter().enumerate();
        quantiles
            .filter_map(|(place, (name, _))| Some((place as f64, spread(rounds, name)?.median.max(0.1))))
            .collect()
    };
    let (low, high) = range(peers.keys().flat_map(&points).map(|(_, latency)| latency));
    let of = if workload.of.is_empty() { String::new() } else { format!(", {size} {}", workload.of) };
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("{}{of}: µs, by quantile", workload.title), ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(80)
        .build_cartesian_2d(0.0..(QUANTILES.len() - 1) as f64, (low / 1.5..high * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .x_labels(QUANTILES.len())
        .x_label_formatter(&|place| {
            QUANTILES.get(place.round() as usize).map_or("", |(name, _)| name).to_owned()
        })
        .y_desc("µs")
        .draw()?;
    for &peer in workload.peers {
        let (points, colour) = (points(&peer), colour(peer, workload));
        if points.is_empty() {
            continue;
        }
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(peer.slug())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    legend(&mut chart)?;
    root.present()?;
    Ok(())
}

fn legend<'a, B, C>(chart: &mut ChartContext<'a, B, C>) -> std::result::Result<(), Box<dyn Error>>
where
    B: DrawingBackend + 'a,
    C: CoordTranslate,
    B::ErrorType: 'static,
{
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    Ok(())
}

/// The least and the largest, and something to draw on if there is nothing.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if low < high { (low, high) } else { (1.0, 10.0) }
}
