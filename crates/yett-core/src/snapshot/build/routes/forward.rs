//! What is done with an allowed request, and what is changed of it and of its answer.

use super::super::Errors;
use super::Draft;
use crate::filters::mirror::Mirror;
use crate::filters::redirect::Redirect;
use crate::filters::request_headers::RequestHeaders;
use crate::filters::respond::Respond;
use crate::filters::response_headers::ResponseHeaders;
use crate::filters::rewrite::Rewrite;
use crate::filters::split::Split;
use crate::ir;
use crate::snapshot::Action;

pub(super) struct Forward {
    pub(super) action: Action,
    pub(super) rewrite: Option<Rewrite>,
    pub(super) request_headers: RequestHeaders,
    pub(super) response_headers: ResponseHeaders,
    pub(super) mirror: Option<Mirror>,
}

impl Draft<'_> {
    pub(super) fn forward(&self, errors: &mut Errors) -> Option<Forward> {
        let (spec, context) = (self.spec, self.context);
        let action = self.action(errors);
        let rewrite = spec.rewrite.as_ref().map(|one| Rewrite::build(&one.path, &self.variables, &spec.path_allow)).transpose();
        let rewrite = errors.take(|| self.at("rewrite"), rewrite);
        let request_headers = errors.take(|| self.at("request_headers"), RequestHeaders::build(&spec.request_headers));
        let response_headers = errors.take(|| self.at("response_headers"), ResponseHeaders::build(&spec.response_headers));
        let mirror = spec.mirror.as_ref().map(|one| Mirror::build(one, spec, &context.services, context.ir)).transpose();
        let mirror = errors.take(|| self.at("mirror"), mirror);
        Some(Forward {
            action: action?,
            rewrite: rewrite?,
            request_headers: request_headers?,
            response_headers: response_headers?,
            mirror: mirror?,
        })
    }

    fn action(&self, errors: &mut Errors) -> Option<Action> {
        match &self.spec.action {
            ir::Action::Forward(shares) => {
                let split = Split::build(shares, &self.context.services);
                errors.take_all(|| self.at("action/forward"), split).map(Action::Forward)
            }
            ir::Action::Redirect(redirect) => {
                errors.take(|| self.at("action/redirect"), Redirect::build(redirect, &self.variables)).map(Action::Redirect)
            }
            ir::Action::Respond(respond) => {
                errors.take(|| self.at("action/respond"), Respond::build(respond)).map(Action::Respond)
            }
        }
    }
}
