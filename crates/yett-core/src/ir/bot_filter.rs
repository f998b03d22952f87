//! Programs that pretend: who may use a route by what its requests look like, and crawlers that have to be who they say.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::Deserialize;

/// What becomes of programs, of programs that pretend to be browsers, and of crawlers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BotFilter {
    /// Whether anything is refused; otherwise it is reported, and passes.
    pub enforce: bool,
    /// A score from which what says that it is a browser is taken for an impostor.
    pub threshold: u8,
    /// What becomes of impostors.
    pub impostors: BotAnswer,
    /// What becomes of programs that say that they are programs.
    pub programs: BotAnswer,
    /// What becomes of programs that look for holes, and say so.
    pub scanners: BotAnswer,
    /// Crawlers that are known by name.
    #[serde(default)]
    pub crawlers: Vec<Crawler>,
    /// Whether a crawler passes while nobody can say whether it is one.
    #[serde(default)]
    pub undecided_passes: bool,
    /// Resolvers that are asked about crawlers; those of the system where there are none.
    #[serde(default)]
    pub resolvers: Vec<SocketAddr>,
    /// Clients that are not looked at.
    #[serde(default)]
    pub except: Vec<IpNet>,
}

/// What becomes of a kind of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BotAnswer {
    /// They pass.
    Allow,
    /// 403.
    Refuse,
}

/// A crawler: how it names itself, and what proves that it is it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crawler {
    /// Its name in logs.
    pub name: String,
    /// What stands in its `User-Agent`, in any case.
    pub agents: Vec<String>,
    /// Domains that the names of its addresses are in, lower case.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Its addresses, where it publishes them.
    #[serde(default)]
    pub addresses: Vec<IpNet>,
    /// Whether it may come in, once it is proved.
    pub allowed: bool,
}
