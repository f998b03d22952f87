//! Header fields that tell browsers to be strict, and attributes of cookies.
//!
//! What a service sends stays where it is at least as strict, and is replaced where it is weaker, repeated against its
//! rules or malformed. Refusals, redirects and fixed answers carry the fields too.

mod cookies;
mod hsts;
mod permissions;
mod ranked;

use cookies::Cookies;
use hsts::Hsts;
use permissions::Permissions;
use ranked::Ranked;
use smallvec::SmallVec;

use crate::exchange::Answer;
use crate::headers::{FieldError, Headers, Known, is_value};
use crate::ir;

/// A merged value, on the stack while it is of common length.
type Merged = SmallVec<[u8; 160]>;

/// Compiled `security_headers`.
#[derive(Debug)]
pub struct SecurityHeaders {
    rules: Vec<Rule>,
    cookies: Option<Cookies>,
}

/// One field.
#[derive(Debug)]
struct Rule {
    name: &'static str,
    value: Box<str>,
    policy: Policy,
}

/// How the service's value is compared with ours.
#[derive(Debug)]
enum Policy {
    Hsts(Hsts),
    Ranked(Ranked),
    /// All policies of an answer apply (CSP Level 3 section 8.1), so ours stands beside the service's.
    ContentSecurity,
    Permissions(Permissions),
}

/// What becomes of the service's fields of a name.
enum Verdict {
    Keep,
    Add,
    Replace,
    Merge(Merged),
}

impl SecurityHeaders {
    /// Checks every value and puts the fields together.
    ///
    /// # Errors
    /// A value that cannot stand in a field or that no browser knows.
    pub fn build(spec: &ir::SecurityHeaders) -> Result<Self, String> {
        let mut rules = Vec::new();
        if let Some(hsts) = &spec.hsts {
            let hsts = Hsts::build(hsts);
            rules.push(Rule { name: hsts::NAME, value: hsts.text().into(), policy: Policy::Hsts(hsts) });
        }
        for (kind, value) in [
            (&ranked::CONTENT_TYPE_OPTIONS, &spec.content_type_options),
            (&ranked::FRAME_OPTIONS, &spec.frame_options),
            (&ranked::REFERRER_POLICY, &spec.referrer_policy),
            (&ranked::OPENER_POLICY, &spec.cross_origin_opener_policy),
            (&ranked::EMBEDDER_POLICY, &spec.cross_origin_embedder_policy),
            (&ranked::RESOURCE_POLICY, &spec.cross_origin_resource_policy),
        ] {
            if let Some(value) = value {
                let ranked = Ranked::build(kind, value)?;
                rules.push(Rule { name: kind.name, value: ranked.text().into(), policy: Policy::Ranked(ranked) });
            }
        }
        if !spec.content_security_policy.is_empty() {
            let value = spec.content_security_policy.join(", ");
            rules.push(Rule { name: "content-security-policy", value: value.into(), policy: Policy::ContentSecurity });
        }
        if !spec.permissions_policy.is_empty() {
            let permissions = Permissions::build(&spec.permissions_policy)?;
            let value = permissions.text().into();
            rules.push(Rule { name: permissions::NAME, value, policy: Policy::Permissions(permissions) });
        }
        if let Some(rule) = rules.iter().find(|rule| rule.value.is_empty() || !is_value(rule.value.as_bytes())) {
            return Err(format!("the value for `{}` cannot stand in a header field", rule.name));
        }
        Ok(Self { rules, cookies: spec.cookies.as_ref().map(Cookies::build) })
    }

    /// Changes a service's answer. `https` says how the client asked: without it no HSTS is sent (RFC 6797 section 7.2).
    ///
    /// # Errors
    /// Never for values that were built; the caller refuses all the same.
    pub fn apply(&self, headers: &mut Headers, https: bool) -> Result<(), FieldError> {
        for rule in &self.rules {
            let name = rule.name.as_bytes();
            if !https && matches!(rule.policy, Policy::Hsts(_)) {
                headers.retain(|_, other, _| other != name);
                continue;
            }
            match rule.judge(headers.named(name)) {
                Verdict::Keep => {}
                // Their values were checked when they were built.
                Verdict::Add => headers.push_known(Known::Other, name, rule.value.as_bytes())?,
                Verdict::Replace => headers.set_own(Known::Other, name, rule.value.as_bytes())?,
                Verdict::Merge(value) => headers.set_own(Known::Other, name, &value)?,
            }
        }
        if let Some(cookies) = &self.cookies {
            headers.append_to(Known::SetCookie, |value| cookies.missing(value, https));
        }
        Ok(())
    }

    /// Changes an answer that the gateway makes itself, as [`Self::apply`] does.
    pub fn finish(&self, answer: &mut Answer, https: bool) {
        for rule in &self.rules {
            let is = |name: &str| name.eq_ignore_ascii_case(rule.name);
            if !https && matches!(rule.policy, Policy::Hsts(_)) {
                answer.headers.retain(|(name, _)| !is(name));
                continue;
            }
            let values = answer.headers.iter().filter(|(name, _)| is(name)).map(|(_, value)| value.as_bytes());
            let value = match rule.judge(values) {
                Verdict::Keep => continue,
                Verdict::Add => rule.value.clone(),
                verdict @ (Verdict::Replace | Verdict::Merge(_)) => {
                    answer.headers.retain(|(name, _)| !is(name));
                    match verdict {
                        Verdict::Merge(value) => String::from_utf8_lossy(&value).into(),
                        _ => rule.value.clone(),
                    }
                }
            };
            answer.headers.push((rule.name.into(), value));
        }
        let Some(cookies) = &self.cookies else { return };
        for (_, value) in answer.headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let mut text = String::from(std::mem::take(value));
            for part in cookies.missing(text.as_bytes(), https) {
                text.push_str(part);
            }
            *value = text.into();
        }
    }
}

impl Rule {
    fn judge<'a>(&self, mut values: impl Iterator<Item = &'a [u8]> + Clone) -> Verdict {
        if values.clone().next().is_none() {
            return Verdict::Add;
        }
        match &self.policy {
            Policy::Hsts(hsts) => hsts.judge(values),
            Policy::Ranked(ranked) => match ranked.is_met(values) {
                true => Verdict::Keep,
                false => Verdict::Replace,
            },
            Policy::ContentSecurity => match values.any(|value| value == self.value.as_bytes()) {
                true => Verdict::Keep,
                false => Verdict::Add,
            },
            Policy::Permissions(permissions) => permissions.judge(values),
        }
    }
}

#[cfg(test)]
mod tests;
