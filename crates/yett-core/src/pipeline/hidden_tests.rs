use std::rc::Rc;
use std::sync::Arc;

use super::{is_timeless, refusal, step};
use crate::body::FieldError;
use crate::exchange::{Answer, ConnectionInfo, Exchange, LimitReport, Method, Phase, Refusal, Step, Upgrade, Version};
use crate::pipeline;
use crate::reason::{Fault, Reason};
use crate::shared::Shared;
use crate::snapshot::{Secrets, Snapshot};

const PHASES: [Phase; 9] = [
    Phase::Route,
    Phase::Bots,
    Phase::Authenticate,
    Phase::Confirm,
    Phase::Authorize,
    Phase::Limit,
    Phase::Validate,
    Phase::AuthorizeBody,
    Phase::Prepare,
];
/// A client that says nothing of what it likes, a browser, and gRPC.
const CLIENTS: [(Version, &[(&str, &str)]); 3] = [
    (Version::Http11, &[]),
    (Version::Http11, &[("accept", "text/html")]),
    (Version::Http2, &[("content-type", "application/grpc"), ("accept", "*/*")]),
];

fn snapshot(runtime: &tokio::runtime::Runtime) -> Snapshot {
    let document = include_bytes!("../../../../tests/config/cases/good/authorization.ir.json");
    let shared = Arc::new(Shared::new(runtime.handle().clone(), [3; 32]));
    Snapshot::build(document, &Secrets::default(), &shared).unwrap()
}

/// Of a path below which nothing is, before any route was looked for.
fn asked((version, fields): (Version, &[(&str, &str)])) -> Exchange {
    let peer = "192.0.2.1:1".parse().unwrap();
    let connection =
        ConnectionInfo { peer, listener: "local".into(), tls: false, sni: None, client_certificate: None, ja4: None };
    let mut exchange = Exchange::new(Rc::new(connection));
    exchange.request.version = version;
    exchange.request.method = Method::Patch;
    for (name, value) in fields {
        exchange.request.headers.push(name.as_bytes(), value.as_bytes()).unwrap();
    }
    exchange.host = "a.shop.example.com".to_owned();
    exchange.path.parse_into(b"/invoices/1").unwrap();
    exchange.request_id.extend_from_slice(b"id");
    exchange.phase = Phase::Route;
    exchange
}

/// All that checks may have left until then.
fn full(exchange: &mut Exchange) {
    let text = || Arc::from("limit");
    exchange.sessions_mut().cookies.push("session=1".into());
    exchange.dpop_nonce = Some("nonce".into());
    exchange.errors.push(FieldError::at("/amount", "is missing"));
    exchange.limits.push(LimitReport { policy: text(), name: text(), remaining: 1, reset_s: 1 });
    exchange.upgrade = Upgrade::Taken;
}

fn whole(reason: Reason) -> Refusal {
    Refusal {
        detail: Some("a detail".into()),
        scope: Some("a.scope".into()),
        allow: Some("GET".into()),
        retry_after_s: Some(7),
        rule: Some("route invoices".into()),
        assurance: Some(", acr_values=\"high\"".into()),
        provider: Some("id".into()),
        ..reason.into()
    }
}

fn same(answer: &Answer, nowhere: &Answer) -> bool {
    (answer.status, &answer.headers, &answer.body) == (nowhere.status, &nowhere.headers, &nowhere.body)
}

#[test]
fn every_reason_in_every_phase_is_the_answer_of_a_path_that_is_not_there() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let snapshot = snapshot(&runtime);
    let hidden = u32::try_from(snapshot.routes.iter().position(|route| route.hidden).unwrap()).unwrap();
    let shown = u32::try_from(snapshot.routes.iter().position(|route| !route.hidden).unwrap()).unwrap();
    let mut differ = 0;
    for client in CLIENTS {
        let nowhere = pipeline::refuse(&snapshot, Some(&asked(client)), &Reason::RouteNotFound.into());
        for (reason, phase) in Reason::ALL.iter().flat_map(|reason| PHASES.map(|phase| (*reason, phase))) {
            let mut exchange = asked(client);
            (exchange.route, exchange.phase) = (Some(hidden), phase);
            full(&mut exchange);
            let Step::Refuse(refused) = step(&snapshot, &mut exchange, Step::Refuse(whole(reason))) else {
                panic!("{reason:?} in {phase:?} is a refusal no more");
            };
            assert_eq!((refused.reason, refused.rule.as_deref()), (reason, Some("route invoices")), "the log has the reason");
            assert_eq!(refused.status(), 404);
            assert_eq!(exchange.upgrade, Upgrade::Asked, "the connection goes on");
            assert!(is_timeless(&snapshot, &exchange, &refused));
            let answer = pipeline::refuse(&snapshot, Some(&exchange), &refused);
            assert!(same(&answer, &nowhere), "{reason:?} in {phase:?}: {answer:?} and not {nowhere:?}");

            exchange.route = Some(shown);
            let open = refusal(&snapshot, &mut exchange, whole(reason));
            assert!(open.hidden.is_none());
            differ += usize::from(!same(&pipeline::refuse(&snapshot, Some(&exchange), &open), &nowhere));
        }
    }
    // The comparison sees a difference wherever there is one.
    assert_eq!(differ, CLIENTS.len() * Reason::ALL.len() * PHASES.len());
}

#[test]
fn while_forwarding_only_what_is_wrong_with_the_request_is_hidden() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let snapshot = snapshot(&runtime);
    let hidden = snapshot.routes.iter().position(|route| route.hidden).and_then(|at| u32::try_from(at).ok());
    for reason in Reason::ALL {
        let mut exchange = asked(CLIENTS[0]);
        exchange.route = hidden;
        let refused = pipeline::refused_late(&snapshot, &mut exchange, (*reason).into());
        assert_eq!(refused.hidden.is_some(), reason.fault() == Fault::Client, "{reason:?}");
    }
}

#[test]
fn an_allowed_caller_is_answered_and_a_way_to_a_login_is_not_shown() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let snapshot = snapshot(&runtime);
    for phase in PHASES {
        let mut exchange = asked(CLIENTS[0]);
        exchange.route = snapshot.routes.iter().position(|route| route.hidden).and_then(|at| u32::try_from(at).ok());
        exchange.phase = phase;
        let answered = matches!(step(&snapshot, &mut exchange, Step::Answer(Answer::default())), Step::Answer(_));
        assert_eq!(answered, phase > Phase::Authorize, "{phase:?}");
    }
}
