use jsonschema::json::SerdeJson;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Document, Documents};
use crate::filters::request_validation::json::scan;
use crate::filters::request_validation::schema::Schema;
use crate::ir::JsonBounds;

const BOUNDS: JsonBounds = JsonBounds { depth: 64, keys: 1000, items: 1000, string: 1000, number: 400 };

fn read(text: &str) -> Value {
    use jsonschema::json::Node as _;
    Document::read(text.as_bytes(), &BOUNDS).unwrap().root().to_value().into_owned()
}

/// The document as `jsonschema` walks it, put together anew.
fn walked(node: super::Node<'_>) -> Value {
    use jsonschema::json::{Array, JsonNumber, Node, Object};
    if let Some(object) = node.as_object() {
        let fields: serde_json::Map<_, _> = object.members().map(|(name, value)| (name.to_owned(), walked(value))).collect();
        assert_eq!(Object::len(&object), fields.len());
        for name in fields.keys() {
            assert_eq!(object.get(&name.as_str().into()).map(walked).as_ref(), fields.get(name));
        }
        assert!(object.get(&"no such name".into()).is_none());
        return Value::Object(fields);
    }
    if let Some(array) = node.as_array() {
        assert_eq!(Array::len(&array), array.elements().count());
        return array.elements().map(walked).collect();
    }
    if let Some(number) = node.as_number() {
        return Value::Number(number.to_number().into_owned());
    }
    match (node.as_string(), node.as_boolean()) {
        (Some(text), None) => text.into_owned().into(),
        (None, Some(value)) => value.into(),
        _ => {
            assert!(node.is_null());
            Value::Null
        }
    }
}

#[test]
fn what_is_read_is_what_was_written() {
    for text in [
        "null",
        " [ ] ",
        "{ }",
        r#" { "a" : [ 1 , -2.5e3 , true , false , null , "x" , { } , [ [ ] ] ] , "\u0062\n" : "\ud83d\ude00 é\\" } "#,
        r#"{"i":9,"h":8,"g":7,"f":{"a":1},"e":5,"\u0064":4,"c":3,"b":[2],"a":1}"#,
        r#"{"i":9,"h":8,"g":7,"f":{"a":1},"e":5,"d":4,"c":3,"b":[2],"a":1,"":0}"#,
        "[0,-0,1e0,18446744073709551615,-9223372036854775808,123456789012345678,999999999999999999,0.1,1.5e-7]",
        r#""""#,
    ] {
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read(text), expected, "{text}");
        assert_eq!(walked(Document::read(text.as_bytes(), &BOUNDS).unwrap().root()), expected, "{text}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-3_i32..3).prop_map(|number| Value::from(f64::from(number) / 2.0)),
        any::<f64>().prop_filter_map("no number", |number| serde_json::Number::from_f64(number).map(Value::Number)),
        "[a-c\"\\\\\n é]{0,4}".prop_map(Value::from),
        "[a-c]{8,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 12, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-d\"\\\\]{0,2}", inner, 0..12)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!(false)),
        prop_oneof![
            Just("string"),
            Just("integer"),
            Just("number"),
            Just("object"),
            Just("array"),
            Just("null"),
            Just("boolean")
        ]
        .prop_map(|kind| json!({"type": kind})),
        (0_u32..4, 0_u32..4).prop_map(|(least, most)| json!({"minLength": least, "maxLength": most})),
        (-2_i32..3, -2_i32..3).prop_map(|(least, most)| json!({"minimum": least, "exclusiveMaximum": f64::from(most) / 2.0})),
        (1_u32..4).prop_map(|number| json!({"multipleOf": f64::from(number) / 2.0})),
        any_json().prop_map(|value| json!({"const": value})),
        proptest::collection::vec(any_json(), 1..4).prop_map(|values| json!({"enum": values})),
        Just(json!({"pattern": "^[ab]+$"})),
        Just(json!({"uniqueItems": true})),
        Just(json!({"maxProperties": 2, "minItems": 1})),
        Just(json!({"propertyNames": {"maxLength": 1}})),
        Just(json!({"$ref": "#"})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let several = || proptest::collection::vec(inner.clone(), 1..3);
        let properties = proptest::collection::btree_map("[a-d\"]{0,2}", inner.clone(), 0..5);
        prop_oneof![
            (properties, proptest::collection::vec("[a-d]{1,2}", 0..3), inner.clone()).prop_map(
                |(properties, mut required, more)| {
                    required.sort();
                    required.dedup();
                    json!({"properties": properties, "required": required, "additionalProperties": more})
                }
            ),
            inner.clone().prop_map(|items| json!({"items": items})),
            (inner.clone(), inner.clone()).prop_map(|(first, rest)| json!({"prefixItems": [first], "unevaluatedItems": rest})),
            several().prop_map(|all| json!({"allOf": all, "unevaluatedProperties": false})),
            several().prop_map(|any| json!({"anyOf": any})),
            several().prop_map(|one| json!({"oneOf": one})),
            inner.clone().prop_map(|not| json!({"not": not})),
            inner.clone().prop_map(|contains| json!({"contains": contains})),
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| json!({"if": one, "then": other.clone(), "else": {"not": other}})),
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| json!({"patternProperties": {"^a": one}, "additionalProperties": other})),
            inner.clone().prop_map(|names| json!({"propertyNames": names})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_document_reads_as_its_value(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read(&text), &value);
        prop_assert_eq!(walked(Document::read(text.as_bytes(), &BOUNDS).unwrap().root()), value);
    }

    /// The same verdict, and the same faults at the same places, as of the value that `serde_json` reads.
    #[test]
    fn a_schema_says_the_same_of_both(schema in any_schema(), values in proptest::collection::vec(any_json(), 1..5)) {
        // Some chains of references to themselves do not compile, in either.
        let (Ok(of_document), Ok(of_value)) = (Schema::<Documents>::build(&schema, true), Schema::<SerdeJson>::build(&schema, true))
        else { return Ok(()) };
        for value in values {
            let text = serde_json::to_string(&value).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            let document = Document::read(text.as_bytes(), &BOUNDS).unwrap();
            prop_assert_eq!(of_document.fits(document.root()), of_value.fits(&value), "{} {}", &schema, &text);
            // The order of names differs: as they were written, or by what they say.
            let sorted = |found: Result<(), Box<[crate::body::FieldError]>>| {
                let mut found: Vec<String> = found.err().unwrap_or_default().iter().map(|error| error.document().to_string()).collect();
                found.sort();
                found
            };
            let (one, other) = (sorted(of_document.check(document.root(), text.len())), sorted(of_value.check(&value, text.len())));
            if one.len() < crate::body::MAX_ERRORS {
                prop_assert_eq!(one, other, "{} {}", &schema, &text);
            }
            prop_assert_eq!(of_document.unknown(document.root()).map(|found| found.len()), of_value.unknown(&value).map(|found| found.len()));
        }
    }

    /// Whatever the scan takes can be read, and nothing else.
    #[test]
    fn any_text_is_read_as_it_is_scanned(text in "[\\[\\]{}\",:\\\\u0-9a-e.\\-+ é\u{1}]{0,40}") {
        let document = Document::read(text.as_bytes(), &BOUNDS);
        prop_assert_eq!(document.as_ref().map(|_| ()).map_err(|fault| *fault), scan(text.as_bytes(), &BOUNDS));
        if let Ok(document) = document {
            prop_assert_eq!(walked(document.root()), serde_json::from_str::<Value>(&text).unwrap());
        }
    }
}

#[test]
fn equal_items_are_found_and_no_others() {
    for (text, unique) in [
        ("[1, 1.0]", false),
        ("[0, -0.0]", false),
        ("[10, 1e1]", false),
        ("[1, true, \"1\", null, [1], {\"1\": 1}, 1.5, -1]", true),
        ("[{\"a\": 1, \"b\": [2]}, {\"b\": [2.0], \"a\": 1}]", false),
        ("[{\"a\": 1}, {\"a\": 2}, {\"a\": {}}, {\"a\": []}]", true),
        ("[[], [[]], [[], []], [[[]]], [[[]], []], [[], [[]]]]", true),
        ("[[[], [[]]], [[], [[]]]]", false),
        ("[\"a\", \"\\u0061\"]", false),
        ("[\"a\\\"b\", [\"a\", \"b\"]]", true),
        ("[]", true),
    ] {
        let document = Document::read(text.as_bytes(), &BOUNDS).unwrap();
        let array = jsonschema::json::Node::as_array(&document.root()).unwrap();
        assert_eq!(jsonschema::json::Array::is_unique(&array), unique, "{text}");
    }
}
