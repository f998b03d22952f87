//! Adaptive load shedding: a worker that falls behind refuses the least important requests at once, so that the others
//! are answered in time.
//!
//! Each worker watches how long it takes to come to the end of what is ready. A short burst is no overload: what counts
//! is the least delay of a window, as in CoDel (RFC 8289). Beyond the configured delay one more priority is refused,
//! below half of it one less.

use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::ir::Priority;
use crate::server::clock::monotonic_ns;
use crate::server::worker::Worker;

/// How often the delay is looked at.
const TICK: Duration = Duration::from_millis(10);
/// How often what is refused may change.
const WINDOW_NS: u64 = 100_000_000;
/// How often a worker that sheds nothing asks whether it should by now.
const ASLEEP: Duration = Duration::from_secs(1);

/// Requests below this priority are refused; none below the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Level(u8);

impl Level {
    /// Whether a request of this priority is refused now. Critical ones never are.
    #[must_use]
    pub fn refuses(self, priority: Priority) -> bool {
        priority.rank() < self.0
    }
}

/// Decides for one worker.
#[derive(Debug)]
struct Shedder {
    level: Level,
    /// Least delay of the window, nanoseconds.
    least: u64,
    began: u64,
}

impl Shedder {
    const fn new(now: u64) -> Self {
        Self { level: Level(0), least: u64::MAX, began: now }
    }

    /// Takes one more delay in; the level for the next moment. `target` is the configured delay.
    fn observe(&mut self, delay: u64, target: u64, now: u64) -> Level {
        self.least = self.least.min(delay);
        if now.saturating_sub(self.began) >= WINDOW_NS {
            if self.least > target {
                self.level = Level((self.level.0 + 1).min(Priority::Critical.rank()));
            } else if self.least < target / 2 {
                self.level = Level(self.level.0.saturating_sub(1));
            }
            (self.least, self.began) = (u64::MAX, now);
        }
        self.level
    }
}

/// Watches a worker for as long as it is there. Spawned on it once.
pub async fn watch(worker: Weak<Worker>, index: usize) {
    let mut shedder: Option<Shedder> = None;
    loop {
        let Some(target) = target(&worker) else {
            if let (Some(_), Some(worker)) = (shedder.take(), worker.upgrade()) {
                worker.state.borrow_mut().shed = Level::default();
            }
            if worker.strong_count() == 0 {
                return;
            }
            tokio::time::sleep(ASLEEP).await;
            continue;
        };
        tokio::time::sleep(TICK).await;
        // Behind everything that is ready now.
        let queued = monotonic_ns();
        tokio::task::yield_now().await;
        let now = monotonic_ns();
        let delay = now.saturating_sub(queued);
        let Some(worker) = worker.upgrade() else { return };
        let before = worker.state.borrow().shed;
        let level = shedder.get_or_insert_with(|| Shedder::new(now)).observe(delay, target, now);
        if level != before {
            worker.state.borrow_mut().shed = level;
            tell(&worker, index, before, level);
        }
    }
}

/// The configured delay, nanoseconds.
fn target(worker: &Weak<Worker>) -> Option<u64> {
    let worker = worker.upgrade()?;
    let view: Rc<_> = worker.view();
    view.snapshot.ir.process.load_shedding_ms.map(|ms| ms.saturating_mul(1_000_000))
}

/// Only beginnings and ends: the steps between them change often.
fn tell(worker: &Worker, index: usize, before: Level, level: Level) {
    let index = index.to_string();
    let none = Level::default();
    if before == none {
        worker.shared.events.push("warning", "load_shedding_began", &[("worker", &index)]);
    } else if level == none {
        worker.shared.events.push("info", "load_shedding_ended", &[("worker", &index)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: u64 = 50_000_000;

    fn after(shedder: &mut Shedder, from: u64, delays: impl IntoIterator<Item = u64>) -> (Level, u64) {
        let mut now = from;
        let mut level = shedder.level;
        for delay in delays {
            now += 10_000_000 + delay;
            level = shedder.observe(delay, TARGET, now);
        }
        (level, now)
    }

    #[test]
    fn a_standing_delay_sheds_more_and_more_but_never_what_is_critical() {
        let mut shedder = Shedder::new(0);
        let (level, now) = after(&mut shedder, 0, [60_000_000; 2]);
        assert_eq!(level, Level(1));
        assert!(level.refuses(Priority::Low) && !level.refuses(Priority::Normal));
        let (level, _) = after(&mut shedder, now, [60_000_000; 100]);
        assert_eq!(level, Level(3));
        assert!(level.refuses(Priority::High) && !level.refuses(Priority::Critical));
    }

    #[test]
    fn a_burst_is_no_overload() {
        let mut shedder = Shedder::new(0);
        let (level, _) = after(&mut shedder, 0, [90_000_000, 1_000_000].into_iter().cycle().take(100));
        assert_eq!(level, Level(0));
    }

    #[test]
    fn it_ends_step_by_step_and_stays_in_between() {
        let mut shedder = Shedder { level: Level(3), ..Shedder::new(0) };
        let (level, now) = after(&mut shedder, 0, [40_000_000; 50]);
        assert_eq!(level, Level(3), "between half of the delay and the delay");
        let (level, now) = after(&mut shedder, now, [0; 10]);
        assert_eq!(level, Level(2));
        let (level, _) = after(&mut shedder, now, [0; 30]);
        assert_eq!(level, Level(0));
    }
}
