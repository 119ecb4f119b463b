//! Writes each event as one line, for people or as JSON, into the queue of the log's writer. It
//! never waits.

use std::fmt::Write;

use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

use super::{
    LogFormat,
    fields::{EventFields, SiteNames},
    log_queue::LogQueue,
};
use crate::clock::{Clock, SystemClock, format_time};

/// The lines of the log.
pub(super) struct LogLines {
    pub(super) format: LogFormat,
    /// Whether levels are coloured: on a terminal.
    pub(super) coloured: bool,
    pub(super) names: SiteNames,
    pub(super) queue: LogQueue,
}

impl<S: Subscriber> Layer<S> for LogLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let fields = EventFields::of(event, &self.names);
        let time = format_time(SystemClock.wall_micros());
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let mut line = match self.format {
            LogFormat::Readable => self.readable(&time, level, fields),
            LogFormat::Json => self.json(time, level, target, fields),
        };
        line.push('\n');
        self.queue.push(line.as_bytes());
    }
}

impl LogLines {
    /// `TIME LEVEL SITE: MESSAGE NAME=VALUE …`
    fn readable(&self, time: &str, level: Level, fields: EventFields<'_>) -> String {
        let mut line = format!("{time} ");
        let colour = match level {
            Level::ERROR => 31,
            Level::WARN => 33,
            Level::INFO => 32,
            _ => 34,
        };
        let level = level.as_str();
        // A line that can't be written into a text doesn't exist.
        let _ = match self.coloured {
            true => write!(line, "\x1b[{colour}m{level:>5}\x1b[0m "),
            false => write!(line, "{level:>5} "),
        };
        let _ = write!(line, "{}: ", self.names.own());
        push_printable(&mut line, &fields.message);
        for (name, value) in fields.others {
            let _ = write!(line, " {name}=");
            match value {
                Value::String(text) if needs_quotes(&text) => {
                    let _ = write!(line, "{text:?}");
                }
                Value::String(text) => line.push_str(&text),
                other => {
                    let _ = write!(line, "{other}");
                }
            }
        }
        line
    }

    fn json(&self, time: String, level: Level, target: &str, fields: EventFields<'_>) -> String {
        let mut all = Map::new();
        all.insert("timestamp".into(), time.into());
        all.insert("level".into(), level.as_str().into());
        all.insert("site".into(), self.names.own().into());
        all.insert("message".into(), fields.message.into());
        for (name, value) in fields.others {
            all.entry(name).or_insert(value);
        }
        all.insert("target".into(), target.into());
        Value::Object(all).to_string()
    }
}

/// Whether a value would end early, or change what a terminal shows.
fn needs_quotes(text: &str) -> bool {
    text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '"')
}

fn push_printable(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::{config::Member, telemetry::alarms::Alarms};

    fn members() -> Vec<Member> {
        let address = || "127.0.0.1:1".parse().expect("an address");
        let member = |node, site: &str| Member {
            node,
            site: site.to_owned(),
            peer: address(),
            client: address(),
        };
        vec![member(1, "pangyo"), member(3, "busan")]
    }

    /// The lines of some events.
    fn lines(format: LogFormat, log: impl FnOnce()) -> String {
        let (mut reader, writer): (PipeReader, _) = std::io::pipe().expect("a pipe");
        let queue = LogQueue::start(Box::new(writer), Alarms::default()).expect("a thread");
        let names = SiteNames::new("pangyo", &members());
        let layer = LogLines { format, coloured: false, names, queue: queue.clone() };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        assert!(queue.flush(std::time::Duration::from_secs(5)), "written");
        let mut bytes = [0; 4_096];
        let read = reader.read(&mut bytes).expect("readable");
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    #[test]
    fn a_readable_line_names_its_own_site_and_the_others_by_name() {
        let line = lines(LogFormat::Readable, || {
            tracing::warn!(peer = 3_u64, error = %"timed out", bytes = 7, "lost a peer\n");
        });
        let (_, line) = line.split_once(' ').expect("a time");
        assert_eq!(line, " WARN pangyo: lost a peer\\n peer=busan error=\"timed out\" bytes=7\n");
    }

    #[test]
    fn a_line_of_json_names_its_own_site_and_the_others_by_name() {
        let line = lines(LogFormat::Json, || {
            tracing::info!(peer = 4_u64, "found");
        });
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&line["site"], &line["peer"]), (&"pangyo".into(), &"node 4".into()));
        assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"found".into()));
    }
}
