//! Things that Python logs: a bounded queue of JSON lines.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Events kept for Python; beyond it the oldest go and are counted.
const CAPACITY: usize = 1024;

/// A bounded queue; the oldest are dropped and counted when Python does not read.
#[derive(Debug, Default)]
pub struct Events {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<String>,
    dropped: u64,
}

impl Events {
    /// Adds one. `level` is `info`, `warning` or `error`; fields never hold a secret.
    pub fn push(&self, level: &'static str, event: &'static str, fields: &[(&'static str, &str)]) {
        let line = render(level, event, fields);
        let mut queue = self.lock();
        if queue.lines.len() >= CAPACITY {
            queue.lines.pop_front();
            queue.dropped += 1;
        }
        queue.lines.push_back(line);
        drop(queue);
        self.arrived.notify_one();
    }

    /// Takes all, waiting at most `timeout` for the first. A gap shows as an `events_dropped` line in front.
    #[must_use]
    pub fn take(&self, timeout: Duration) -> Vec<String> {
        let queue = self.lock();
        let (mut queue, _) = self
            .arrived
            .wait_timeout_while(queue, timeout, |queue| queue.lines.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let mut lines = Vec::with_capacity(queue.lines.len() + 1);
        if queue.dropped > 0 {
            lines.push(render("warning", "events_dropped", &[("count", &queue.dropped.to_string())]));
            queue.dropped = 0;
        }
        lines.extend(queue.lines.drain(..));
        lines
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn render(level: &str, event: &str, fields: &[(&'static str, &str)]) -> String {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(0));
    let mut object = serde_json::Map::new();
    for (name, value) in fields {
        object.insert((*name).to_owned(), (*value).into());
    }
    object.insert("time_ms".to_owned(), millis.into());
    object.insert("level".to_owned(), level.into());
    object.insert("event".to_owned(), event.into());
    serde_json::Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_and_are_counted() {
        let events = Events::default();
        for _ in 0..CAPACITY + 3 {
            events.push("info", "tick", &[("text", "a \"quoted\"\nline")]);
        }
        let lines = events.take(Duration::ZERO);
        assert_eq!(lines.len(), CAPACITY + 1);
        assert!(lines[0].contains("events_dropped") && lines[0].contains("\"3\""));
        assert!(lines.iter().all(|line| !line.contains('\n')));
        assert!(events.take(Duration::from_millis(1)).is_empty());
    }
}
