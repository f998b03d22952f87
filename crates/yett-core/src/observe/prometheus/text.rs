//! The text that is being written: families of samples, each with its help and type, and labels that are escaped.

use std::fmt::{Display, Write};

use crate::observe::metrics::{BUCKETS, Histogram};

/// The text of a scrape.
#[derive(Debug)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn new() -> Self {
        Self(String::with_capacity(16 * 1024))
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    /// A counter without labels.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.counters(name, help).add(&[], value);
    }

    /// A gauge without labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.gauges(name, help).add(&[], value);
    }

    /// Counters that labels tell apart.
    pub(super) fn counters<'a>(&'a mut self, name: &'a str, help: &str) -> Family<'a> {
        self.family(name, help, "counter")
    }

    /// Gauges that labels tell apart.
    pub(super) fn gauges<'a>(&'a mut self, name: &'a str, help: &str) -> Family<'a> {
        self.family(name, help, "gauge")
    }

    /// Families with a sample of each of these, which are told apart by the same labels.
    pub(super) fn each<'a, T, L, const N: usize>(&'a mut self, all: &'a [T], labels: L) -> Each<'a, T, L, N>
    where
        L: for<'t> Fn(&'t T) -> [(&'static str, &'t str); N],
    {
        Each { text: self, all, labels }
    }

    /// A histogram of seconds, summed over all of these.
    pub(super) fn histogram<'a>(&mut self, name: &str, help: &str, all: impl Iterator<Item = &'a Histogram>) {
        let (mut counts, mut sum_ns) = ([0; BUCKETS.len() + 1], 0);
        all.for_each(|histogram| histogram.collect(&mut counts, &mut sum_ns));
        self.family(name, help, "histogram");
        let mut total = 0;
        for (count, bound) in counts.iter().zip(BUCKETS.iter().map(|(_, text)| *text).chain(["+Inf"])) {
            total += count;
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {total}");
        }
        let (seconds, rest) = (sum_ns / 1_000_000_000, sum_ns % 1_000_000_000);
        let _ = writeln!(self.0, "{name}_sum {seconds}.{rest:09}\n{name}_count {total}");
    }

    fn family<'a>(&'a mut self, name: &'a str, help: &str, kind: &str) -> Family<'a> {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { out: &mut self.0, name }
    }
}

/// Samples of one name.
pub(super) struct Family<'a> {
    out: &'a mut String,
    name: &'a str,
}

impl Family<'_> {
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.out.push_str(self.name);
        let mut before = '{';
        for (name, value) in labels {
            let _ = write!(self.out, "{before}{name}=\"{}\"", Label(value));
            before = ',';
        }
        let _ = writeln!(self.out, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A sample for each value of a label.
    pub(super) fn by<'v>(&mut self, label: &str, counts: impl IntoIterator<Item = (&'v str, u64)>) {
        counts.into_iter().for_each(|(value, count)| self.add(&[(label, value)], count));
    }

    /// A sample for each value of a label, but for those that never occurred.
    pub(super) fn by_occurred<'v>(&mut self, label: &str, counts: impl IntoIterator<Item = (&'v str, u64)>) {
        self.by(label, counts.into_iter().filter(|(_, count)| *count > 0));
    }
}

/// Families with a sample of each of many.
pub(super) struct Each<'a, T, L, const N: usize> {
    text: &'a mut Text,
    all: &'a [T],
    labels: L,
}

impl<T, L, const N: usize> Each<'_, T, L, N>
where
    L: for<'t> Fn(&'t T) -> [(&'static str, &'t str); N],
{
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Fn(&T) -> u64) {
        let mut family = self.text.counters(name, help);
        self.all.iter().for_each(|one| family.add(&(self.labels)(one), value(one)));
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Fn(&T) -> u64) {
        self.gauge_of_some(name, help, |one| Some(value(one)));
    }

    /// Of those that have a value.
    pub(super) fn gauge_of_some(&mut self, name: &str, help: &str, value: impl Fn(&T) -> Option<u64>) {
        let mut family = self.text.gauges(name, help);
        for one in self.all {
            if let Some(value) = value(one) {
                family.add(&(self.labels)(one), value);
            }
        }
    }
}

/// Milliseconds as seconds.
pub(super) struct Seconds(pub(super) u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A label value, escaped.
struct Label<'a>(&'a str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(Label("a\"b\\c\nd").to_string(), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn samples_stand_below_their_help_and_type() {
        let mut text = Text::new();
        text.gauge("one", "first", 1);
        text.counters("two_total", "second").add(&[("a", "x"), ("b", "\"")], Seconds(1_005));
        text.each(&[("p", 0), ("q", 2)], |(name, _)| [("name", name)]).counter("three_total", "third", |(_, count)| *count);
        text.counters("four_total", "fourth").by_occurred("why", [("this", 0), ("that", 3)]);
        let expected = "# HELP one first\n# TYPE one gauge\none 1\n\
                        # HELP two_total second\n# TYPE two_total counter\ntwo_total{a=\"x\",b=\"\\\"\"} 1.005\n\
                        # HELP three_total third\n# TYPE three_total counter\n\
                        three_total{name=\"p\"} 0\nthree_total{name=\"q\"} 2\n\
                        # HELP four_total fourth\n# TYPE four_total counter\nfour_total{why=\"that\"} 3\n";
        assert_eq!(text.into_string(), expected);
    }

    #[test]
    fn buckets_are_cumulative() {
        let one = Histogram::default();
        one.observe(700_000);
        one.observe(60_000_000_000);
        let mut text = Text::new();
        text.histogram("h", "help", [&one].into_iter());
        let out = text.into_string();
        assert!(out.contains("h_bucket{le=\"0.0005\"} 0\nh_bucket{le=\"0.001\"} 1\n"), "{out}");
        assert!(out.contains("h_bucket{le=\"30\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 60.000700000\nh_count 2\n"), "{out}");
    }
}
