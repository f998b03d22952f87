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
