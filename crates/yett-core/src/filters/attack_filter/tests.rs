use super::fits;

#[test]
fn a_pointer_fits_step_by_step() {
    assert!(fits("/items/*/note", "/items/3/note"));
    assert!(fits("", ""));
    for (named, pointer) in [("/items/*", "/items/3/note"), ("/items/*/note", "/items/note"), ("/note", "/note/x"), ("/a", "/b")]
    {
        assert!(!fits(named, pointer), "{named} {pointer}");
    }
}

#[test]
fn every_string_of_json_knows_its_way() {
    use crate::filters::request_validation::json::{pointer, strings};
    use crate::ir::JsonBounds;

    let text = br#"{"a": [{"b/c": "x"}, [], ["y", 1, {"d": {}, "e\u0041": "z"}], "w"], "f": null, "g": "v"}"#;
    let bounds = JsonBounds { depth: 9, keys: 99, items: 99, string: 99, number: 9 };
    let mut heard = Vec::new();
    strings(text, &bounds, |said, way, name| heard.push((said.to_owned(), way.pointer(), name))).unwrap();
    let values: Vec<_> = heard.iter().filter(|(.., name)| !name).map(|(said, way, _)| (said.as_str(), way.as_str())).collect();
    assert_eq!(values, [("x", "/a/0/b~1c"), ("y", "/a/2/0"), ("z", "/a/2/2/eA"), ("w", "/a/3"), ("v", "/g")]);
    for (said, way) in values {
        let at = text.windows(said.len() + 2).position(|part| part == format!("\"{said}\"").as_bytes()).unwrap();
        assert_eq!(pointer(text, at), way);
    }
    assert!(heard.contains(&("eA".to_owned(), "/a/2/2/eA".to_owned(), true)));
}
