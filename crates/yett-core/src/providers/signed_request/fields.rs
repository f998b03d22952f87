//! `Signature-Input`, `Signature` and `Content-Digest`, read as structured fields (RFC 9651): strictly, nothing twice.

use std::fmt;

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, Never, ParameterVisitor, parameter_visitor_with,
};
use sfv::{BareItemFromInput, KeyRef, ListSerializer, Parser, StringRef};

/// Bytes of each of the fields at most, all lines together.
pub const FIELD_BYTES: usize = 8 * 1024;
/// Signatures and digests of a request at most.
pub const MEMBERS: usize = 8;
/// Components that a signature covers at most.
pub const COMPONENTS: usize = 32;

/// What is wrong with a field, without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fault(&'static str);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Fault {}

/// A component that a signature covers (RFC 9421 section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// A field name in lower case, or a derived component with its `@`.
    pub name: Box<str>,
    /// The parameter `name` of `@query-param`.
    pub parameter: Option<Box<str>>,
}

/// One member of `Signature-Input`.
#[derive(Debug, Default)]
pub struct Input {
    /// The label of the signature.
    pub label: Box<str>,
    /// What it covers, in its order.
    pub components: Vec<Component>,
    /// Unix seconds.
    pub created: Option<i64>,
    /// Unix seconds.
    pub expires: Option<i64>,
    /// Of the signer's choice, once.
    pub nonce: Option<Box<str>>,
    /// The algorithm that the signer names.
    pub alg: Option<Box<str>>,
    /// The key that the signer names.
    pub keyid: Option<Box<str>>,
    /// The application that it is for.
    pub tag: Option<Box<str>>,
    /// The value of `@signature-params`: this member without its label, serialized.
    pub parameters: String,
    order: Vec<Parameter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Created,
    Expires,
    Nonce,
    Alg,
    KeyId,
    Tag,
}

/// The members of `Signature-Input`.
///
/// # Errors
/// It is malformed, names something twice, or uses what is not supported.
pub fn inputs(text: &[u8]) -> Result<Vec<Input>, Box<str>> {
    let mut found = Vec::new();
    read("Signature-Input", text, Inputs(&mut found))?;
    for input in &mut found {
        input.parameters = input.serialized().ok_or("`Signature-Input` is malformed")?;
    }
    Ok(found)
}

/// Labels, and the bytes under each.
pub type Sequences = Vec<(Box<str>, Vec<u8>)>;

/// Labels and bytes of the members of `field`: `Signature` or `Content-Digest`.
///
/// # Errors
/// It is malformed, or has a label twice.
pub fn byte_sequences(field: &'static str, text: &[u8]) -> Result<Sequences, Box<str>> {
    let mut found = Vec::new();
    read(field, text, Bytes(&mut found))?;
    Ok(found)
}

fn read<'de>(field: &str, text: &'de [u8], visitor: impl DictionaryVisitor<'de, Out = ()>) -> Result<(), Box<str>> {
    if text.len() > FIELD_BYTES {
        return Err(format!("`{field}` is longer than {FIELD_BYTES} bytes").into());
    }
    // What the parser says names places, never values.
    Parser::new(text).parse_dictionary_with_visitor(visitor).map_err(|error| format!("`{field}` is malformed: {error}").into())
}

struct Inputs<'a>(&'a mut Vec<Input>);

impl<'de> DictionaryVisitor<'de> for Inputs<'_> {
    type Out = ();
    type Error = Fault;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Fault> {
        if self.0.iter().any(|input| *input.label == *key.as_str()) {
            return Err(Fault("a label stands twice"));
        }
        if self.0.len() >= MEMBERS {
            return Err(Fault("there are too many signatures"));
        }
        self.0.push(Input { label: key.as_str().into(), ..Input::default() });
        self.0.last_mut().map(Member).ok_or(Fault("no member"))
    }

    fn finish(self) -> Result<(), Fault> {
        Ok(())
    }
}

struct Member<'a>(&'a mut Input);

impl<'de> EntryVisitor<'de> for Member<'_> {
    type Error = Fault;

    fn item(self) -> Result<impl ItemVisitor<'de>, Fault> {
        Err::<Never, _>(Fault("a member is no list of components"))
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Fault> {
        Ok(self)
    }
}

impl<'de> InnerListVisitor<'de> for Member<'_> {
    type Error = Fault;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, Fault> {
        if self.0.components.len() >= COMPONENTS {
            return Err(Fault("a signature covers too many components"));
        }
        Ok(NewComponent(&mut self.0.components))
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, Fault> {
        Ok(Parameters(self.0))
    }
}

struct NewComponent<'a>(&'a mut Vec<Component>);

impl<'de> ItemVisitor<'de> for NewComponent<'_> {
    type Out = ();
    type Error = Fault;

    fn bare_item(self, value: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de, Out = ()>, Fault> {
        match value {
            BareItemFromInput::String(name) if is_component(name.as_str()) => {
                self.0.push(Component { name: name.as_str().into(), parameter: None });
                self.0.last_mut().map(Of).ok_or(Fault("no component"))
            }
            _ => Err(Fault("a component is no field name in lower case, and no derived one")),
        }
    }
}

fn is_component(name: &str) -> bool {
    let rest = name.strip_prefix('@').unwrap_or(name);
    !rest.is_empty()
        && rest.len() <= 64
        && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Parameters of a component. `sf`, `key`, `bs`, `tr` and `req` change what is signed, and none of them is supported.
struct Of<'a>(&'a mut Component);

impl<'de> ParameterVisitor<'de> for Of<'_> {
    type Out = ();
    type Error = Fault;

    fn parameter(&mut self, key: &'de KeyRef, value: BareItemFromInput<'de>) -> Result<(), Fault> {
        match value {
            BareItemFromInput::String(name)
                if key.as_str() == "name" && &*self.0.name == "@query-param" && self.0.parameter.is_none() =>
            {
                self.0.parameter = Some(name.as_str().into());
                Ok(())
            }
            _ => Err(Fault("a component has a parameter that is not supported")),
        }
    }

    fn finish(self) -> Result<(), Fault> {
        Ok(())
    }
}

struct Parameters<'a>(&'a mut Input);

impl<'de> ParameterVisitor<'de> for Parameters<'_> {
    type Out = ();
    type Error = Fault;

    fn parameter(&mut self, key: &'de KeyRef, value: BareItemFromInput<'de>) -> Result<(), Fault> {
        let (parameter, own) = match key.as_str() {
            "created" => (Parameter::Created, Own::Moment(&mut self.0.created)),
            "expires" => (Parameter::Expires, Own::Moment(&mut self.0.expires)),
            "nonce" => (Parameter::Nonce, Own::Text(&mut self.0.nonce)),
            "alg" => (Parameter::Alg, Own::Text(&mut self.0.alg)),
            "keyid" => (Parameter::KeyId, Own::Text(&mut self.0.keyid)),
            "tag" => (Parameter::Tag, Own::Text(&mut self.0.tag)),
            _ => return Err(Fault("a signature has a parameter that is not known")),
        };
        match (own, value) {
            (Own::Moment(slot @ None), BareItemFromInput::Integer(seconds)) => *slot = Some(seconds.into()),
            (Own::Text(slot @ None), BareItemFromInput::String(text)) => *slot = Some(text.as_str().into()),
            (Own::Moment(Some(_)) | Own::Text(Some(_)), _) => return Err(Fault("a signature has a parameter twice")),
            _ => return Err(Fault("a parameter of a signature has the wrong type")),
        }
        self.0.order.push(parameter);
        Ok(())
    }

    fn finish(self) -> Result<(), Fault> {
        Ok(())
    }
}

enum Own<'a> {
    Moment(&'a mut Option<i64>),
    Text(&'a mut Option<Box<str>>),
}

impl Input {
    fn serialized(&self) -> Option<String> {
        let mut out = String::new();
        let mut list = ListSerializer::with_buffer(&mut out);
        let mut inner = list.inner_list();
        for component in &self.components {
            let item = inner.bare_item(StringRef::from_str(&component.name).ok()?);
            if let Some(name) = &component.parameter {
                let _ = item.parameter(KeyRef::from_str("name").ok()?, StringRef::from_str(name).ok()?);
            }
        }
        let mut parameters = inner.finish();
        for parameter in &self.order {
            let (name, text, moment) = match parameter {
                Parameter::Created => ("created", None, self.created),
                Parameter::Expires => ("expires", None, self.expires),
                Parameter::Nonce => ("nonce", self.nonce.as_ref(), None),
                Parameter::Alg => ("alg", self.alg.as_ref(), None),
                Parameter::KeyId => ("keyid", self.keyid.as_ref(), None),
                Parameter::Tag => ("tag", self.tag.as_ref(), None),
            };
            let name = KeyRef::from_str(name).ok()?;
            parameters = match (text, moment) {
                (Some(text), _) => parameters.parameter(name, StringRef::from_str(text).ok()?),
                (None, Some(moment)) => parameters.parameter(name, sfv::Integer::try_from(moment).ok()?),
                (None, None) => return None,
            };
        }
        Some(out)
    }
}

struct Bytes<'a>(&'a mut Sequences);

impl<'de> DictionaryVisitor<'de> for Bytes<'_> {
    type Out = ();
    type Error = Fault;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Fault> {
        if self.0.iter().any(|(label, _)| **label == *key.as_str()) {
            return Err(Fault("a label stands twice"));
        }
        if self.0.len() >= MEMBERS {
            return Err(Fault("there are too many members"));
        }
        Ok(OneSequence(self.0, key.as_str().into()))
    }

    fn finish(self) -> Result<(), Fault> {
        Ok(())
    }
}

struct OneSequence<'a>(&'a mut Sequences, Box<str>);

impl<'de> EntryVisitor<'de> for OneSequence<'_> {
    type Error = Fault;

    fn item(self) -> Result<impl ItemVisitor<'de>, Fault> {
        let Self(list, label) = self;
        Ok(move |value: BareItemFromInput<'de>| match value {
            BareItemFromInput::ByteSequence(bytes) => {
                list.push((label, bytes));
                Ok(parameter_visitor_with(Ignored, |()| Ok(())))
            }
            _ => Err(Fault("a member is no byte sequence")),
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Fault> {
        Err::<Never, _>(Fault("a member is no byte sequence"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str =
        "sig1=(\"@method\" \"@query-param\";name=\"Pet\" \"content-type\");created=1618884473;keyid=\"a\\\"b\";nonce=\"n\"";

    #[test]
    fn an_input_is_read_and_written_again() {
        let found = inputs(LINE.as_bytes()).unwrap();
        let [input] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&*input.label, input.created, input.keyid.as_deref()), ("sig1", Some(1_618_884_473), Some("a\"b")));
        assert_eq!(input.components.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["@method", "@query-param", "content-type"]);
        assert_eq!(input.components[1].parameter.as_deref(), Some("Pet"));
        assert_eq!(format!("sig1={}", input.parameters), LINE);
        let odd = inputs(b"a=(  \"@method\"   \"date\"  );keyid=\"k\";created=5,  b=();tag=\"t\"").unwrap();
        assert_eq!(odd[0].parameters, "(\"@method\" \"date\");keyid=\"k\";created=5");
        assert_eq!(odd[1].parameters, "();tag=\"t\"");
    }

    #[test]
    fn what_is_odd_is_refused() {
        for text in [
            "a=(\"date\");created=1, a=(\"date\");created=2",
            "a=(\"date\");created=1;created=2",
            "a=(\"@query-param\";name=\"x\";name=\"y\")",
            "a=(\"date\";sf)",
            "a=(\"date\";key=\"x\")",
            "a=(\"date\";bs)",
            "a=(\"@method\";req)",
            "a=(\"date\";tr)",
            "a=(\"Date\")",
            "a=(date)",
            "a=(1)",
            "a=\"date\"",
            "a",
            "a=(\"date\");created=\"1\"",
            "a=(\"date\");created=1.0",
            "a=(\"date\");created=@1",
            "a=(\"date\");keyid=token",
            "a=(\"date\");keyid=:YQ==:",
            "a=(\"date\");other=1",
            "a=(\"date\"",
            "a=(\"da te\")",
            "a=(\"\")",
            "A=(\"date\")",
            "a=(\"date\"), ",
            "a=(\"date\");keyid=\"caf\u{e9}\"",
        ] {
            assert!(inputs(text.as_bytes()).is_err(), "{text}");
        }
        let many = |count: usize| (0..count).map(|n| format!("a{n}=()")).collect::<Vec<_>>().join(", ");
        assert!(inputs(many(MEMBERS).as_bytes()).is_ok() && inputs(many(MEMBERS + 1).as_bytes()).is_err());
        let wide = |count: usize| format!("a=({})", (0..count).map(|n| format!("\"x{n}\"")).collect::<Vec<_>>().join(" "));
        assert!(inputs(wide(COMPONENTS).as_bytes()).is_ok() && inputs(wide(COMPONENTS + 1).as_bytes()).is_err());
        assert!(inputs(&vec![b'a'; FIELD_BYTES + 1]).is_err());
    }

    #[test]
    fn sequences() {
        let found = byte_sequences("Signature", b"sig1=:YWJj:, b=:ZGVm:").unwrap();
        assert_eq!(found, [("sig1".into(), b"abc".to_vec()), ("b".into(), b"def".to_vec())]);
        for text in ["a=:YQ==:, a=:YQ==:", "a=YQ", "a", "a=(:YQ==:)", "a=:Y*==:", "a=\"YQ==\"", "a=:YQ==", ""] {
            let outcome = byte_sequences("Signature", text.as_bytes());
            assert!(outcome.is_err() || outcome.unwrap().is_empty(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = inputs(&text);
            let _ = byte_sequences("Signature", &text);
        }

        #[test]
        fn what_was_written_is_read_alike(
            names in prop::collection::hash_set("@?[a-z][a-z0-9-]{0,10}", 0..5), keyid in "[ -~]{0,20}", created in 0i64..999_999_999_999_999,
        ) {
            let list = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" ");
            let escaped = keyid.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("x=({list});created={created};keyid=\"{escaped}\"");
            let found = inputs(text.as_bytes()).unwrap();
            prop_assert_eq!(found[0].keyid.as_deref(), Some(keyid.as_str()));
            prop_assert_eq!(format!("x={}", found[0].parameters), text);
        }
    }
}
