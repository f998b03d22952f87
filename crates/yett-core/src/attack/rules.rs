//! The expressions: for each the literals of which one has to be there, so that most are never asked.
//!
//! They are read against values in lower case. `{P}` is a beginning of one word at most, `{C}` a command with arguments or at
//! the end, `{D}` one that needs none.

mod code;
mod injection;
mod markup;
mod probes;
mod templates;

use super::class::{Class, Kind};

/// An expression.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) class: Class,
    pub(super) id: &'static str,
    pub(super) score: u8,
    pub(super) kinds: &'static [Kind],
    pub(super) literals: &'static [&'static str],
    pub(super) pattern: String,
}

const VALUES: &[Kind] = &[Kind::Value, Kind::File, Kind::Agent, Kind::Referer];

/// Rule, score, literals, expression.
type Row = (&'static str, u8, &'static [&'static str], &'static str);

const COMMANDS: &str = "(?:/(?:usr/)?(?:local/)?s?bin/)?(?:cat|ls|dir|type|head|tail|more|less|tac|nl|od|xxd|strings|cp|mv|rm|\
    chmod|chown|touch|find|grep|awk|sed|base64|ps|uname|id|net|env|echo|sleep|ping|nslookup|dig|host|curl|wget|nc|ncat|netcat|telnet|\
    ssh|scp|ftp|tftp|bash|sh|zsh|ksh|dash|python[23]?|perl|ruby|php|node|lua|powershell|cmd(?:\\.exe)?|certutil|bitsadmin|reg|sc|\
    wmic|mkfifo|mknod|kill|reboot|shutdown|crontab|openssl|socat|busybox|exec|eval|sudo|timeout|nohup|xargs|tee|printf|netstat|\
    ifconfig|expr|getent|netsh|systeminfo|sysinfo)";
const ARGUMENT: &str =
    "\\s+(?:[-/~.$*?<>\"'\\\\]|\\d|[a-z0-9-]+\\.[a-z0-9.-]*[a-z0-9]|[a-z]:\\\\|[a-z]+://|\\w+\\s*(?:$|[;|&>`)\"'#]))";
const BARE: &str = "(?:/(?:usr/)?s?bin/)?(?:id|ls|dir|ps|env|pwd|who|ver|hostname|whoami|uname|ifconfig|ipconfig|netstat|systeminfo|\
    tasklist|printenv)\\s*(?:$|[;|&#`)\"'\\n<>])";
const SURE: &str =
    "(?:/(?:usr/)?s?bin/)?(?:whoami|uname|ifconfig|ipconfig|netstat|systeminfo|tasklist|printenv)\\s*(?:$|[;|&#`)\"'\\n<>])";

pub(super) fn rules() -> Vec<Rule> {
    let lists = [
        (Class::Nosql, VALUES, injection::NOSQL),
        (Class::Nosql, &[Kind::Name][..], injection::NOSQL_NAMES),
        (Class::Command, VALUES, injection::COMMAND),
        (Class::Sql, VALUES, injection::SQL),
        (Class::Ldap, VALUES, injection::LDAP),
        (Class::Xpath, VALUES, injection::XPATH),
        (Class::Crlf, &[Kind::Value, Kind::Referer, Kind::Agent, Kind::Path], injection::CRLF),
        (Class::Xss, VALUES, markup::XSS),
        (Class::Xxe, VALUES, markup::XXE),
        (Class::Template, VALUES, templates::TEMPLATE),
        (Class::Lookup, &[Kind::Value, Kind::Agent, Kind::Referer, Kind::File, Kind::Name, Kind::Path], templates::LOOKUP),
        (Class::Deserialisation, VALUES, code::DESERIALISATION),
        (Class::Code, VALUES, code::CODE),
        (Class::Code, &[Kind::Name][..], code::CODE_NAMES),
        (Class::Traversal, &[Kind::Value, Kind::File, Kind::Path], probes::TRAVERSAL),
        (Class::Inclusion, &[Kind::Value, Kind::File], probes::INCLUSION),
        (Class::Scanner, &[Kind::Path][..], probes::PATHS),
        (Class::Scanner, &[Kind::Agent][..], probes::AGENTS),
    ];
    let each = |(class, kinds, rows): (Class, &'static [Kind], &'static [Row])| {
        rows.iter().map(move |(id, score, literals, pattern)| Rule {
            class,
            id,
            score: *score,
            kinds,
            literals,
            pattern: filled(pattern),
        })
    };
    lists.into_iter().flat_map(each).collect()
}

fn filled(pattern: &str) -> String {
    pattern
        .replace("{C}", &format!("(?:{COMMANDS}{ARGUMENT}|{SURE})"))
        .replace("{D}", &format!("(?:{COMMANDS}{ARGUMENT}|{BARE})"))
}
