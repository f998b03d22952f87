//! Who may come in by place: countries, autonomous systems, hosting providers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::address_lists::List;
use crate::exchange::{Exchange, Refusal};
use crate::filters::authorize::sets::Callers;
use crate::geo::{Code, Fact, Located, is_private};
use crate::ir;
use crate::principal::Principal;
use crate::reason::Reason;

/// Those that may, or those that may not, sorted.
#[derive(Debug)]
struct Choice<T> {
    allow: bool,
    items: Box<[T]>,
    rule: Arc<str>,
}

impl<T: Ord> Choice<T> {
    fn build(spec: &ir::Choice<T>, rule: String) -> Result<Self, String>
    where
        T: Clone,
    {
        let (allow, items) = match spec {
            ir::Choice::Allow(items) => (true, items),
            ir::Choice::Deny(items) => (false, items),
        };
        if items.is_empty() {
            return Err(format!("{rule}: it names none"));
        }
        let mut items = items.clone();
        items.sort_unstable();
        Ok(Self { allow, items: items.into(), rule: rule.into() })
    }

    fn lets_in(&self, item: &T) -> bool {
        self.items.binary_search(item).is_ok() == self.allow
    }
}

/// Compiled `geo_filter`.
#[derive(Debug)]
pub struct GeoFilter {
    countries: Option<Choice<Code>>,
    asns: Option<Choice<u32>>,
    /// What is said of a hosting provider, where they are kept out.
    hosting: Option<Arc<str>>,
    /// Whether somebody of whom something is not known may come in.
    unknown: bool,
    /// What is said of an address of no public network, where those are kept out.
    private: Option<Arc<str>>,
    lists: Vec<Arc<List>>,
    callers: Option<Callers>,
}

impl GeoFilter {
    /// Finds its lists.
    ///
    /// # Errors
    /// What it asks for without having it; a code that is none.
    pub fn build(spec: &ir::GeoFilter, geo: Option<&ir::Geo>, lists: &BTreeMap<String, Arc<List>>) -> Result<Self, String> {
        let geo = geo.ok_or("`geo_filter` needs a database of `geo`")?;
        if spec.countries.is_none() && spec.asns.is_none() && !spec.hosting {
            return Err("`geo_filter` keeps nobody out".to_owned());
        }
        let rented = geo.anonymous.is_some() || (geo.asn.is_some() && !geo.hosting_asns.is_empty());
        for (asked, there, what) in [
            (spec.countries.is_some(), geo.country.is_some(), "countries"),
            (spec.asns.is_some(), geo.asn.is_some(), "autonomous systems"),
            (spec.hosting, rented, "hosting providers"),
        ] {
            if asked && !there {
                return Err(format!("no database of `geo` knows {what}"));
            }
        }
        let find = |name: &String| lists.get(name).map(Arc::clone).ok_or_else(|| format!("there is no address list `{name}`"));
        let rule = |what: &str| format!("{}: {what}", spec.source);
        let said = |there: bool, what: &str| there.then(|| Arc::from(rule(what)));
        let code = |text: &String| Code::parse(text).ok_or_else(|| format!("`{text}` is no code of a country"));
        let countries = match &spec.countries {
            Some(ir::Choice::Allow(all)) => Some(ir::Choice::Allow(all.iter().map(code).collect::<Result<_, _>>()?)),
            Some(ir::Choice::Deny(all)) => Some(ir::Choice::Deny(all.iter().map(code).collect::<Result<_, _>>()?)),
            None => None,
        };
        Ok(Self {
            countries: countries.as_ref().map(|choice| Choice::build(choice, rule("countries"))).transpose()?,
            asns: spec.asns.as_ref().map(|choice| Choice::build(choice, rule("asns"))).transpose()?,
            hosting: said(spec.hosting, "hosting"),
            unknown: spec.unknown,
            private: said(!spec.private, "private"),
            lists: spec.except_addresses.iter().map(find).collect::<Result<_, _>>()?,
            callers: spec.except_callers.as_ref().map(Callers::build).transpose()?,
        })
    }

    /// Whether somebody from there may come in, whoever it is.
    ///
    /// # Errors
    /// `geo_filtered`, `geo_unknown` or `geo_unavailable`, with the part that refused.
    pub fn check(&self, address: IpAddr, located: &Located) -> Result<(), Refusal> {
        // A list that is not known excepts nobody.
        if self.lists.iter().any(|list| list.has(address) == Some(true)) {
            return Ok(());
        }
        if is_private(address) {
            return self.private.as_ref().map_or(Ok(()), |rule| Err(refused(Reason::GeoUnknown, rule)));
        }
        if let Some(countries) = &self.countries {
            self.fact(located.country, &countries.rule, |code| countries.lets_in(&code))?;
        }
        if let Some(asns) = &self.asns {
            self.fact(located.asn, &asns.rule, |asn| asns.lets_in(&asn))?;
        }
        if let Some(rule) = &self.hosting {
            self.fact(located.hosting, rule, |rented| !rented)?;
        }
        Ok(())
    }

    fn fact<T: Copy>(&self, fact: Fact<T>, rule: &Arc<str>, lets_in: impl FnOnce(T) -> bool) -> Result<(), Refusal> {
        let reason = match fact {
            Fact::Known(value) if lets_in(value) => return Ok(()),
            Fact::Known(_) => Reason::GeoFiltered,
            Fact::Unknown if self.unknown => return Ok(()),
            Fact::Unknown => Reason::GeoUnknown,
            Fact::Unavailable => Reason::GeoUnavailable,
        };
        Err(refused(reason, rule))
    }

    /// Whether there are callers whom it does not concern: then it decides once the caller is known.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.callers.is_some()
    }

    /// Whether it does not concern this caller.
    #[must_use]
    pub fn excepts(&self, principal: &Principal) -> bool {
        self.callers.as_ref().is_some_and(|callers| callers.allow(principal))
    }
}

/// The filters of one place, before anything is known of the caller. One that excepts callers waits for them.
///
/// # Errors
/// As [`GeoFilter::check`].
pub fn admit(filters: &[GeoFilter], exchange: &mut Exchange) -> Result<(), Refusal> {
    let Some(located) = exchange.geo else {
        return if filters.is_empty() { Ok(()) } else { Err(Reason::Internal.into()) };
    };
    for filter in filters {
        match filter.check(exchange.client, &located) {
            Ok(()) => {}
            Err(_) if filter.waits() => exchange.geo_waits = true,
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(())
}

/// Those of them that waited for the caller.
///
/// # Errors
/// As [`GeoFilter::check`], where the caller is none that is excepted.
pub fn confirm(filters: &[GeoFilter], exchange: &Exchange) -> Result<(), Refusal> {
    let Some(located) = exchange.geo.as_ref().filter(|_| exchange.geo_waits) else { return Ok(()) };
    let waiting = filters.iter().filter(|filter| filter.waits());
    for filter in waiting {
        let excepted = exchange.principal.as_deref().is_some_and(|principal| filter.excepts(principal));
        if !excepted {
            filter.check(exchange.client, located)?;
        }
    }
    Ok(())
}

fn refused(reason: Reason, rule: &Arc<str>) -> Refusal {
    Refusal { rule: Some(Arc::clone(rule)), ..reason.into() }
}
