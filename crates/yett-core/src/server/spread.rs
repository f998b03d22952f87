//! Spreading a listener's connections over the workers.
//!
//! The kernel picks a worker by a hash, so a few long connections may all sit on one. A worker that holds clearly more
//! than the one with the fewest hands a connection that it has just accepted to that one, before anything is read of
//! it. While they are about even this costs a look at one number a worker.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Connections that a worker may hold more than another before it hands one over; beyond 24 of them an eighth of its own.
const SLACK: usize = 3;
/// The part of its own that a worker may hold more.
const SLACK_PART: usize = 8;
/// Handed over and not taken yet, for each worker and listener; beyond it they stay where they were accepted.
const MAILBOX: usize = 64;

/// The open connections of one listener, by worker.
#[derive(Debug)]
pub struct Spread {
    open: AtomicUsize,
    seats: Box<[Seat]>,
}

/// A cache line of its own, so that workers do not slow each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Seat {
    open: AtomicUsize,
    mailbox: Mutex<Option<Sender<Moved>>>,
}

/// A connection on its way to another worker.
#[derive(Debug)]
pub struct Moved {
    /// Accepted, and nothing read.
    pub stream: TcpStream,
    /// Counts it where it goes.
    pub ticket: Ticket,
}

/// Counts one open connection while it lives.
#[derive(Debug)]
pub struct Ticket {
    spread: Arc<Spread>,
    worker: usize,
    /// Open connections of the listener before this one.
    pub before: usize,
}

impl Spread {
    /// Of a listener that so many workers serve.
    #[must_use]
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), seats: (0..workers.max(1)).map(|_| Seat::default()).collect() })
    }

    /// Workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.seats.len()
    }

    /// Open connections, over all workers.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Open connections of each worker.
    #[must_use]
    pub fn by_worker(&self) -> Vec<usize> {
        self.seats.iter().map(|seat| seat.open.load(Ordering::Relaxed)).collect()
    }

    /// The worker that should serve what `worker` has accepted.
    #[must_use]
    pub fn place(&self, worker: usize) -> usize {
        let Some(mine) = self.seats.get(worker) else { return worker };
        let here = mine.open.load(Ordering::Relaxed);
        if here < SLACK || self.seats.len() < 2 {
            return worker;
        }
        let counts = self.seats.iter().map(|seat| seat.open.load(Ordering::Relaxed));
        match counts.enumerate().min_by_key(|(_, open)| *open) {
            Some((least, open)) if here >= open + SLACK.max(here / SLACK_PART) => least,
            _ => worker,
        }
    }

    /// Counts one more on that worker.
    #[must_use]
    pub fn ticket(self: &Arc<Self>, worker: usize) -> Ticket {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        if let Some(seat) = self.seats.get(worker) {
            seat.open.fetch_add(1, Ordering::Relaxed);
        }
        Ticket { spread: Arc::clone(self), worker, before }
    }

    /// Where a worker finds what others hand it; replaces the mailbox of its last life.
    #[must_use]
    pub fn mailbox(&self, worker: usize) -> Option<Receiver<Moved>> {
        let seat = self.seats.get(worker).filter(|_| self.seats.len() > 1)?;
        let (sender, receiver) = channel(MAILBOX);
        *seat.mailbox.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        Some(receiver)
    }

    /// Hands a connection to `worker`, or gives it back: it does not listen any more, or has too many waiting.
    pub fn hand_over(self: &Arc<Self>, worker: usize, stream: TcpStream) -> Result<(), TcpStream> {
        let sender = self.seats.get(worker).and_then(|seat| {
            let mailbox = seat.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
            mailbox.clone()
        });
        let Some(sender) = sender else { return Err(stream) };
        let ticket = self.ticket(worker);
        sender.try_send(Moved { stream, ticket }).map_err(|refused| refused.into_inner().stream)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.spread.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(seat) = self.spread.seats.get(self.worker) {
            seat.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn sixteen_accepted_by_one_worker_end_about_even() {
        let spread = Spread::new(2);
        let tickets: Vec<_> = (0..16).map(|_| spread.ticket(spread.place(0))).collect();
        assert_eq!(spread.by_worker(), [9, 7]);
        drop(tickets);
        assert_eq!((spread.open(), spread.by_worker()), (0, vec![0, 0]));
    }

    #[test]
    fn while_they_are_about_even_nothing_moves() {
        let spread = Spread::new(4);
        assert_eq!(spread.place(3), 3);
        let _each: Vec<_> = (0..400).map(|n| spread.ticket(n % 4)).collect();
        let _more: Vec<_> = (0..12).map(|_| spread.ticket(1)).collect();
        assert_eq!(spread.place(1), 1, "112 to 100 is within an eighth");
        assert_eq!(spread.place(0), 0);
    }

    #[test]
    fn a_worker_without_a_mailbox_gets_nothing() {
        let spread = Spread::new(2);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = spread.hand_over(1, connect()).unwrap_err();
        let mut mailbox = spread.mailbox(1).unwrap();
        spread.hand_over(1, stream).unwrap();
        assert_eq!(spread.by_worker(), [0, 1]);
        mailbox.close();
        assert!(spread.hand_over(1, connect()).is_err());
        assert!(mailbox.try_recv().is_ok());
        assert_eq!(spread.open(), 0);
    }
}
