//! Medians, their ratio, and whether the ratio is what was aimed at.

/// The unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes; shown in megabytes (10^6).
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Bytes in a second; shown in megabytes (10^6) in a second.
    BytesPerSecond,
}

/// The aim for Dayfly's median divided by the other's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// For what should be small.
    AtMost(f64),
    /// For what should be large.
    AtLeast(f64),
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    unit: Unit,
    /// All samples of each column.
    samples: Vec<Vec<f64>>,
    /// Samples of what is measured without any client, on the same way.
    floor: Vec<f64>,
    target: Option<Target>,
}

impl Row {
    /// A line; `samples` are in the columns' order.
    pub(crate) fn new(what: &str, unit: Unit, samples: Vec<Vec<f64>>, target: Option<Target>) -> Self {
        Self { what: what.to_owned(), unit, samples, floor: Vec::new(), target }
    }

    /// With what is measured there without any client.
    pub(crate) fn with_floor(self, floor: Vec<f64>) -> Self {
        Self { floor, ..self }
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.what.clone()];
        cells.extend(self.samples.iter().map(|samples| self.unit.summary(samples)));
        cells.push(if self.floor.is_empty() { String::new() } else { self.unit.summary(&self.floor) });
        if let [theirs, ours] = self.samples.as_slice()
            && let (Some(theirs), Some(ours)) = (median(theirs), median(ours))
        {
            let ratio = ours / theirs;
            cells.push(shown_ratio(ratio));
            if let Some(target) = self.target {
                cells.push(target.shown());
                cells.push(if target.is_met(ratio) { "met" } else { "MISSED" }.to_owned());
            }
        }
        cells
    }
}

impl Target {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(limit) => ratio <= limit,
            Self::AtLeast(limit) => ratio >= limit,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::AtMost(limit) => format!("at most 1/{:.0}", limit.recip()),
            Self::AtLeast(limit) => format!("at least {limit:.0}x"),
        }
    }
}

impl Unit {
    /// The median, and the extremes where there is more than one sample.
    fn summary(self, samples: &[f64]) -> String {
        let Some(middle) = median(samples) else { return "-".to_owned() };
        let (scale, name) = match self {
            Self::Bytes => (1e6, "MB"),
            Self::Milliseconds => (1.0, "ms"),
            Self::Seconds => (1.0, "s"),
            Self::BytesPerSecond => (1e6, "MB/s"),
        };
        let number = |value: f64| {
            let value = value / scale;
            let decimals = if value >= 100.0 {
                0
            } else if value >= 10.0 {
                1
            } else {
                2
            };
            format!("{value:.decimals$}")
        };
        if samples.len() == 1 {
            return format!("{} {name}", number(middle));
        }
        let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
        let most = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{} {name} ({}-{})", number(middle), number(least), number(most))
    }
}

/// The middle of some numbers, or the mean of the two in the middle.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some((sorted.get(middle - 1)? + upper) / 2.0) }
}

fn shown_ratio(ratio: f64) -> String {
    if ratio < 1.0 { format!("1/{:.1}", ratio.recip()) } else { format!("{ratio:.1}x") }
}

/// Print the table to standard output, each column under its title.
pub(crate) fn print(titles: &[&str], rows: &[Row]) {
    let mut head = vec![String::new()];
    head.extend(titles.iter().map(|&title| title.to_owned()));
    head.push(if rows.iter().any(|row| !row.floor.is_empty()) { "neither" } else { "" }.to_owned());
    if titles.len() == 2 {
        let target = if rows.iter().any(|row| row.target.is_some()) { "target" } else { "" };
        head.extend(["ratio", target, ""].map(str::to_owned));
    }
    let mut lines = vec![head];
    lines.extend(rows.iter().map(Row::cells));
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("   ").trim_end());
    }
    println!("median (least-most) over all rounds; megabytes are 10^6 bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_line_tells_both_medians_their_ratio_and_the_verdict() {
        let samples = vec![vec![100.0, 900.0, 300.0], vec![50.0]];
        let row = Row::new("ready", Unit::Milliseconds, samples, Some(Target::AtMost(1.0 / 5.0)));
        let cells = ["ready", "300 ms (100-900)", "50.0 ms", "", "1/6.0", "at most 1/5", "met"];
        assert_eq!(row.cells(), cells);
        let row = Row::new(
            "output",
            Unit::BytesPerSecond,
            vec![vec![0.5e6], vec![3.75e6]],
            Some(Target::AtLeast(8.0)),
        )
        .with_floor(vec![6.0e6]);
        let cells = ["output", "0.50 MB/s", "3.75 MB/s", "6.00 MB/s", "7.5x", "at least 8x", "MISSED"];
        assert_eq!(row.cells(), cells);
    }

    #[test]
    fn one_client_alone_has_nothing_to_be_compared_with() {
        let row = Row::new("raw", Unit::Bytes, vec![vec![29.1e6]], Some(Target::AtMost(0.5)));
        assert_eq!(row.cells(), ["raw", "29.1 MB", ""]);
    }
}
