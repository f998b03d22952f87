//! What a service's answer says of an attempt.

use super::world;
use crate::exchange::ResponseHead;
use crate::filters::login_guard::Told;
use crate::filters::login_guard::answers::Answers;
use crate::headers::tests::headers;
use crate::ir;

#[test]
fn what_an_answer_says() {
    let world = world(|spec| {
        spec.failed.status = vec![200];
        spec.failed.header = Some(ir::LoginField { name: "location".to_owned(), value: "/login?".to_owned(), prefix: true });
    });
    let told = |status, fields: &[(&str, &str)]| world.guard.told(&ResponseHead { status, headers: headers(fields) });
    assert_eq!(told(200, &[]), Told::Failed);
    assert_eq!((told(204, &[]), told(302, &[("location", "/home")])), (Told::Passed, Told::Passed));
    assert_eq!(told(302, &[("location", "/login?error=1")]), Told::Failed);
    assert_eq!([400, 401, 403, 422, 429].map(|status| told(status, &[])), [Told::Failed; 5]);
    assert_eq!((told(500, &[]), told(503, &[])), (Told::Broken, Told::Broken));
}

/// What bodies come to, where `failed` and `passed` ask these values: passed or not.
fn read(failed: Option<ir::LoginBody>, passed: Option<ir::LoginBody>, body: &str) -> bool {
    let failed = ir::LoginFailed { body: failed, ..Default::default() };
    let answers = Answers::build(&failed, passed.as_ref()).unwrap();
    assert!(answers.reads_body());
    let head = ResponseHead { status: 200, headers: headers(&[("content-type", "application/json")]) };
    assert_eq!(answers.told(&head), Told::InBody);
    assert_eq!(answers.told(&ResponseHead { status: 302, headers: headers(&[]) }), Told::Failed, "no body that says so");
    answers.read(body.as_bytes()) == Told::Passed
}

fn at(pointer: &str, value: Option<ir::LoginValue>) -> Option<ir::LoginBody> {
    Some(ir::LoginBody { pointer: pointer.to_owned(), value })
}

#[test]
fn an_answer_without_the_object_that_could_say_no_has_failed() {
    for body in ["null", "[]", r#"[{"error": 1}]"#, r#""denied""#, "0", "true"] {
        assert!(!read(at("/error", None), None, body), "{body}");
    }
    assert!(read(at("/error", None), None, "{}"));
    for body in [
        r#"{"data": {"x": {"error": "no"}}}"#,
        r#"{"data": null}"#,
        r#"{"data": {"login": null}}"#,
        r#"{"data": {"login": []}}"#,
        r#"{"data": {"login": "Mutation"}}"#,
        r#"{"data": {"login": {"error": "no"}}}"#,
        "{}",
    ] {
        assert!(!read(at("/data/login/error", None), None, body), "{body}");
        let denied = ir::LoginValue::Text("no".to_owned());
        assert!(!read(at("/data/login/error", Some(denied)), None, body), "{body}");
    }
    assert!(read(at("/data/login/error", None), None, r#"{"data": {"login": {"token": "t", "error": null}}}"#));
    assert!(read(at("/data/login/error", None), None, r#"{"data": {"login": {"token": "t"}}}"#));
}

#[test]
fn what_passed_asks_for_has_to_be_there() {
    for body in [
        "{}",
        "null",
        "[]",
        r#"{"token": null}"#,
        r#"{"token": false}"#,
        r#"{"x": {"token": "t"}}"#,
        r#"{"token": "t", "Token": 1}"#,
        r#"{"token": "t", "token": "t"}"#,
        r#"{"token": "t"} x"#,
    ] {
        assert!(!read(None, at("/token", None), body), "{body}");
    }
    for body in [r#"{"token": "t"}"#, r#"{"token": 0}"#, r#"{"token": {}}"#, r#"{"token": ""}"#] {
        assert!(read(None, at("/token", None), body), "{body}");
    }
    let fine = || at("/state", Some(ir::LoginValue::Text("fine".to_owned())));
    assert!(read(None, fine(), r#"{"state": "fine"}"#));
    for body in [r#"{"state": "Fine"}"#, r#"{"state": ["fine"]}"#, r#"{"state": true}"#, "{}"] {
        assert!(!read(None, fine(), body), "{body}");
    }
    assert!(read(None, at("/ok", Some(ir::LoginValue::Bool(true))), r#"{"ok": true}"#));
    assert!(!read(None, at("/ok", Some(ir::LoginValue::Bool(true))), r#"{"ok": "true"}"#));
    // Both: `failed` goes before.
    assert!(read(at("/error", None), fine(), r#"{"state": "fine"}"#));
    assert!(!read(at("/error", None), fine(), r#"{"state": "fine", "error": "no"}"#));
    assert!(!read(at("/error", None), fine(), r#"{"state": "no"}"#));
}
