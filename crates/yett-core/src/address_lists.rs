//! Lists of addresses: written in the configuration or read from a file, and read anew when that changes.

mod ranges;
pub mod steps;

use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;
use std::sync::Arc;

pub use ranges::{MAX_ENTRIES, Ranges};

use crate::ir;
use crate::shared::Shared;
use crate::watched::{self, Content, Watched};

/// Files of lists.
pub type Registry = watched::Registry<Ranges>;

impl Content for Ranges {
    type How = ();
    const READ: &'static str = "address_list_read";
    const FAILED: &'static str = "address_list_failed";
    const MAX_FILE: u64 = 256 << 20;

    fn read(file: BufReader<File>, _length: u64, _how: ()) -> Result<Self, String> {
        Self::read(file)
    }

    fn entries(&self) -> usize {
        self.len()
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }
}

/// One list.
#[derive(Debug)]
pub struct List {
    own: Ranges,
    file: Option<Arc<Watched<Ranges>>>,
    /// Whether a file that was never read is a list with nobody on it.
    empty: bool,
}

impl List {
    /// Reads its file, where no snapshot has it already, and has it watched from then on.
    #[must_use]
    pub fn build(spec: &ir::AddressList, shared: &Arc<Shared>) -> Self {
        let own = Ranges::of(&spec.networks);
        let file = spec.file.as_ref().map(|path| shared.address_lists.file(path, (), shared));
        Self { own, file, empty: spec.unavailable == ir::ListUnavailable::Empty }
    }

    /// Whether an address is on it; nothing where that is not known, since its file was never read.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> Option<bool> {
        if self.own.has(address) {
            return Some(true);
        }
        let Some(file) = &self.file else { return Some(false) };
        file.ask(|ranges| match ranges {
            Some(ranges) => Some(ranges.has(address)),
            None => self.empty.then_some(false),
        })
    }
}
