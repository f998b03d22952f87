//! What browsers may do: WebSocket connections, and what pages of other origins ask.

use super::super::Errors;
use super::Draft;
use crate::filters::cors::Cors;
use crate::filters::csrf::{Csrf, FIELD};
use crate::filters::websocket::WebSocket;
use crate::headers::folds_to;
use crate::ir;

pub(super) struct Browsers {
    pub(super) websocket: Option<WebSocket>,
    pub(super) cors: Option<Cors>,
    pub(super) csrf: Option<Csrf>,
}

impl Draft<'_> {
    pub(super) fn browsers(&self, errors: &mut Errors) -> Option<Browsers> {
        let (spec, context) = (self.spec, self.context);
        let websocket = spec.websocket.as_ref();
        let websocket = websocket.map(|one| WebSocket::build(one, &spec.name, &context.shared.websockets)).transpose();
        let websocket = errors.take(|| self.at("websocket"), websocket);
        let speaks = |share: &ir::WeightedService| {
            let service = context.ir.services.iter().find(|service| service.name == share.service);
            service.is_some_and(|service| service.speaks.http2().is_none())
        };
        if spec.websocket.is_some() && !matches!(&spec.action, ir::Action::Forward(shares) if shares.iter().all(speaks)) {
            errors.add(self.at("websocket"), "WebSocket connections need services that are asked over HTTP/1.1");
        }
        let cors = errors.take(|| self.at("cors"), cors(spec));
        let csrf = errors.take(|| self.at("csrf"), spec.csrf.as_ref().map(Csrf::build).transpose());
        let told = |name: &String| folds_to(name.as_bytes(), FIELD);
        let edits = &spec.request_headers;
        let edited = edits.remove.iter().chain(edits.set.keys()).chain(edits.add.keys()).any(told);
        if edited && csrf.as_ref().is_some_and(|csrf| csrf.as_ref().is_some_and(Csrf::tells)) {
            let message = "what `csrf.form` tells the service in `x-csrf-token` is the gateway's to say";
            errors.add(self.at("request_headers"), message);
        }
        Some(Browsers { websocket: websocket?, cors: cors?, csrf: csrf? })
    }
}

/// Pages of other origins, on a route that a preflight can find.
fn cors(spec: &ir::Route) -> Result<Option<Cors>, String> {
    let Some(cors) = &spec.cors else { return Ok(None) };
    if spec.hidden {
        return Err("a preflight carries no credential, so `cors` would show a hidden route".to_owned());
    }
    if spec.websocket.is_some() {
        return Err("`cors` says nothing about WebSocket connections; `websocket` has `origins` of its own".to_owned());
    }
    if !spec.matches.headers.is_empty() {
        return Err("a preflight carries no header fields of the request, so it would not find the route".to_owned());
    }
    Cors::build(cors).map(Some)
}
