//! A strict reader of Prometheus' text format 0.0.4: it rejects everything that a scraper may
//! reject.

use std::collections::BTreeMap;

/// A scrape.
pub(crate) struct Exposition {
    pub(crate) families: Vec<Family>,
}

/// A family: its help, its type, its samples in order.
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

/// One sample line.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Sample {
    /// The series in PromQL's form, labels sorted.
    pub(crate) fn series(&self) -> String {
        let labels: Vec<String> =
            self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        if labels.is_empty() {
            self.name.clone()
        } else {
            format!("{}{{{}}}", self.name, labels.join(","))
        }
    }
}

impl Family {
    /// Whether a sample of this name belongs to the family.
    fn owns(&self, sample: &str) -> bool {
        let suffix = sample.strip_prefix(self.name.as_str());
        match self.kind.as_str() {
            "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
            _ => suffix == Some(""),
        }
    }
}

impl Exposition {
    /// Every family is a HELP line, a TYPE line and its samples.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut families: Vec<Family> = Vec::new();
        if !text.ends_with('\n') {
            return Err("the last line has no end".into());
        }
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) =
                    help.split_once(' ').ok_or_else(|| format!("no help: {line}"))?;
                let (name, help) = (name.to_owned(), help.to_owned());
                families.push(Family { name, help, kind: String::new(), samples: Vec::new() });
                continue;
            }
            let family = families.last_mut().ok_or_else(|| format!("before any HELP: {line}"))?;
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let expected = format!("{} ", family.name);
                let kind = kind.strip_prefix(&expected).ok_or_else(|| format!("TYPE: {line}"))?;
                if !family.kind.is_empty() {
                    return Err(format!("a second TYPE: {line}"));
                }
                family.kind = kind.to_owned();
                continue;
            }
            let sample = sample(line)?;
            if !family.owns(&sample.name) {
                return Err(format!("not of {}: {line}", family.name));
            }
            family.samples.push(sample);
        }
        Ok(Self { families })
    }

    pub(crate) fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|family| &family.samples)
    }

    /// The value of a series; its labels are written sorted.
    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.samples().find(|sample| sample.series() == series).map(|sample| sample.value)
    }
}

fn sample(line: &str) -> Result<Sample, String> {
    let wrong = || format!("no sample: {line}");
    let (series, value) = line.rsplit_once(' ').ok_or_else(wrong)?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        value => value.parse().map_err(|_| wrong())?,
    };
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').ok_or_else(wrong)?),
        None => (series, ""),
    };
    let mut read = BTreeMap::new();
    // No label value of the node has a comma, a quote or a backslash; such a value would be
    // rejected here.
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (label, value) = label.split_once('=').ok_or_else(wrong)?;
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).ok_or_else(wrong)?;
        if value.contains(['"', '\\']) || read.insert(label.to_owned(), value.to_owned()).is_some()
        {
            return Err(wrong());
        }
    }
    Ok(Sample { name: name.to_owned(), labels: read, value })
}
