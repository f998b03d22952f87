//! Which parts of a connection have something to do, so that one task serves all of its streams.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The parts of one connection that were woken.
#[derive(Debug, Default)]
pub struct Woken(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    parts: Vec<usize>,
    task: Option<Waker>,
    /// The task is being polled and will look at `parts` before it rests.
    polling: bool,
}

impl Woken {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task is polled: from now on nothing has to wake it.
    pub fn begin(&self, task: &Waker) {
        let mut state = self.lock();
        state.polling = true;
        if !state.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            state.task = Some(task.clone());
        }
    }

    /// Swaps what was woken with the empty `parts`; says false when there is nothing.
    pub fn take(&self, parts: &mut Vec<usize>) -> bool {
        std::mem::swap(&mut self.lock().parts, parts);
        !parts.is_empty()
    }

    /// The task rests, unless something was woken meanwhile.
    pub fn rest(&self) -> bool {
        let mut state = self.lock();
        state.polling = !state.parts.is_empty();
        !state.polling
    }

    /// The task gives way to others although something may be woken: it is polled again.
    pub fn give_way(&self) {
        let task = {
            let mut state = self.lock();
            state.polling = false;
            state.task.clone()
        };
        if let Some(task) = task {
            task.wake();
        }
    }

    fn wake(&self, part: usize) {
        let task = {
            let mut state = self.lock();
            state.parts.push(part);
            if state.polling { None } else { state.task.clone() }
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Wakes one part. Asked for in vain while it is waiting for its turn anyway.
#[derive(Debug)]
pub struct Part {
    woken: Arc<Woken>,
    index: usize,
    waiting: AtomicBool,
}

impl Part {
    /// The part `index` of a connection.
    #[must_use]
    pub fn new(woken: &Arc<Woken>, index: usize) -> Arc<Self> {
        Arc::new(Self { woken: Arc::clone(woken), index, waiting: AtomicBool::new(false) })
    }

    /// Its turn has come: what wakes it from now on counts again.
    pub fn begin(&self) {
        self.waiting.store(false, Ordering::Release);
    }
}

impl Wake for Part {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.waiting.swap(true, Ordering::AcqRel) {
            self.woken.wake(self.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::{Part, Woken};

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn wakes_the_task_once_and_never_while_it_is_polled() {
        let (woken, task) = (Arc::new(Woken::default()), Arc::new(Task::default()));
        let part = Part::new(&woken, 3);
        let (waker, task_waker) = (Waker::from(Arc::clone(&part)), Waker::from(Arc::clone(&task)));
        let mut parts = Vec::new();
        woken.begin(&task_waker);
        waker.wake_by_ref();
        assert!(!woken.rest(), "woken while it was polled");
        assert!(woken.take(&mut parts) && parts == [3]);
        part.begin();
        parts.clear();
        assert!(woken.rest());
        assert_eq!(task.0.load(Ordering::Relaxed), 0);
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
    }
}
