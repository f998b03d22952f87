//! GraphQL requests (GraphQL over HTTP): what a query may ask for, and how much, before the service reads it.

mod lexer;
mod reader;

use std::collections::{HashMap, HashSet};

use jsonschema::json::{Array as _, Node as _, Object as _};

use self::lexer::place;
use self::reader::{Definition, Fault, Kind, Read, Size, Sums};
use super::json::document::{Document, Node};
use super::{Judged, with};
use crate::body::FieldError;
use crate::ir;
use crate::path::decode_query;
use crate::reason::Reason;

/// What GraphQL requests may ask for.
#[derive(Debug)]
pub(super) struct GraphQl {
    spec: ir::GraphQl,
    kinds: Vec<Kind>,
    roots: Option<HashSet<Box<str>>>,
    arguments: Box<[Box<str>]>,
}

/// Names of a request (GraphQL over HTTP, section 5), and those that stand for a document that the service has.
pub(super) const NAMES: [&str; 6] = ["query", "operationName", "variables", "extensions", "id", "documentId"];

/// Where a request is wrong, or something in it.
type Wrong = (Reason, String);

impl GraphQl {
    pub(super) fn build(spec: &ir::GraphQl) -> Result<Self, String> {
        let kind = |kind: &ir::OperationKind| match kind {
            ir::OperationKind::Query => Kind::Query,
            ir::OperationKind::Mutation => Kind::Mutation,
            ir::OperationKind::Subscription => Kind::Subscription,
        };
        if spec.operations.is_empty() || spec.batch == 0 {
            return Err("no request would ever pass; name `operations`, and a `batch` of at least 1".to_owned());
        }
        Ok(Self {
            kinds: spec.operations.iter().map(kind).collect(),
            roots: spec.root_fields.as_ref().map(|names| names.iter().map(|name| name.as_str().into()).collect()),
            arguments: spec.list_arguments.iter().map(|name| name.as_str().into()).collect(),
            spec: spec.clone(),
        })
    }

    /// Judges what a POST carries.
    pub(super) fn body(&self, document: &Document<'_>) -> Judged<()> {
        let root = document.root();
        let mut sums = Sums::default();
        let Some(batch) = root.as_array() else {
            return self.request(root, "", &mut sums, false);
        };
        let most = self.spec.batch as usize;
        if most == 1 {
            return Err(wrong((Reason::GraphqlMalformed, "has to be one request, and no list of them".to_owned()), ""));
        }
        let count = batch.elements().count();
        if count > most {
            return Err(wrong((Reason::GraphqlTooComplex, format!("at most {most} requests may come together")), ""));
        }
        if count == 0 {
            return Err(wrong((Reason::GraphqlMalformed, "there is no request".to_owned()), ""));
        }
        batch.elements().enumerate().try_for_each(|(index, one)| self.request(one, &format!("/{index}"), &mut sums, false))
    }

    /// Judges what a GET says in its query; a value that cannot be decoded is `None`.
    pub(super) fn address(&self, values: impl Fn(&str) -> Vec<Option<String>>, bounds: &ir::JsonBounds) -> Judged<()> {
        let mut given: HashMap<&str, String> = HashMap::new();
        for name in NAMES {
            let mut found = values(name).into_iter();
            match (found.next(), found.next()) {
                (None, _) => {}
                (Some(Some(value)), None) => {
                    given.insert(name, value);
                }
                _ => return Err(parameter(name, "stands more than once, or cannot be read")),
            }
        }
        // The same request as it would be in a body; what is JSON in an address stays as it is.
        let mut text = String::from("{");
        for (name, value) in &given {
            let json = matches!(*name, "variables" | "extensions");
            if json && Document::read(value.as_bytes(), bounds).is_err() {
                return Err(parameter(name, "is no JSON within the bounds"));
            }
            let value = if json { value.clone() } else { serde_json::Value::from(value.as_str()).to_string() };
            let comma = if text.len() > 1 { "," } else { "" };
            text.push_str(&format!("{comma}\"{name}\":{value}"));
        }
        text.push('}');
        let bounds = ir::JsonBounds { depth: bounds.depth.saturating_add(1), ..*bounds };
        let document = Document::read(text.as_bytes(), &bounds).map_err(|_| parameter("query", "is longer than it may be"))?;
        self.request(document.root(), "", &mut Sums::default(), true)
    }

    /// One request; `sums` is what those before it have cost.
    fn request(&self, request: Node<'_>, at: &str, sums: &mut Sums, get: bool) -> Judged<()> {
        let malformed = |what: &str, pointer: &str| wrong((Reason::GraphqlMalformed, what.to_owned()), pointer);
        let Some(object) = request.as_object() else { return Err(malformed("has to be an object", at)) };
        let mut found: HashMap<&str, Node<'_>> = HashMap::new();
        for (name, value) in object.members() {
            if !NAMES.contains(&name) {
                return Err(malformed("is no part of a GraphQL request", &format!("{at}{}", crate::body::step(name))));
            }
            if !value.is_null() {
                found.insert(name, value);
            }
        }
        for (name, value) in &found {
            let fits = match *name {
                "variables" | "extensions" => value.as_object().is_some(),
                _ => value.is_string(),
            };
            if !fits {
                return Err(malformed("is of another type than it has to be", &format!("{at}/{name}")));
            }
        }
        let stored =
            found.contains_key("id") || found.contains_key("documentId") || found.get("extensions").is_some_and(persisted);
        let pointer = format!("{at}/query");
        // Some services take the one that they have, and do not look at the query beside its name.
        let named = found.contains_key("id") || found.contains_key("documentId");
        if stored && found.contains_key("query") && (named || self.spec.persisted == ir::Persisted::Refuse) {
            let detail = "a request brings a document, or names one that the service has".to_owned();
            return Err(wrong((Reason::GraphqlNotAllowed, detail), at));
        }
        let Some(query) = found.get("query").and_then(|query| query.as_string()) else {
            return match (stored, self.spec.persisted) {
                (true, ir::Persisted::Refuse) => Err(wrong(
                    (Reason::GraphqlNotAllowed, "documents that the service has are not asked for here".to_owned()),
                    at,
                )),
                (true, _) => Ok(()),
                (false, _) => Err(malformed("is missing", &pointer)),
            };
        };
        if self.spec.persisted == ir::Persisted::Only {
            return Err(wrong(
                (Reason::GraphqlNotAllowed, "only documents that the service has are asked for here".to_owned()),
                &pointer,
            ));
        }
        let operation = found.get("operationName").and_then(|name| name.as_string());
        let judged = self.document(&query, operation.as_deref(), found.get("variables"), sums, get);
        judged.map_err(|(reason, detail)| if get { of_query(reason, detail) } else { wrong((reason, detail), &pointer) })
    }

    fn document(
        &self,
        text: &str,
        named: Option<&str>,
        variables: Option<&Node<'_>>,
        sums: &mut Sums,
        get: bool,
    ) -> Result<(), Wrong> {
        let at = |at: usize, what: &str| {
            let (line, column) = place(text, at);
            format!("line {line}, column {column}: {what}")
        };
        let unread = |fault: Fault| match fault {
            Fault::Expected(what, place) => (Reason::GraphqlMalformed, at(place, what)),
            Fault::Nesting(place) => (
                Reason::GraphqlTooComplex,
                at(place, &format!("at most {} braces and brackets may be inside of each other", reader::MAX_NESTING)),
            ),
            Fault::Size(place) => (Reason::GraphqlTooComplex, at(place, "the size of a list has to be an integer")),
        };
        let given = |name: &str| size_of(variables, name);
        let mut read = reader::read(text, &self.arguments, &|name| given(name).unwrap_or(Size::Unsaid)).map_err(unread)?;
        if read.defaults.keys().any(|name| given(name).is_none()) {
            let defaults = std::mem::take(&mut read.defaults);
            let size = |name: &str| given(name).or_else(|| defaults.get(name).copied()).unwrap_or(Size::Unsaid);
            read = reader::read(text, &self.arguments, &size).map_err(unread)?;
        }
        self.allowed(&read, named, get).map_err(|(reason, place, what)| (reason, at(place, what)))?;
        let fragments = Fragments::of(&read).map_err(|(place, what)| (Reason::GraphqlMalformed, at(place, what)))?;
        let too_complex = |place: usize, what: String| Err((Reason::GraphqlTooComplex, at(place, &what)));
        if let Some(place) = fragments.unused(&read) {
            return Err((Reason::GraphqlMalformed, at(place, "nothing uses this fragment")));
        }
        let mut looked = HashSet::new();
        for operation in read.definitions.iter().filter(|one| one.kind.is_some()) {
            if let Some(place) = self.unknown_root(operation, &fragments, &mut looked) {
                return Err((Reason::GraphqlNotAllowed, at(place, "this field is not asked for here")));
            }
            let all = fragments.sums(operation);
            if all.depth > u64::from(self.spec.depth) {
                let place = if operation.own.depth == all.depth { operation.deepest } else { operation.at };
                return too_complex(place, format!("fields may be at most {} deep", self.spec.depth));
            }
            sums.cost = sums.cost.saturating_add(all.cost);
            sums.aliases = sums.aliases.saturating_add(all.aliases);
            sums.directives = sums.directives.saturating_add(all.directives);
            for (count, most, what) in [
                (sums.aliases, u64::from(self.spec.aliases), "aliases"),
                (sums.directives, u64::from(self.spec.directives), "directives"),
                (sums.cost, self.spec.cost, "fields, times the sizes of their lists"),
            ] {
                if count > most {
                    return too_complex(operation.at, format!("there may be at most {most} {what}"));
                }
            }
        }
        Ok(())
    }

    /// Whether its operations are of a kind that is taken, one is meant, and none asks for the schema.
    fn allowed(&self, read: &Read<'_>, named: Option<&str>, get: bool) -> Result<(), (Reason, usize, &'static str)> {
        let operations: Vec<&Definition<'_>> = read.definitions.iter().filter(|one| one.kind.is_some()).collect();
        let mut names = HashSet::new();
        if let Some(one) = operations.iter().find(|one| !names.insert(one.name) || (one.name.is_none() && operations.len() > 1)) {
            return Err((Reason::GraphqlMalformed, one.at, "operations beside each other have a name each"));
        }
        let meant = named.map_or(operations.len() == 1, |name| operations.iter().any(|one| one.name == Some(name)));
        for one in operations {
            if !meant {
                return Err((Reason::GraphqlMalformed, one.at, "`operationName` does not say which of the operations is meant"));
            }
            if !one.kind.is_some_and(|kind| self.kinds.contains(&kind)) {
                return Err((Reason::GraphqlNotAllowed, one.at, "operations of this kind are not taken here"));
            }
            if get && one.kind != Some(Kind::Query) {
                return Err((Reason::GraphqlNotAllowed, one.at, "with GET only queries are asked"));
            }
        }
        match read.introspection {
            Some(at) if !self.spec.introspection => Err((Reason::GraphqlNotAllowed, at, "the schema is not asked for here")),
            _ => Ok(()),
        }
    }

    /// The first root field that is not listed, in the operation or the fragments that it stands for. Of `looked`, those that
    /// other operations stand for, all are listed.
    fn unknown_root(
        &self,
        operation: &Definition<'_>,
        fragments: &Fragments<'_, '_>,
        looked: &mut HashSet<usize>,
    ) -> Option<usize> {
        let known = self.roots.as_ref()?;
        let mut left = vec![operation];
        while let Some(one) = left.pop() {
            let strange = |name: &str| !known.contains(name) && !name.starts_with("__");
            if let Some((_, at)) = one.roots.iter().find(|(name, _)| strange(name)) {
                return Some(*at);
            }
            let used = one.spreads.iter().filter(|spread| spread.level == 0);
            left.extend(
                used.filter_map(|spread| fragments.named.get(spread.name))
                    .filter(|(index, _)| looked.insert(*index))
                    .map(|(_, one)| *one),
            );
        }
        None
    }
}

/// Whether the address says nothing of what the body says: a service may read either.
pub(super) fn unsaid(values: impl Fn(&str) -> Vec<Option<String>>) -> Judged<()> {
    match NAMES.into_iter().find(|name| !values(name).is_empty()) {
        Some(name) => Err(parameter(name, "stands in the body, and not in the address")),
        None => Ok(()),
    }
}

/// Whether the address has no name that a service may take for one of [`NAMES`] and another does not: in other letters
/// (ASP.NET), after blanks or before `[` (PHP), or that cannot be decoded.
pub(super) fn plain_names(query: &[u8]) -> Judged<()> {
    for pair in query.split(|byte| matches!(byte, b'&' | b';')).filter(|pair| !pair.is_empty()) {
        let raw = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        let Some(name) = decode_query(raw) else { return Err(parameter("query", "stands beside a name that cannot be read")) };
        let bare = name.trim_start_matches(|c: char| c <= ' ').split(['[', '\0']).next().unwrap_or_default().trim_end();
        let alike = NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(bare));
        if let Some(known) = alike.filter(|known| *known != name) {
            return Err(parameter(known, "is written in another way than it has to be"));
        }
    }
    Ok(())
}

/// Whether `extensions` name a document by its hash.
fn persisted(extensions: &Node<'_>) -> bool {
    extensions.as_object().is_some_and(|object| object.get(&"persistedQuery".into()).is_some())
}

/// What a request says of a variable; nothing where it does not name it.
fn size_of(variables: Option<&Node<'_>>, name: &str) -> Option<Size> {
    let value = variables?.as_object()?.get(&name.into())?;
    Some(match value.as_number() {
        Some(number) => match (number.as_u64(), number.as_i64()) {
            (Some(size), _) => Size::Number(size),
            (None, Some(_)) => Size::Unsaid,
            (None, None) => Size::Wrong,
        },
        None if value.is_null() => Size::Unsaid,
        None => Size::Wrong,
    })
}

/// Fragments by name, each added up once, whoever uses it and how often.
struct Fragments<'t, 'r> {
    named: HashMap<&'t str, (usize, &'r Definition<'t>)>,
    sums: Vec<Sums>,
}

impl<'t, 'r> Fragments<'t, 'r> {
    /// # Errors
    /// Where something is wrong, and what: a name stands twice or nowhere, or a fragment uses itself.
    fn of(read: &'r Read<'t>) -> Result<Self, (usize, &'static str)> {
        let all: Vec<&Definition<'t>> = read.definitions.iter().filter(|one| one.kind.is_none()).collect();
        let mut named = HashMap::with_capacity(all.len());
        for (index, one) in all.iter().enumerate() {
            if named.insert(one.name.unwrap_or_default(), (index, *one)).is_some() {
                return Err((one.at, "a fragment of this name stands here before"));
            }
        }
        for spread in read.definitions.iter().flat_map(|one| &one.spreads) {
            if !named.contains_key(spread.name) {
                return Err((spread.at, "there is no such fragment"));
            }
        }
        let mut fragments = Self { named, sums: vec![Sums::default(); all.len()] };
        // Those that use no fragment that is still to be added up are added up first; in a circle nobody ever is.
        let mut waits: Vec<usize> = all.iter().map(|one| one.spreads.len()).collect();
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
        for (index, one) in all.iter().enumerate() {
            for spread in &one.spreads {
                if let Some(users) = fragments.named.get(spread.name).and_then(|(used, _)| users.get_mut(*used)) {
                    users.push(index);
                }
            }
        }
        let mut ready: Vec<usize> = waits.iter().enumerate().filter(|(_, waits)| **waits == 0).map(|(index, _)| index).collect();
        while let Some(index) = ready.pop() {
            if let Some(one) = all.get(index) {
                let sums = fragments.sums(one);
                if let Some(own) = fragments.sums.get_mut(index) {
                    *own = sums;
                }
            }
            for user in users.get(index).into_iter().flatten() {
                if let Some(waits) = waits.get_mut(*user) {
                    *waits -= 1;
                    if *waits == 0 {
                        ready.push(*user);
                    }
                }
            }
        }
        match waits.iter().position(|waits| *waits > 0).and_then(|index| all.get(index)) {
            Some(one) => Err((one.at, "this fragment leads to itself")),
            None => Ok(fragments),
        }
    }

    /// The first that no operation uses, also not by others: services look at it before they find that (GraphQL section 5.5.1.4),
    /// and no bound counts it.
    fn unused(&self, read: &Read<'_>) -> Option<usize> {
        let mut used = HashSet::new();
        let mut left: Vec<&Definition<'_>> = read.definitions.iter().filter(|one| one.kind.is_some()).collect();
        while let Some(one) = left.pop() {
            for spread in &one.spreads {
                if let Some((index, fragment)) = self.named.get(spread.name)
                    && used.insert(*index)
                {
                    left.push(fragment);
                }
            }
        }
        self.named.values().filter(|(index, _)| !used.contains(index)).map(|(_, one)| one.at).min()
    }

    /// What a definition comes to, with the fragments in it.
    fn sums(&self, of: &Definition<'t>) -> Sums {
        let mut sums = of.own;
        for spread in &of.spreads {
            let Some(used) = self.named.get(spread.name).and_then(|(index, _)| self.sums.get(*index)) else { continue };
            sums.depth = sums.depth.max(spread.level.saturating_add(used.depth));
            sums.cost = sums.cost.saturating_add(spread.times.saturating_mul(used.cost));
            sums.aliases = sums.aliases.saturating_add(used.aliases);
            sums.directives = sums.directives.saturating_add(used.directives);
        }
        sums
    }
}

fn wrong((reason, detail): Wrong, pointer: &str) -> Box<super::Rejected> {
    with(reason, vec![FieldError::at(pointer, detail)])
}

fn of_query(reason: Reason, detail: String) -> Box<super::Rejected> {
    with(reason, vec![FieldError::of("query", "query", detail)])
}

fn parameter(name: &str, detail: &str) -> Box<super::Rejected> {
    with(Reason::GraphqlMalformed, vec![FieldError::of("query", name, detail)])
}

#[cfg(test)]
mod tests;
