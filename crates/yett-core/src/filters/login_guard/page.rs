//! The page of a challenge: what a browser is to calculate, a script that does it, and words for the person who waits.
//!
//! It loads nothing. Its script and its style are allowed by their digests (Content Security Policy Level 3), so whatever else
//! stood in it would not run.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::problem::escaped;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

const LEAD: &str =
    "Many attempts have failed here lately. So your browser does a short calculation first; it takes a few seconds.";
const LEAD_FORM: &str = "Many attempts have failed here lately, and what you sent has not been passed on. Your browser does a short \
                         calculation first; then you go back and send the form once more.";
const ABOUT: &str = "The calculation makes trying passwords by the thousand expensive. The site's log records the attempt; a cookie \
                     remembers for {holds} that the check was done.";

/// What is different from page to page.
#[derive(Debug)]
pub struct Text<'a> {
    /// As JSON.
    pub challenge: &'a str,
    /// So many tries at most.
    pub most: u32,
    /// Whether a form was sent, which has to be sent again.
    pub is_form: bool,
    /// Whose page it is.
    pub host: &'a str,
    /// How long a cookie remembers it.
    pub holds: &'a str,
    /// When it is not asked for any more.
    pub later: &'a str,
    /// For the log.
    pub request_id: &'a str,
}

/// A page that is finished.
#[derive(Debug, Clone)]
pub struct Written {
    /// HTML.
    pub body: Arc<[u8]>,
    /// Its Content-Security-Policy.
    pub policy: Arc<str>,
}

/// A template, taken apart.
#[derive(Debug)]
pub struct Page {
    parts: Vec<Part>,
    policy: Arc<str>,
}

#[derive(Debug)]
enum Part {
    Fixed(Box<str>),
    Challenge,
    Most,
    Form,
    Lead,
    Host,
    Later,
    About,
    Id,
}

impl Page {
    /// Takes the template apart.
    #[must_use]
    pub fn build() -> Self {
        let mut parts = Vec::new();
        let mut rest = TEMPLATE;
        while let Some((before, marked)) = rest.split_once('{') {
            parts.push(Part::Fixed(before.into()));
            let Some((name, after)) = marked.split_once('}') else { break };
            parts.push(match name {
                "style" => Part::Fixed(STYLE.into()),
                "script" => Part::Fixed(SCRIPT.into()),
                "about" => Part::About,
                "challenge" => Part::Challenge,
                "most" => Part::Most,
                "form" => Part::Form,
                "lead" => Part::Lead,
                "host" => Part::Host,
                "later" => Part::Later,
                _ => Part::Id,
            });
            rest = after;
        }
        parts.push(Part::Fixed(rest.into()));
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            sha256(SCRIPT),
            sha256(STYLE)
        );
        Self { parts, policy: policy.into() }
    }

    /// Fills it in.
    #[must_use]
    pub fn write(&self, text: &Text<'_>) -> Written {
        let mut out = String::with_capacity(TEMPLATE.len() + STYLE.len() + SCRIPT.len() + 2_048);
        for part in &self.parts {
            match part {
                Part::Fixed(fixed) => out.push_str(fixed),
                Part::Challenge => out.push_str(&escaped(text.challenge)),
                Part::Most => out.push_str(&text.most.to_string()),
                Part::Form => out.push_str(if text.is_form { "true" } else { "false" }),
                Part::Lead => out.push_str(if text.is_form { LEAD_FORM } else { LEAD }),
                Part::Host => out.push_str(&escaped(text.host)),
                Part::Later => out.push_str(&escaped(text.later)),
                Part::About => out.push_str(&escaped(&ABOUT.replace("{holds}", text.holds))),
                Part::Id => out.push_str(&escaped(text.request_id)),
            }
        }
        Written { body: out.into_bytes().into(), policy: Arc::clone(&self.policy) }
    }
}

fn sha256(text: &str) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_escapes_what_it_is_told_and_allows_its_own_script_only() {
        let text = Text {
            challenge: r#"{"a":"b"}"#,
            most: 1_000,
            is_form: true,
            host: "<b>.example",
            holds: "10 minutes",
            later: "8 minutes",
            request_id: "\"><script>",
        };
        let written = Page::build().write(&text);
        let page = String::from_utf8(written.body.to_vec()).unwrap();
        for part in [
            "data-challenge=\"{&quot;a&quot;:&quot;b&quot;}\" data-most=\"1000\" data-form=\"true\"",
            "&lt;b&gt;.example",
            "come back in 8 minutes",
            "log records the attempt; a cookie remembers for 10 minutes that the check was done",
            "&quot;&gt;&lt;script&gt;",
            "send the form once more",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!((page.matches("<script>").count(), page.matches("<style>").count()), (1, 1));
        for attribute in [" style=", " onclick=", " src=", " href=", "http"] {
            assert!(!page.contains(attribute), "{attribute}");
        }
        let between = |tag: &str| {
            let after = page.split_once(&format!("<{tag}>")).unwrap().1;
            format!("'sha256-{}'", sha256(after.split_once(&format!("</{tag}>")).unwrap().0))
        };
        assert!(written.policy.starts_with(&format!(
            "default-src 'none'; script-src {}; style-src {};",
            between("script"),
            between("style")
        )));
    }

    #[test]
    fn without_a_form_nothing_is_to_be_sent_again() {
        let text =
            Text { challenge: "", most: 1, is_form: false, host: "a", holds: "a second", later: "a minute", request_id: "" };
        let page = String::from_utf8(Page::build().write(&text).body.to_vec()).unwrap();
        assert!(page.contains("data-form=\"false\"") && !page.contains("has not been passed on"));
    }
}
