//! Medians and ratios, for people and as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::case::{Goal, Metric};
use crate::peer::Library;
use crate::rounds::Table;

/// The library whose figures are divided by the others'.
fn subject(table: &Table) -> Option<Library> {
    table.libraries.first().copied()
}

/// A table to read: medians per library, and the subject against each peer as the median of the rounds' ratios with the
/// smallest and the largest.
pub(crate) fn text(table: &Table) -> String {
    let mut out = format!("\n{} ({} rounds)\n", table.title, table.samples.len());
    let Some(subject) = subject(table) else { return out };
    let peers: Vec<Library> = table.libraries.iter().copied().filter(|l| *l != subject).collect();
    let mut head = format!("{:<30}", "");
    for library in &table.libraries {
        let _ = write!(head, "{:>16}", library.name());
    }
    for peer in &peers {
        let _ = write!(head, "{:>30}", format!("{} / {}", subject.name(), peer.name()));
    }
    out.push_str(head.trim_end());
    out.push('\n');
    for metric in &table.metrics {
        let mut line = format!("{:<30}", metric.label);
        for library in &table.libraries {
            let _ = write!(line, "{:>16}", number(median(&table.column(*library, metric.key)), metric.digits));
        }
        for peer in &peers {
            let _ = write!(line, "{:>30}", spread(&table.ratios(subject, *peer, metric.key)));
        }
        if let Some(goal) = verdict(table, metric) {
            let _ = write!(line, "   {goal}");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Everything that was measured, round by round, with the medians.
pub(crate) fn json(table: &Table) -> Value {
    let mut figures = Map::new();
    for metric in &table.metrics {
        let mut entry = Map::new();
        for library in &table.libraries {
            let rounds = table.column(*library, metric.key);
            entry.insert(library.name().into(), json!({ "median": median(&rounds), "rounds": rounds }));
        }
        for peer in table.libraries.iter().skip(1) {
            let ratios = subject(table).map(|s| table.ratios(s, *peer, metric.key)).unwrap_or_default();
            entry.insert(format!("ratio_to_{}", peer.name()), json!({ "median": median(&ratios), "rounds": ratios }));
        }
        entry.insert("goal".into(), json!(verdict(table, metric)));
        figures.insert(metric.key.into(), entry.into());
    }
    json!({ "case": table.title, "figures": figures })
}

/// The goal and whether Lariat reached it; nothing where there is none or Lariat did not run.
fn verdict(table: &Table, metric: &Metric) -> Option<String> {
    let lariat = table.libraries.iter().copied().find(|l| *l == Library::Lariat)?;
    let own = median(&table.column(lariat, metric.key));
    let times = |other| median(&table.ratios(lariat, other, metric.key));
    let (goal, value, met) = match metric.goal {
        Goal::None => return None,
        Goal::AtMost(most) => (format!("<= {most}"), own, own <= most),
        Goal::AtLeast(least) => (format!(">= {least}"), own, own >= least),
        Goal::AtLeastTimes(least, other) => {
            let times = times(other);
            (format!(">= {least:.2} x {}", other.name()), times, times >= least)
        }
        Goal::AtMostTimes(most, other) => {
            let times = times(other);
            (format!("<= {most:.2} x {}", other.name()), times, times <= most)
        }
    };
    if value.is_nan() {
        return Some(format!("{goal}: not measured"));
    }
    Some(format!("{goal}: {}", if met { "met" } else { "MISSED" }))
}

fn spread(ratios: &[f64]) -> String {
    let middle = median(ratios);
    if !middle.is_finite() {
        return "-".into();
    }
    let (least, most) = ratios.iter().fold((f64::MAX, f64::MIN), |(a, b), r| (a.min(*r), b.max(*r)));
    format!("{middle:.3} ({least:.3}..{most:.3})")
}

fn number(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "-".into() }
}

/// The median; rounds without a figure do not count.
fn median(values: &[f64]) -> f64 {
    let mut values: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_leaves_out_what_was_not_measured() {
        assert!((median(&[3.0, f64::NAN, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn ratios_are_paired_by_round() {
        let table = Table {
            title: "t".into(),
            metrics: Vec::new(),
            libraries: vec![Library::Official, Library::Node],
            samples: vec![vec![vec![("k", 10.0)], vec![("k", 5.0)]], vec![vec![("k", 30.0)], vec![("k", 10.0)]]],
        };
        assert_eq!(table.ratios(Library::Official, Library::Node, "k"), vec![2.0, 3.0]);
    }
}
