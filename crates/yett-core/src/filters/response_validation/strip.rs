//! Takes out of a document what its schema does not know, and nothing else: what stays, stays as it was written.

use serde_json::{Map, Value};

use crate::filters::request_validation::json::document::{Document, Documents};
use crate::filters::request_validation::schema::Schema;
use crate::ir::JsonBounds;

/// Rounds: unknown properties are taken out from the inside, a level at a time.
const ROUNDS: usize = 65;

/// The document without its unknown properties, and without blanks; `None` where it does not fit even then.
pub(super) fn strip(schema: &Schema<Documents>, text: &[u8], bounds: &JsonBounds) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(text).ok()?;
    let mut kept: Option<Vec<u8>> = None;
    for _ in 0..ROUNDS {
        let unknown = {
            let document = Document::read(kept.as_deref().unwrap_or(text), bounds).ok()?;
            if kept.is_some() && schema.fits(document.root()) {
                return kept;
            }
            schema.unknown(document.root()).filter(|unknown| !unknown.is_empty())?
        };
        // The innermost first: around something that does not fit yet, more may look unknown than is.
        let depth = |pointer: &str| pointer.bytes().filter(|byte| *byte == b'/').count();
        let deepest = unknown.iter().map(|(pointer, _)| depth(pointer)).max().unwrap_or(0);
        for (pointer, name) in unknown.iter().filter(|(pointer, _)| depth(pointer) == deepest) {
            if let Some(Value::Object(fields)) = value.pointer_mut(pointer) {
                fields.remove(name);
            }
        }
        kept = Some(cut(text, &value)?);
    }
    None
}

/// The document without the properties that `kept`, read from it and stripped, has lost; without blanks. `None` where the
/// two do not belong together.
pub(super) fn cut(text: &[u8], kept: &Value) -> Option<Vec<u8>> {
    let mut copy = Copy { text, at: 0, out: Vec::with_capacity(text.len()) };
    copy.value(Some(kept))?;
    Some(copy.out)
}

/// A walk over a document that was scanned before, so its depth is bounded.
struct Copy<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

impl<'a> Copy<'a> {
    /// The next byte that is no blank.
    fn next(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Passes the next byte, which has to be this one.
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    /// One value; nothing of it is written where nothing of it is kept.
    fn value(&mut self, kept: Option<&Value>) -> Option<()> {
        match (self.next()?, kept) {
            (b'{', Some(Value::Object(fields))) => self.object(Some(fields)),
            (b'[', Some(Value::Array(items))) => self.array(Some(items)),
            (b'{', None) => self.object(None),
            (b'[', None) => self.array(None),
            (b'{' | b'[', _) => None,
            (_, kept) => {
                let scalar = self.scalar()?;
                self.write(kept.is_some(), scalar);
                Some(())
            }
        }
    }

    fn object(&mut self, kept: Option<&Map<String, Value>>) -> Option<()> {
        self.take(b'{')?;
        self.write(kept.is_some(), b"{");
        let mut written = false;
        while self.next()? != b'}' {
            let name = self.scalar()?;
            self.take(b':')?;
            let field = match kept {
                Some(fields) => fields.get(&serde_json::from_slice::<String>(name).ok()?),
                None => None,
            };
            if field.is_some() {
                self.write(written, b",");
                self.out.extend_from_slice(name);
                self.out.push(b':');
                written = true;
            }
            self.value(field)?;
            if self.next()? == b',' {
                self.at += 1;
            }
        }
        self.write(kept.is_some(), b"}");
        self.take(b'}')
    }

    fn array(&mut self, kept: Option<&[Value]>) -> Option<()> {
        self.take(b'[')?;
        self.write(kept.is_some(), b"[");
        let mut index = 0;
        while self.next()? != b']' {
            let item = match kept {
                Some(items) => Some(items.get(index)?),
                None => None,
            };
            self.write(kept.is_some() && index > 0, b",");
            self.value(item)?;
            if self.next()? == b',' {
                self.at += 1;
            }
            index += 1;
        }
        self.write(kept.is_some(), b"]");
        self.take(b']')
    }

    fn write(&mut self, really: bool, bytes: &[u8]) {
        if really {
            self.out.extend_from_slice(bytes);
        }
    }

    /// A string, number or word, as it is written.
    fn scalar(&mut self) -> Option<&'a [u8]> {
        let string = self.next()? == b'"';
        let rest = self.text.get(self.at..)?;
        let length = if string {
            let mut at = 1;
            loop {
                match rest.get(at)? {
                    b'"' => break at + 1,
                    b'\\' => at += 2,
                    _ => at += 1,
                }
            }
        } else {
            rest.iter()
                .position(|byte| matches!(byte, b',' | b':' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'))
                .unwrap_or(rest.len())
        };
        self.at += length;
        // Nothing would be a loop without an end.
        rest.get(..length).filter(|scalar| !scalar.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{cut, strip};
    use crate::filters::request_validation::schema::Schema;
    use crate::ir::JsonBounds;

    fn stripped(schema: Value, text: &str) -> Option<String> {
        let schema = Schema::build(&schema, true).unwrap();
        let bounds = JsonBounds { depth: 64, keys: 1000, items: 1000, string: 1000, number: 40 };
        strip(&schema, text.as_bytes(), &bounds).map(|kept| String::from_utf8(kept).unwrap())
    }

    #[test]
    fn what_stays_is_as_it_was_written() {
        let schema = json!({"properties": {"z": {}, "price": {"type": "number"}, "lines": {"items": {"properties": {"n": {}}, "additionalProperties": false}}},
            "additionalProperties": false});
        let text = r#" { "price" : 19.990 , "sec{r}et" : { "a\"]" : [ 1 , {} , [] ] } , "\u007a": "\u00e9,\\" , "lines":[{"n":1e2,"x":[{}]},{},{"x":1}], "more":null } "#;
        let wanted = r#"{"price":19.990,"\u007a":"\u00e9,\\","lines":[{"n":1e2},{},{}]}"#;
        assert_eq!(stripped(schema, text).as_deref(), Some(wanted));
    }

    #[test]
    fn properties_that_are_forbidden_by_name() {
        let schema = json!({"properties": {"name": {"type": "string"}, "pin/~": false, "inner": {"properties": {"pin": false}}}});
        let text = r#"{"name":"a","pin/~":1,"inner":{"pin":2,"other":3}}"#;
        assert_eq!(stripped(schema, text).as_deref(), Some(r#"{"name":"a","inner":{"other":3}}"#));
    }

    #[test]
    fn what_is_wrong_otherwise_is_not_mended() {
        for (schema, text) in [
            (json!({"properties": {"a": {"type": "string"}}, "additionalProperties": false}), r#"{"a":1,"b":2}"#),
            (json!({"required": ["a"], "additionalProperties": false}), r#"{"b":2}"#),
            (json!({"items": false}), "[1]"),
            (json!({"properties": {"a": {"not": {}}}}), r#"{"a":1}"#),
            (json!({"properties": {"a": {"if": {}, "then": false}}}), r#"{"a":1}"#),
            (json!(false), "{}"),
            (json!({"type": "object", "additionalProperties": false}), "[]"),
        ] {
            assert_eq!(stripped(schema.clone(), text), None, "{schema}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\\n,:é{}]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-d\"\\\\,]{0,2}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// A value with some properties taken out.
    fn less(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(less).collect(),
            Value::Object(fields) => {
                fields.iter().filter(|(name, _)| !name.contains('a')).map(|(name, field)| (name.clone(), less(field))).collect()
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn what_is_cut_reads_as_what_was_kept(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let kept = less(&value);
            let found = cut(text.as_bytes(), &kept).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Value>(&found).unwrap(), kept);
            if !pretty {
                prop_assert_eq!(cut(text.as_bytes(), &value).unwrap(), text.into_bytes());
            }
        }

        #[test]
        fn any_bytes_end(text in proptest::collection::vec(prop_oneof![Just(b'{'), Just(b'['), Just(b'"'), Just(b','), Just(b':'), any::<u8>()], 0..60)) {
            let _ = cut(&text, &json!({"a": [1]}));
            let _ = cut(&text, &json!([{}, 1]));
        }
    }
}
