//! JSON Pointers (RFC 6901) of a configuration, and what they lead to.

use serde_json::{Map, Value};

/// Says why it is none, or leads nowhere.
///
/// # Errors
/// No `/` before it, a `~` before anything but 0 and 1 (section 3), and `-` at a step: the place after the last item (section 4),
/// where nothing stands.
pub fn check(pointer: &str) -> Result<(), String> {
    let escaped = |step: &str| step.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if pointer.starts_with('/') && pointer.split('/').all(|step| step != "-" && escaped(step)) {
        return Ok(());
    }
    Err(format!("`{pointer}` is no JSON Pointer (RFC 6901) to a value; write one such as `/email`"))
}

/// The object in which its last name is, or could be; nothing where there is no such object.
pub fn parent<'a>(json: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    json.pointer(pointer.rsplit_once('/')?.0)?.as_object()
}

#[cfg(test)]
mod tests {
    use super::{check, parent};
    use serde_json::json;

    #[test]
    fn pointers_that_lead_nowhere_are_none() {
        for good in ["/", "/a", "/a/b", "/a~0b", "/a~1b", "/a~01", "/a/", "/a/0", "/a-b", "/--"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "a", "a/b", "/~", "/a~", "/a~2b", "/~/0", "/a/-", "/-", "/-/a"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_an_object_is_a_parent() {
        let json = json!({"a": {"b": 1, "c": [{"d": 1}]}});
        for (pointer, there) in
            [("/x", true), ("/a/x", true), ("/a/c/0/x", true), ("/x/y", false), ("/a/b/x", false), ("/a/c/0", false), ("", false)]
        {
            assert_eq!(parent(&json, pointer).is_some(), there, "{pointer}");
        }
        assert!(parent(&json!([]), "/x").is_none() && parent(&json!(null), "/x").is_none() && parent(&json!({}), "/x").is_some());
    }
}
