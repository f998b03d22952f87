//! Who may come in by address: lists of those who may, and of those who may not.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::address_lists::List;
use crate::exchange::Refusal;
use crate::ir;
use crate::reason::Reason;

/// A list, and what is said where it decides.
type Named = (Arc<str>, Arc<List>);

/// Compiled `address_filter`.
#[derive(Debug)]
pub struct AddressFilter {
    allow: Vec<Named>,
    deny: Vec<Named>,
    /// What is said where no list allows.
    nobody: Arc<str>,
}

impl AddressFilter {
    /// Finds its lists.
    ///
    /// # Errors
    /// A list that is not there; a filter without any.
    pub fn build(spec: &ir::AddressFilter, lists: &BTreeMap<String, Arc<List>>) -> Result<Self, String> {
        if spec.allow.is_empty() && spec.deny.is_empty() {
            return Err("`address_filter` names no list".to_owned());
        }
        let find = |kind: &str, names: &[String]| {
            let one = |name: &String| {
                let list = lists.get(name).ok_or_else(|| format!("there is no address list `{name}`"))?;
                Ok((Arc::from(format!("{}: {kind} {name}", spec.source)), Arc::clone(list)))
            };
            names.iter().map(one).collect::<Result<Vec<Named>, String>>()
        };
        let nobody = format!("{}: allow {}", spec.source, spec.allow.join(", "));
        Ok(Self { allow: find("allow", &spec.allow)?, deny: find("deny", &spec.deny)?, nobody: nobody.into() })
    }

    /// Whether an address may come in: no list denies it, and one allows it where there are such.
    ///
    /// # Errors
    /// `address_filtered`, with the list; `address_list_unavailable` where that is not known.
    pub fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        for (rule, list) in &self.deny {
            match list.has(address) {
                Some(false) => {}
                Some(true) => return Err(refused(Reason::AddressFiltered, rule)),
                None => return Err(refused(Reason::AddressListUnavailable, rule)),
            }
        }
        let mut unknown = None;
        for (rule, list) in &self.allow {
            match list.has(address) {
                Some(true) => return Ok(()),
                Some(false) => {}
                None => unknown = Some(rule),
            }
        }
        match unknown {
            Some(rule) => Err(refused(Reason::AddressListUnavailable, rule)),
            None if self.allow.is_empty() => Ok(()),
            None => Err(refused(Reason::AddressFiltered, &self.nobody)),
        }
    }
}

fn refused(reason: Reason, rule: &Arc<str>) -> Refusal {
    Refusal { rule: Some(Arc::clone(rule)), ..reason.into() }
}
