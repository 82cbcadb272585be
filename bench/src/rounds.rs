//! Everyone in turn, round after round.

use crate::Result;
use crate::case::{Case, Metric, Sample, Setup};
use crate::peer::Library;

/// All figures of one case: per library, per round.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) libraries: Vec<Library>,
    /// `samples[round][library]`
    pub(crate) samples: Vec<Vec<Sample>>,
}

/// Runs `case` for every library, `rounds` times. The order turns with each round, so that nobody always comes after the
/// same neighbour.
pub(crate) fn run(case: &dyn Case, libraries: &[Library], rounds: usize, setup: Setup) -> Result<Table> {
    let mut samples = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let mut row: Vec<Sample> = vec![Vec::new(); libraries.len()];
        for turn in 0..libraries.len() {
            let at = (round + turn) % libraries.len();
            eprintln!("{}: round {} of {rounds}, {}", case.title(), round + 1, libraries[at].name());
            row[at] = case.run(libraries[at], setup)?;
        }
        samples.push(row);
    }
    Ok(Table { title: case.title(), metrics: case.metrics(), libraries: libraries.to_vec(), samples })
}

impl Table {
    /// One figure of one library, round by round.
    pub(crate) fn column(&self, library: Library, key: &str) -> Vec<f64> {
        let Some(at) = self.libraries.iter().position(|l| *l == library) else { return Vec::new() };
        let of =
            |row: &Vec<Sample>| row[at].iter().find(|(name, _)| *name == key).map_or(f64::NAN, |(_, value)| *value);
        self.samples.iter().map(of).collect()
    }

    /// `a` divided by `b`, round by round.
    pub(crate) fn ratios(&self, a: Library, b: Library, key: &str) -> Vec<f64> {
        self.column(a, key).into_iter().zip(self.column(b, key)).map(|(a, b)| a / b).collect()
    }
}
