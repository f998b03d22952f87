//! YAML 1.2 to JSON with the line and column of every key and value.
//!
//! Core schema (YAML 1.2.2 section 10.3), exactly one document. What makes two readers disagree, or a file grow when it
//! is read, is refused: duplicate keys, anchors, aliases, tags, merge keys, keys that are not text, control characters.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

/// Largest document, bytes.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Deepest nesting of mappings and sequences.
pub const MAX_DEPTH: usize = 64;

/// Where and why a document does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl YamlError {
    fn new(line: usize, column: usize, message: impl Into<String>) -> Self {
        Self { line, column, message: message.into() }
    }

    fn at(mark: Marker, message: impl Into<String>) -> Self {
        Self::new(mark.line(), mark.col().saturating_add(1), message)
    }
}

/// Parses one document from bytes; see [`parse`].
///
/// # Errors
/// Where the bytes are too many or not UTF-8, and as [`parse`].
pub fn parse_bytes(bytes: &[u8]) -> Result<String, YamlError> {
    if bytes.len() > MAX_BYTES {
        return Err(YamlError::new(1, 1, "the file is larger than 16 MiB; split it with `include:`"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default();
            let (line, column) = position(valid);
            Err(YamlError::new(line, column, "the file is not UTF-8; save it as UTF-8"))
        }
    }
}

/// Parses one document to the JSON text of `{"value": …, "marks": [line, column, …]}`.
///
/// `marks` holds pairs in document order: for each mapping or sequence its own, then those of its parts; for each entry
/// of a mapping that of the key, then those of the value. Lines and columns count from 1, columns in characters. An empty
/// document is `null`.
///
/// # Errors
/// The first place at which the text is not a document as described at the top of this module.
pub fn parse(text: &str) -> Result<String, YamlError> {
    if text.len() > MAX_BYTES {
        return Err(YamlError::new(1, 1, "the file is larger than 16 MiB; split it with `include:`"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_characters(text)?;
    check_directives(text)?;
    let mut builder = Builder { json: String::with_capacity(text.len()), ..Builder::default() };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| located(text, *error.marker(), error.info()))?;
        builder.event(event, span)?;
    }
    Ok(builder.finish())
}

/// Line and column just after `text`.
fn position(text: &str) -> (usize, usize) {
    let line = text.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1);
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    (line, column)
}

/// Refuses what YAML calls not printable (section 5.1), before a reader can stumble over it.
fn check_characters(text: &str) -> Result<(), YamlError> {
    let bad = |c: char| {
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let Some((index, found)) = text.char_indices().find(|(_, c)| bad(*c)) else { return Ok(()) };
    let (line, column) = position(text.get(..index).unwrap_or_default());
    Err(YamlError::new(line, column, format!("the character U+{:04X} is not allowed; remove it", u32::from(found))))
}

/// Refuses `%YAML 1.1` and `%TAG`: they would change the meaning of what follows.
fn check_directives(text: &str) -> Result<(), YamlError> {
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('%') {
            let message = "directives are not supported; remove the line (this is YAML 1.2)";
            return Err(YamlError::new(index.saturating_add(1), 1, message));
        }
        if !(line.trim().is_empty() || line.trim_start().starts_with('#')) {
            break;
        }
    }
    Ok(())
}

/// A fault that the parser found, at its place. Of a tab the parser names the text before it, which may end lines above.
fn located(text: &str, mark: Marker, info: &str) -> YamlError {
    let message = explain(info);
    let tab = |line: &str| line.chars().take_while(|c| matches!(c, ' ' | '\t')).position(|c| c == '\t');
    let mut below = text.lines().enumerate().skip(mark.line().saturating_sub(1)).filter(|(_, line)| !line.trim().is_empty());
    let found = if info.contains("found a tab") { below.find_map(|(index, line)| Some((index, tab(line)?))) } else { None };
    match found {
        Some((index, column)) => YamlError::new(index.saturating_add(1), column.saturating_add(1), message),
        None => YamlError::at(mark, message),
    }
}

/// Adds what to do to the parser's own words.
fn explain(info: &str) -> String {
    if info.contains("recursion limit") {
        return format!("nested more than {MAX_DEPTH} levels deep");
    }
    let advice = match info {
        i if i.contains("tab") => "; indent with spaces",
        i if i.contains("unknown anchor") => "; anchors and aliases are not supported",
        i if i.contains("did not find expected key") || i.contains("simple key") => {
            "; check the indentation and the `:` after each key"
        }
        i if i.contains("mapping values are not allowed") => {
            "; check the indentation, or put the text in quotes if the `:` belongs to it"
        }
        i if i.contains("quoted scalar") => "; close the quotes",
        i if i.contains("flow") => "; check that brackets and commas are complete",
        _ => "",
    };
    format!("not valid YAML: {info}{advice}")
}

/// A mapping or sequence that is not closed yet.
enum Frame {
    Sequence {
        empty: bool,
    },
    /// `key_read` says that a key waits for its value.
    Mapping {
        seen: HashMap<String, usize>,
        key_read: bool,
    },
}

#[derive(Default)]
struct Builder {
    json: String,
    marks: Vec<usize>,
    frames: Vec<Frame>,
    documents: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let mark = span.start;
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents = self.documents.saturating_add(1);
                if self.documents > 1 {
                    return Err(YamlError::at(mark, "a second document starts here; use one file for each, and `include:`"));
                }
                Ok(())
            }
            Event::Alias(_) => Err(YamlError::at(mark, "aliases are not supported; write the value out, or use a group")),
            Event::Scalar(text, style, anchor, tag) => {
                plain_node(mark, anchor, tag.is_some())?;
                self.scalar(&text, style, mark)
            }
            Event::SequenceStart(anchor, tag) => {
                plain_node(mark, anchor, tag.is_some())?;
                self.open(mark, '[', Frame::Sequence { empty: true })
            }
            Event::MappingStart(anchor, tag) => {
                plain_node(mark, anchor, tag.is_some())?;
                self.open(mark, '{', Frame::Mapping { seen: HashMap::new(), key_read: false })
            }
            Event::SequenceEnd => {
                self.close(']');
                Ok(())
            }
            Event::MappingEnd => {
                self.close('}');
                Ok(())
            }
        }
    }

    fn open(&mut self, mark: Marker, bracket: char, frame: Frame) -> Result<(), YamlError> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(YamlError::at(mark, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        if self.expects_key() {
            return Err(YamlError::at(mark, "a key has to be text, not a list or mapping"));
        }
        self.before_value();
        self.mark(mark);
        self.json.push(bracket);
        self.frames.push(frame);
        Ok(())
    }

    fn close(&mut self, bracket: char) {
        self.frames.pop();
        self.json.push(bracket);
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, mark: Marker) -> Result<(), YamlError> {
        if text.contains('\0') {
            return Err(YamlError::at(mark, "the text contains U+0000; remove it"));
        }
        if self.expects_key() {
            return self.key(text, style, mark);
        }
        let value = if style == ScalarStyle::Plain { resolve(text) } else { Resolved::Text };
        self.before_value();
        self.mark(mark);
        match value {
            Resolved::Text => push_text(&mut self.json, text),
            Resolved::Json(json) => self.json.push_str(&json),
            Resolved::Refused(message) => return Err(YamlError::at(mark, message)),
        }
        Ok(())
    }

    fn key(&mut self, text: &str, style: ScalarStyle, mark: Marker) -> Result<(), YamlError> {
        if style == ScalarStyle::Plain {
            if text == "<<" {
                return Err(YamlError::at(mark, "merge keys are not supported; write the keys out, or use a group"));
            }
            if !matches!(resolve(text), Resolved::Text) {
                return Err(YamlError::at(mark, format!("a key has to be text; write `\"{text}\"`")));
            }
        }
        let Some(Frame::Mapping { seen, key_read }) = self.frames.last_mut() else { return Ok(()) };
        let first = seen.is_empty();
        if let Some(line) = seen.insert(text.to_owned(), mark.line()) {
            let message = format!("the key `{text}` appears twice; the first is on line {line}");
            return Err(YamlError::at(mark, message));
        }
        *key_read = true;
        if !first {
            self.json.push(',');
        }
        push_text(&mut self.json, text);
        self.json.push(':');
        self.mark(mark);
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Mapping { key_read: false, .. }))
    }

    /// The comma between the items of a sequence; the key of a mapping is used up.
    fn before_value(&mut self) {
        match self.frames.last_mut() {
            Some(Frame::Sequence { empty: empty @ true }) => *empty = false,
            Some(Frame::Sequence { .. }) => self.json.push(','),
            Some(Frame::Mapping { key_read, .. }) => *key_read = false,
            None => {}
        }
    }

    fn mark(&mut self, mark: Marker) {
        self.marks.push(mark.line());
        self.marks.push(mark.col().saturating_add(1));
    }

    fn finish(self) -> String {
        let (value, marks) = if self.json.is_empty() { ("null".to_owned(), vec![1, 1]) } else { (self.json, self.marks) };
        let mut out = String::with_capacity(value.len().saturating_add(marks.len().saturating_mul(4)));
        out.push_str("{\"value\":");
        out.push_str(&value);
        out.push_str(",\"marks\":[");
        let mut buffer = itoa::Buffer::new();
        for (index, mark) in marks.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(buffer.format(*mark));
        }
        out.push_str("]}");
        out
    }
}

fn plain_node(mark: Marker, anchor: usize, tagged: bool) -> Result<(), YamlError> {
    if anchor != 0 {
        return Err(YamlError::at(mark, "anchors are not supported; write the value out where it is used, or use a group"));
    }
    if tagged {
        return Err(YamlError::at(mark, "tags are not supported; remove the `!…`, or put the text in quotes"));
    }
    Ok(())
}

fn push_text(json: &mut String, text: &str) {
    // A string always serialises; an empty result would show as invalid JSON, never as another value.
    json.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// What a plain scalar stands for.
enum Resolved {
    Text,
    Json(String),
    Refused(String),
}

/// The core schema, YAML 1.2.2 section 10.3.2. `yes`, `on`, `1_000` and `12:30` are text; `08` is eight.
fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Json("null".to_owned()),
        "true" | "True" | "TRUE" => return Resolved::Json("true".to_owned()),
        "false" | "False" | "FALSE" => return Resolved::Json("false".to_owned()),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Resolved::Text;
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Resolved::Refused(format!("`{text}` is not a number that can be used here"));
    }
    let (digits, radix) = match (unsigned.strip_prefix("0x"), unsigned.strip_prefix("0o")) {
        (Some(hex), _) if unsigned.len() == text.len() => (hex, 16),
        (_, Some(octal)) if unsigned.len() == text.len() => (octal, 8),
        _ => (unsigned, 10),
    };
    if !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)) {
        let too_large = || Resolved::Refused(format!("the number `{text}` is too large; put it in quotes if it is text"));
        let Ok(number) = i64::from_str_radix(digits, radix) else { return too_large() };
        return Resolved::Json(if text.starts_with('-') { number.wrapping_neg() } else { number }.to_string());
    }
    if radix == 10 && is_float(unsigned) {
        return match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Resolved::Json(format!("{number:?}")),
            _ => Resolved::Refused(format!("the number `{text}` is too large; put it in quotes if it is text")),
        };
    }
    Resolved::Text
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_holds = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    mantissa_holds && exponent.is_none_or(|e| !e.is_empty() && digits(e))
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
