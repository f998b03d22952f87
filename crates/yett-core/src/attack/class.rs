//! Classes of attacks, and what is found of one.

/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// SQL (CWE-89).
    Sql,
    /// Operators and scripts of document stores (CWE-943).
    Nosql,
    /// Commands of a shell (CWE-78).
    Command,
    /// Filters of LDAP (CWE-90).
    Ldap,
    /// XPath and XQuery (CWE-643).
    Xpath,
    /// Templates on the server (CWE-1336).
    Template,
    /// Scripts in pages (CWE-79).
    Xss,
    /// External entities of XML (CWE-611).
    Xxe,
    /// Header fields behind a line break (CWE-113).
    Crlf,
    /// Lookups of loggers (CVE-2021-44228).
    Lookup,
    /// Serialised objects (CWE-502).
    Deserialisation,
    /// Code of PHP, Python, Node and Java (CWE-94).
    Code,
    /// Paths that lead out (CWE-22).
    Traversal,
    /// Files that are included (CWE-98).
    Inclusion,
    /// Requests that the service shall make to internal hosts (CWE-918).
    Ssrf,
    /// Looking for what is not there.
    Scanner,
}

impl Class {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 16] = [
        Self::Sql,
        Self::Nosql,
        Self::Command,
        Self::Ldap,
        Self::Xpath,
        Self::Template,
        Self::Xss,
        Self::Xxe,
        Self::Crlf,
        Self::Lookup,
        Self::Deserialisation,
        Self::Code,
        Self::Traversal,
        Self::Inclusion,
        Self::Ssrf,
        Self::Scanner,
    ];

    /// As in configurations, logs and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Nosql => "nosql",
            Self::Command => "command",
            Self::Ldap => "ldap",
            Self::Xpath => "xpath",
            Self::Template => "template",
            Self::Xss => "xss",
            Self::Xxe => "xxe",
            Self::Crlf => "crlf",
            Self::Lookup => "lookup",
            Self::Deserialisation => "deserialisation",
            Self::Code => "code",
            Self::Traversal => "traversal",
            Self::Inclusion => "inclusion",
            Self::Ssrf => "ssrf",
            Self::Scanner => "scanner",
        }
    }
}

/// A set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classes(u16);

impl Classes {
    /// All.
    pub const ALL: Self = Self(u16::MAX);

    /// These.
    #[must_use]
    pub fn of(classes: &[Class]) -> Self {
        Self(classes.iter().fold(0, |all, class| all | 1 << (*class as u16)))
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn has(self, class: Class) -> bool {
        self.0 & (1 << (class as u16)) != 0
    }
}

/// What was found in a value; never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Of which class it is.
    pub class: Class,
    /// Which rule found it.
    pub rule: &'static str,
    /// How sure it is: 5 is an attack by its form, less is a hint.
    pub score: u8,
}

/// What a value is: some rules are for some only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of a parameter, field, cookie or JSON string.
    Value,
    /// The name of one.
    Name,
    /// A whole path.
    Path,
    /// `User-Agent`.
    Agent,
    /// `Referer` and the like: an address that the client really is at.
    Referer,
    /// The name of a file.
    File,
}
