//! Whose turn it is to be asked about: networks take turns, and none has more than a few. What a network is, and how many it has, is said here.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Addresses that are asked about at once.
const AT_ONCE: usize = 64;
/// Of these, places that only addresses get which were a crawler's before.
const KEPT: usize = 8;
/// Addresses that wait.
const WAITING: usize = 512;
/// Addresses of one network that are asked about or wait, and those that are asked about at once: whoever has a network also says how long its
/// names take to be looked up. Those that were a crawler's before do not count while they wait.
pub(super) const OF_NETWORK: usize = 16;
const AT_ONCE_OF_NETWORK: usize = 4;

/// The first 24 bits of an IPv4 address, or 32 of an IPv6 address: about what one operator has.
pub(super) type Network = [u8; 5];

pub(super) fn network(address: IpAddr) -> Network {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            [4, a, b, c, 0]
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.octets();
            [6, a, b, c, d]
        }
    }
}

type Go = oneshot::Sender<()>;

#[derive(Default)]
struct Of {
    running: usize,
    waits: VecDeque<Go>,
}

#[derive(Default)]
struct State {
    running: usize,
    networks: HashMap<Network, Of>,
    /// Networks with somebody who waits, each once.
    turns: VecDeque<Network>,
    /// Those who were a crawler's before.
    first: VecDeque<(Network, Go)>,
}

/// All who are asked about, and all who wait for it.
#[derive(Default)]
pub(super) struct Turns(Mutex<State>);

/// One who waits, or is asked about; his place is free when it goes.
pub(super) struct Turn {
    turns: Arc<Turns>,
    network: Network,
    go: oneshot::Receiver<()>,
    granted: bool,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are asked about, or wait for it.
    pub(super) fn count(&self) -> usize {
        let state = self.lock();
        state.running.saturating_add(state.waiting())
    }

    /// A place in the row of his network, or before all rows; nothing where too many wait. Where all places are taken, the network with most
    /// who wait loses its last one to a network with fewer.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, was_genuine: bool) -> Option<Turn> {
        let (network, (sender, go)) = (network(address), oneshot::channel());
        let mut state = self.lock();
        if was_genuine && state.first.len() < WAITING {
            state.first.push_back((network, sender));
        } else {
            let (running, own) = state.networks.get(&network).map_or((0, 0), |of| (of.running, of.waits.len()));
            if running.saturating_add(own) >= OF_NETWORK || (state.waiting() >= WAITING && !state.gives_way(own)) {
                return None;
            }
            let of = state.networks.entry(network).or_default();
            of.waits.push_back(sender);
            if of.waits.len() == 1 {
                state.turns.push_back(network);
            }
        }
        state.go();
        drop(state);
        Some(Turn { turns: Arc::clone(self), network, go, granted: false })
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.networks.values().map(|of| of.waits.len()).sum::<usize>().saturating_add(self.first.len())
    }

    fn gives_way(&mut self, own: usize) -> bool {
        let longest = self.networks.values_mut().max_by_key(|of| of.waits.len());
        let longest = longest.filter(|of| of.waits.len() > own.saturating_add(1));
        longest.is_some_and(|of| of.waits.pop_back().is_some())
    }

    /// Everybody whose turn it is and for whom there is a place.
    fn go(&mut self) {
        while self.running < AT_ONCE {
            let Some((network, sender)) = self.first.pop_front() else { break };
            self.start(network, sender);
        }
        let mut passed = 0;
        while self.running < AT_ONCE.saturating_sub(KEPT) && passed < self.turns.len() {
            let Some(network) = self.turns.pop_front() else { return };
            let Some(of) = self.networks.get_mut(&network) else { continue };
            let next = if of.running < AT_ONCE_OF_NETWORK { of.waits.pop_front() } else { None };
            // Back to the end of the row, also where all its places are taken.
            if !of.waits.is_empty() {
                self.turns.push_back(network);
            }
            match next {
                Some(sender) => {
                    passed = 0;
                    self.start(network, sender);
                }
                None => passed = passed.saturating_add(1),
            }
        }
    }

    /// Whoever has gone meanwhile takes no place.
    fn start(&mut self, network: Network, sender: Go) {
        if sender.send(()).is_ok() {
            self.running = self.running.saturating_add(1);
            let of = self.networks.entry(network).or_default();
            of.running = of.running.saturating_add(1);
        } else {
            self.forget(network);
        }
    }

    /// Takes away who waits no longer, and what is of no use.
    fn forget(&mut self, network: Network) {
        self.first.retain(|(_, sender)| !sender.is_closed());
        let Entry::Occupied(mut of) = self.networks.entry(network) else { return };
        of.get_mut().waits.retain(|sender| !sender.is_closed());
        if of.get().waits.is_empty() {
            if of.get().running == 0 {
                of.remove();
            }
            self.turns.retain(|one| *one != network);
        }
    }
}

impl Turn {
    /// Waits for it; `false` where another network's took the place.
    pub(super) async fn come(&mut self) -> bool {
        self.granted = (&mut self.go).await.is_ok();
        self.granted
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.go.close();
        let granted = self.granted || self.go.try_recv().is_ok();
        let mut state = self.turns.lock();
        if granted {
            state.running = state.running.saturating_sub(1);
            if let Some(of) = state.networks.get_mut(&self.network) {
                of.running = of.running.saturating_sub(1);
            }
        }
        state.forget(self.network);
        state.go();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(turns: &Arc<Turns>, text: &str) -> Option<Turn> {
        turns.enter(text.parse().unwrap(), false)
    }

    fn runs(turn: &mut Turn) -> bool {
        turn.granted = turn.granted || turn.go.try_recv().is_ok();
        turn.granted
    }

    #[test]
    fn networks_take_turns() {
        let turns = Arc::new(Turns::default());
        let mut one: Vec<Turn> = (0..20).filter_map(|n| enter(&turns, &format!("2001:db8:{n}::1"))).collect();
        assert_eq!(one.len(), OF_NETWORK, "and no more of one network, whichever of its parts they are of");
        assert_eq!(
            one.iter_mut().filter_map(|turn| runs(turn).then_some(())).count(),
            AT_ONCE_OF_NETWORK,
            "few of one network at once"
        );
        let mut other = enter(&turns, "192.0.2.1").unwrap();
        assert!(runs(&mut other), "and others do not wait for it");
        one.remove(0);
        assert!(runs(&mut one[AT_ONCE_OF_NETWORK - 1]) && !runs(&mut one[AT_ONCE_OF_NETWORK]), "who comes first goes first");
        drop((one, other));
        assert_eq!(turns.count(), 0);
        let state = turns.lock();
        assert!(state.networks.is_empty() && state.turns.is_empty() && state.first.is_empty(), "nothing stays");
    }

    #[test]
    fn many_networks_leave_places_for_who_was_genuine_and_for_who_is_new() {
        let turns = Arc::new(Turns::default());
        let mut held: Vec<Turn> = Vec::new();
        for network in 0..200 {
            held.extend((0..9).filter_map(|n| enter(&turns, &format!("198.51.{network}.{n}"))));
        }
        let running = held.iter_mut().filter_map(|turn| runs(turn).then_some(())).count();
        assert_eq!(running, AT_ONCE - KEPT);
        assert!(turns.lock().waiting() <= WAITING);
        let mut known = turns.enter("192.0.2.1".parse().unwrap(), true).unwrap();
        assert!(runs(&mut known), "who was a crawler's before goes first");
        let mut new = enter(&turns, "203.0.113.1").unwrap();
        assert!(!runs(&mut new) && turns.lock().waiting() <= WAITING, "a place of the longest row");
        // each that goes makes room for one of another network, until it is the new one's turn
        let mut gone = 0;
        while !runs(&mut new) {
            let at = held.iter_mut().position(runs).unwrap();
            held.remove(at);
            gone += 1;
        }
        assert!(gone <= 200, "one turn of each network at most: {gone}");
        drop((held, known, new));
        assert_eq!(turns.count(), 0);
    }

    #[tokio::test]
    async fn who_gives_way_is_told() {
        let turns = Arc::new(Turns::default());
        let mut held: Vec<Turn> = Vec::new();
        for network in 0..60 {
            held.extend((0..OF_NETWORK).filter_map(|n| enter(&turns, &format!("198.51.{network}.{n}"))));
        }
        assert!(turns.lock().waiting() <= WAITING);
        let before = held.len();
        let _new = enter(&turns, "203.0.113.1").unwrap();
        let told =
            held.iter_mut().map(|turn| turn.go.try_recv()).filter(|told| *told == Err(oneshot::error::TryRecvError::Closed));
        assert!(before > WAITING && told.count() >= 1);
    }
}
