//! Attempts that are refused: bans that begin, when to come back, and what is said.

use std::net::IpAddr;
use std::sync::Arc;

use super::LoginGuard;
use super::attempt::Attempt;
use super::bans::{self, Ban};
use super::score::Score;
use crate::exchange::{Exchange, Refusal, Step};
use crate::filters::authorize::shadow::{Outcome, Verdict};
use crate::ir::LoginKind;
use crate::reason::Reason;

impl LoginGuard {
    pub(super) fn refuse(
        &self,
        exchange: &mut Exchange,
        mut attempt: Attempt,
        answer: &'static str,
        refusal: Refusal,
        now_ms: u64,
    ) -> Step {
        attempt.answer = answer;
        self.watch.count(answer);
        if self.shadow.is_some() {
            exchange.attempt = Some(Box::new(attempt));
            return self.tried(exchange, Err(refusal));
        }
        if attempt.score != Score::default() {
            self.take_back_shared(&attempt, 1.0, now_ms);
        }
        attempt.refused = true;
        exchange.attempt = Some(Box::new(attempt));
        Step::Refuse(refusal)
    }

    pub(super) fn tried(&self, exchange: &mut Exchange, result: Result<(), Refusal>) -> Step {
        if let Some(record) = &self.shadow {
            exchange.shadow.push(Verdict { record: Arc::clone(record), outcome: Outcome::of(result) });
        }
        Step::Continue
    }

    pub(super) fn begin(&self, attempt: &Attempt, client: IpAddr, now_ms: u64) -> bool {
        if self.shadow.is_some() {
            return true;
        }
        let ban = Ban {
            address: bans::network(client),
            route: Arc::clone(&self.watch.route),
            why: attempt.score.text().into(),
            since_ms: now_ms,
            until_ms: now_ms.saturating_add(self.ban_ms),
            refused: 1,
            counted: attempt.keys.address.own,
        };
        let (address, why, seconds) = (bans::text(ban.address), ban.why.clone(), (self.ban_ms / 1000).to_string());
        let begun = self.logins.bans.begin(ban);
        if begun && let Some(shared) = self.shared.upgrade() {
            let fields =
                [("address", address.as_str()), ("route", &*self.watch.route), ("why", &*why), ("seconds", seconds.as_str())];
            shared.events.push("warning", "login_banned", &fields);
        }
        begun
    }

    /// Seconds until a score has faded below a limit, if nothing more is tried: all parts fade alike.
    pub(super) fn fades_s(&self, score: u32, limit: u32) -> u64 {
        let below = limit.saturating_sub(1).max(1);
        let over = (score.max(below) as f32 / below as f32).ln();
        (over * self.window_ms as f32 / 1_000.0).ceil().max(1.0) as u64
    }

    pub(super) fn banned(&self, left_ms: u64) -> Refusal {
        let seconds = left_ms.div_ceil(1000).max(1);
        let detail = format!(
            "come back in {}; accounts that have been used from here before get in meanwhile, and so does every other network",
            lasting(seconds)
        );
        Refusal { retry_after_s: Some(Refusal::pause(seconds)), detail: Some(detail.into()), ..Reason::LoginBanned.into() }
    }

    pub(super) fn limited(&self, attempt: &Attempt, total: u32, limit: u32) -> Refusal {
        let seconds = self.fades_s(total.max(limit), limit);
        let advice = match self.kind {
            LoginKind::Login => "if you do not remember the password, reset it in place of guessing",
            LoginKind::SignUp => "one account is enough",
            LoginKind::Other => "every further attempt before that makes it longer",
        };
        Refusal {
            retry_after_s: Some(Refusal::pause(seconds)),
            detail: Some(format!("try again in {}; {advice}", lasting(seconds)).into()),
            rule: Some(attempt.score.heaviest().as_str().into()),
            ..Reason::LoginLimited.into()
        }
    }
}

/// `12 seconds`, `15 minutes`
pub(super) fn lasting(seconds: u64) -> String {
    match seconds {
        1 => "a second".to_owned(),
        2..120 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}
