//! Guarded logins: where a request names its account, when an answer says no, and how much of that is too much.

use ipnet::IpNet;
use serde::Deserialize;

/// A route on which people log in, sign up, or prove something else.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginGuard {
    /// What is done there.
    pub kind: LoginKind,
    /// Where a request names its account.
    pub account: LoginPart,
    /// Where it has its password; absent where sprayed passwords are not looked for.
    #[serde(default)]
    pub password: Option<LoginPart>,
    /// Which answers say no, beside those of 400 to 499.
    #[serde(default)]
    pub failed: LoginFailed,
    /// What a success has in its body; absent where every answer that is no failure is one.
    #[serde(default)]
    pub passed: Option<LoginBody>,
    /// Time in which what was counted fades to a third.
    pub window_ms: u64,
    /// How much is too much.
    pub thresholds: LoginThresholds,
    /// How long a suspicious attempt waits; 0 where none does.
    pub slow_ms: u64,
    /// How long nobody may log in from an address that was banned; 0 where none is.
    pub ban_ms: u64,
    /// Clients that are not guarded against.
    #[serde(default)]
    pub except: Vec<IpNet>,
    /// What a browser has to calculate before a suspicious attempt; absent where nothing is asked for.
    #[serde(default)]
    pub challenge: Option<LoginChallenge>,
    /// Whether it is tried out: counted and reported, and nothing is refused.
    #[serde(default)]
    pub shadow: bool,
}

/// Work that is asked for in place of a wait or a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginChallenge {
    /// From this score on.
    pub at: u32,
    /// The most tries that it takes at that score.
    pub difficulty: u32,
    /// How long a proof counts.
    pub holds_ms: u64,
    /// For so many attempts.
    pub attempts: u32,
    /// Whether whoever is no browser is refused from there on.
    #[serde(default)]
    pub refuse_others: bool,
    /// Name of the secret that instances share.
    #[serde(default)]
    pub secret: Option<String>,
}

/// What is done on a guarded route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginKind {
    /// Somebody proves to be an account. What succeeds is taken back.
    Login,
    /// Somebody makes an account. Each counts, whether it succeeds or not.
    SignUp,
    /// Anything else that can be guessed.
    Other,
}

/// Where a request has a text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginPart {
    /// A field of a form.
    Form(String),
    /// A text or number at a JSON Pointer (RFC 6901).
    Json(String),
    /// A header field, lower case.
    Header(String),
}

/// Which answers say no.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginFailed {
    /// Statuses.
    #[serde(default)]
    pub status: Vec<u16>,
    /// A header field with this value.
    #[serde(default)]
    pub header: Option<LoginField>,
    /// A value of a JSON body.
    #[serde(default)]
    pub body: Option<LoginBody>,
}

/// A value of an answer's body.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginBody {
    /// Where it stands: a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What it is; absent where anything but null and false is meant.
    #[serde(default)]
    pub value: Option<LoginValue>,
}

/// What a value of an answer is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum LoginValue {
    /// True or false.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

/// A field of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginField {
    /// Its name, lower case.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether more may follow.
    pub prefix: bool,
}

/// How many of each in a window have an attempt refused; half as many slow it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginThresholds {
    /// Accounts that one address failed for.
    pub accounts: u32,
    /// Attempts of one address that failed.
    pub failures: u32,
    /// Attempts of one address for one account that failed.
    pub guesses: u32,
    /// Attempts for one account that failed, by addresses from which it never succeeded.
    pub per_account: u32,
    /// Accounts that one kind of client failed for.
    pub per_fingerprint: u32,
    /// Accounts that one password failed for.
    pub per_password: u32,
    /// Accounts that one autonomous system failed for, where a database tells those; it only slows down.
    #[serde(default)]
    pub per_asn: Option<u32>,
}
