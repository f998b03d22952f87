//! SQL that leaves its place. A value stands in a statement as it is, or between quotes: read from where it would get out of
//! there, it has to go on as a statement does. What only holds SQL, as a text about it, begins with something else.

use smallvec::SmallVec;

use super::class::Class;
use super::filter::Filter;
use super::sql_tokens::{Token, Tokens};

/// Tokens that are read behind the place where a value gets out.
const MOST: usize = 40;

/// Where a value is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Behind the quote that ends it.
    Quote,
    /// Behind a number.
    Number,
    /// Behind a word, or from its beginning.
    Word,
}

/// What an operand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operand {
    Literal,
    /// `true`, `null`
    Constant,
    Name,
    /// A function of databases.
    Function,
    /// Another function.
    Call,
    /// `(select …`, `case when`, `@@version`
    Query,
}

type Found = Option<(&'static str, u8)>;

/// Reads a value in each place that it may stand in.
pub(super) fn examine(text: &[u8], filter: &mut Filter<'_>) {
    if !filter.wants(Class::Sql, 5) {
        return;
    }
    let mut found = as_it_is(text);
    for quote in *b"'\"" {
        if found.is_some_and(|(_, score)| score >= 5) {
            break;
        }
        if let Some((before, after)) = closing(text, quote) {
            let tokens = read(Tokens::new(after));
            let one = behind(&tokens, From::Quote).or_else(|| comment(&tokens, before));
            found = found.max_by_score(one);
        }
    }
    if let Some((rule, score)) = found {
        filter.add(Class::Sql, rule, score);
    }
}

trait Higher {
    fn max_by_score(self, other: Found) -> Found;
}

impl Higher for Found {
    fn max_by_score(self, other: Found) -> Found {
        match (self, other) {
            (Some(one), Some(two)) if two.1 > one.1 => Some(two),
            (one, two) => one.or(two),
        }
    }
}

/// What stands before and behind the first quote that ends a text: two of them are one character.
fn closing(text: &[u8], quote: u8) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr(quote, text.get(from..)?)?;
        // A value of two quotes, or one that goes on behind them, is out.
        if text.get(at + 1) == Some(&quote) && at + 2 < text.len() {
            from = at + 2;
            continue;
        }
        return text.split_at_checked(at).map(|(before, rest)| (before, rest.get(1..).unwrap_or_default()));
    }
}

fn read<'t>(tokens: Tokens<'t>) -> SmallVec<[Token<'t>; MOST]> {
    tokens.take(MOST).collect()
}

/// `admin'--`: the rest of the statement is hidden, and nothing else is said.
fn comment(tokens: &[Token<'_>], before: &[u8]) -> Found {
    let after = closed(tokens);
    let after = match after {
        [Token::Semicolon, rest @ ..] => rest,
        other => other,
    };
    let [Token::Comment(said)] = after else { return None };
    let words = before.trim_ascii().split(|byte| *byte == b' ').count();
    (*said <= 2 && words <= 2 && before.len() <= 64).then_some(("sql-comment", 5))
}

fn as_it_is(text: &[u8]) -> Found {
    let mut tokens = Tokens::new(text);
    let first = match tokens.next()? {
        Token::Math(b'-' | b'+') => tokens.next()?,
        other => other,
    };
    match first {
        Token::Number | Token::Variable | Token::Text => {
            let all = read(tokens);
            let mut rest = all.as_slice();
            // `1-0 union …`
            while let [Token::Math(_), Token::Number | Token::Variable | Token::Text, after @ ..] = rest {
                rest = after;
            }
            behind(rest, if first == Token::Text { From::Word } else { From::Number })
        }
        Token::Word(word) if is_logic(word) || matches!(word, b"union" | b"order" | b"having" | b"if" | b"case" | b"rlike") => {
            let all = read(Tokens::new(text));
            if word == b"if" { dangerous(&all).then_some(("sql-function", 5)) } else { behind(&all, From::Word) }
        }
        // Statements of a script are no way out of one.
        Token::Word(b"begin" | b"commit" | b"rollback" | b"go" | b"end" | b"start" | b"select") => None,
        Token::Word(b"null" | b"true" | b"false") => behind(&read(tokens), From::Number),
        // `pg_sleep(5)#`, and nothing else
        Token::Word(name) if dangerous(&[first, Token::Open]) => {
            let all = read(tokens);
            let rest = if let [Token::Open, inner @ ..] = all.as_slice() { behind_arguments(inner) } else { return None };
            let alone = matches!(rest, [] | [Token::Comment(0..=2) | Token::Semicolon]);
            let sure = !rest.is_empty() || matches!(name, b"pg_sleep" | b"benchmark" | b"randomblob");
            let argued = all.len() > 2;
            (alone && argued).then_some(("sql-function", if sure && name != b"user" { 5 } else { 3 }))
        }
        Token::Word(_) => behind(&read(tokens), From::Word),
        Token::Close | Token::Semicolon | Token::Logic => behind(&read(Tokens::new(text)), From::Word),
        Token::Open => {
            let all = read(Tokens::new(text));
            let inner = opened(&all);
            matches!(inner, [Token::Word(b"select"), ..])
                .then(|| if dangerous(inner) { ("sql-subquery", 5) } else { ("sql-subquery", 2) })
        }
        _ => None,
    }
}

fn is_logic(word: &[u8]) -> bool {
    matches!(word, b"and" | b"or" | b"xor")
}

fn closed<'s, 't>(mut tokens: &'s [Token<'t>]) -> &'s [Token<'t>] {
    while let [Token::Close, rest @ ..] = tokens {
        tokens = rest;
    }
    tokens
}

fn opened<'s, 't>(mut tokens: &'s [Token<'t>]) -> &'s [Token<'t>] {
    while let [
        Token::Open | Token::Math(b'!' | b'~' | b'-' | b'+') | Token::Word(b"not" | b"binary" | b"all" | b"distinct"),
        rest @ ..,
    ] = tokens
    {
        tokens = rest;
    }
    tokens
}

/// What goes on behind the place where a value got out.
fn behind(tokens: &[Token<'_>], from: From) -> Found {
    let tokens = closed(tokens);
    let (first, rest) = tokens.split_first()?;
    match first {
        Token::Logic => condition(rest, from),
        Token::Word(word) if is_logic(word) => condition(rest, from),
        Token::Word(b"union" | b"except" | b"intersect" | b"minus") => union(rest, from),
        Token::Semicolon => statement(rest).or_else(|| {
            // `'; select …` of a script that is broken over lines
            matches!(rest, [Token::Word(b"waitfor"), ..]).then_some(("sql-stacked", 5))
        }),
        Token::Word(b"exec" | b"execute" | b"insert" | b"grant" | b"delete" | b"drop") if from == From::Quote => {
            statement(tokens)
        }
        Token::Word(b"waitfor") => matches!(rest, [Token::Word(b"delay" | b"time"), Token::Text, ..]).then_some(("sql-time", 5)),
        Token::Word(b"order" | b"group") => order(rest, from),
        Token::Word(b"having") => having(rest, from),
        Token::Word(b"limit") if from != From::Word => limit(rest),
        Token::Word(b"procedure") => matches!(rest, [Token::Word(b"analyse"), Token::Open, ..]).then_some(("sql-function", 5)),
        Token::Word(b"into") => {
            matches!(rest, [Token::Word(b"outfile" | b"dumpfile"), Token::Text, ..]).then_some(("sql-file", 5))
        }
        Token::Word(b"like" | b"rlike" | b"regexp" | b"in" | b"between" | b"is" | b"sounds") | Token::Compare => {
            compared(rest, from, matches!(first, Token::Compare))
        }
        Token::Math(_) | Token::Comma if from != From::Word => {
            let (operand, after) = operand(rest)?;
            let sure = operand == Operand::Query || dangerous(rest) || operand == Operand::Function && from == From::Quote;
            if sure {
                return Some(("sql-subquery", 5));
            }
            // `'+'a` does no harm; `'-0--` does.
            (from == From::Quote && operand == Operand::Literal && matches!(after, [Token::Comment(0..=2)]))
                .then_some(("sql-comment", 5))
        }
        _ => None,
    }
}

/// Behind `and` or `or`.
fn condition(tokens: &[Token<'_>], from: From) -> Found {
    if let [Token::Word(b"exists"), Token::Open, Token::Word(b"select"), ..] = tokens {
        return Some(("sql-subquery", 5));
    }
    if let [Token::Word(b"not"), Token::Word(b"exists"), ..] = tokens {
        return Some(("sql-subquery", 5));
    }
    let (left, after) = operand(tokens)?;
    match left {
        Operand::Query => return Some(("sql-subquery", 5)),
        Operand::Function if from != From::Word || dangerous(tokens) => return Some(("sql-function", 5)),
        _ => {}
    }
    let literal = |one: Operand| matches!(one, Operand::Literal | Operand::Constant);
    let after = closed(after);
    match after {
        [Token::Compare | Token::Word(b"like" | b"rlike" | b"regexp" | b"in" | b"between" | b"is" | b"sounds"), rest @ ..] => {
            let word = matches!(after, [Token::Word(_), ..]);
            let Some((right, end)) = operand(rest) else {
                // `' or '1'='`: the quote of the statement makes the rest.
                return (from == From::Quote && literal(left)).then_some(("sql-tautology", 5));
            };
            if matches!(right, Operand::Query | Operand::Function) {
                return Some(("sql-subquery", 5));
            }
            if from == From::Quote && matches!(closed(end), [Token::Comment(0..=2)]) {
                return Some(("sql-tautology", 5));
            }
            let literals = usize::from(literal(left)) + usize::from(literal(right));
            let needed = match from {
                From::Quote => usize::from(!word) + usize::from(word && right == Operand::Name),
                From::Number => 1,
                From::Word => 2,
            };
            (literals >= needed).then_some(("sql-tautology", 5))
        }
        [] | [Token::Comment(0..=2)] | [Token::Semicolon, ..] => match (left, from) {
            (Operand::Constant, From::Quote | From::Number) => Some(("sql-tautology", 5)),
            (Operand::Literal, From::Quote) => {
                let whole = matches!(tokens, [Token::Number, ..]) || matches!(after, [Token::Comment(_)]);
                Some(("sql-tautology", if whole { 5 } else { 3 }))
            }
            (Operand::Literal, From::Number) => Some(("sql-tautology", if matches!(after, [Token::Comment(_)]) { 5 } else { 2 })),
            _ => None,
        },
        [Token::Logic, ..] if from == From::Quote && literal(left) => Some(("sql-tautology", 4)),
        [Token::Word(word), ..]
            if from == From::Quote
                && literal(left)
                && (is_logic(word) || matches!(*word, b"limit" | b"order" | b"group" | b"union")) =>
        {
            Some(("sql-tautology", if matches!(tokens, [Token::Text, ..]) { 3 } else { 5 }))
        }
        _ => None,
    }
}

/// Behind a comparison that follows the quote itself.
fn compared(tokens: &[Token<'_>], from: From, sign: bool) -> Found {
    let (right, after) = operand(tokens)?;
    match right {
        Operand::Query => Some(("sql-subquery", 5)),
        Operand::Function if from == From::Quote && sign => Some(("sql-function", 5)),
        Operand::Literal | Operand::Constant if from == From::Quote => {
            let hides = matches!(closed(after), [Token::Comment(0..=2)]);
            Some(("sql-tautology", if hides { 5 } else { 2 }))
        }
        _ => None,
    }
}

fn union(tokens: &[Token<'_>], from: From) -> Found {
    let [Token::Word(b"select" | b"values"), list @ ..] = opened(tokens) else { return None };
    let list = opened(list);
    // Nobody writes a parenthesis there but for SQL.
    let from = if matches!(tokens, [Token::Open, ..]) { From::Number } else { from };
    let sure = match list {
        [Token::Number | Token::Text | Token::Variable | Token::Word(b"null" | b"top"), ..] => true,
        [Token::Math(b'*'), ..] => true,
        [Token::Word(_), Token::Comma | Token::Open, ..] => true,
        [Token::Word(_), Token::Word(b"from"), table @ ..] => from != From::Word && ends(table),
        [] => from != From::Word,
        [Token::Word(_), ..] => from == From::Number,
        _ => false,
    };
    sure.then_some(("sql-union", 5))
}

/// Whether a statement goes on behind its table, where a sentence would go on with a word.
fn ends(table: &[Token<'_>]) -> bool {
    match table {
        [Token::Word(_), Token::Word(next), ..] => matches!(
            *next,
            b"where"
                | b"limit"
                | b"order"
                | b"group"
                | b"having"
                | b"join"
                | b"inner"
                | b"left"
                | b"as"
                | b"union"
                | b"into"
                | b"for"
        ),
        _ => true,
    }
}

/// A second statement, by more than its verb: all of them are English words as well.
fn statement(tokens: &[Token<'_>]) -> Found {
    let (first, rest) = tokens.split_first()?;
    let Token::Word(verb) = first else { return None };
    let known = |list: &[&[u8]]| matches!(rest, [Token::Word(word), ..] if list.contains(word));
    let sure = match *verb {
        b"drop" | b"create" | b"alter" => {
            known(&[
                b"table",
                b"database",
                b"schema",
                b"view",
                b"user",
                b"index",
                b"role",
                b"procedure",
                b"function",
                b"trigger",
                b"login",
            ]) && matches!(rest, [_, Token::Word(_), ..])
        }
        b"truncate" => known(&[b"table"]),
        b"insert" | b"merge" | b"replace" => {
            known(&[b"into"])
                && matches!(rest, [_, Token::Word(_), Token::Open | Token::Word(b"values" | b"select" | b"set" | b"using"), ..])
        }
        b"delete" => {
            known(&[b"from"])
                && matches!(
                    rest,
                    [_, Token::Word(_)] | [_, Token::Word(_), Token::Word(b"where") | Token::Semicolon | Token::Comment(_), ..]
                )
        }
        b"update" => matches!(rest, [Token::Word(_), Token::Word(b"set"), Token::Word(_), Token::Compare, ..]),
        b"select" => matches!(
            rest,
            [Token::Number | Token::Variable | Token::Math(b'*') | Token::Text, ..]
                | [Token::Word(_), Token::Open | Token::Comma | Token::Word(b"from"), ..]
        ),
        b"exec" | b"execute" => {
            matches!(rest, [Token::Open | Token::Variable, ..])
                || matches!(rest, [Token::Word(name), ..] if name.starts_with(b"xp_") || name.starts_with(b"sp_") || memchr::memmem::find(name, b"xp_").is_some())
        }
        b"declare" => matches!(rest, [Token::Variable, ..]),
        b"waitfor" => known(&[b"delay", b"time"]),
        b"shutdown" => matches!(rest, [] | [Token::Comment(_) | Token::Semicolon, ..] | [Token::Word(b"with"), ..]),
        b"grant" | b"revoke" => {
            rest.contains(&Token::Word(b"on")) && rest.iter().any(|token| matches!(token, Token::Word(b"to" | b"from")))
        }
        b"copy" => rest.iter().any(|token| matches!(token, Token::Word(b"program"))),
        b"load" => known(&[b"data"]),
        b"call" => matches!(rest, [Token::Word(_), Token::Open, ..]),
        _ => false,
    };
    sure.then_some(("sql-stacked", 5))
}

fn order(tokens: &[Token<'_>], from: From) -> Found {
    let [Token::Word(b"by"), rest @ ..] = tokens else { return None };
    let after = match opened(rest) {
        [Token::Number, after @ ..] => after,
        [Token::Word(b"select"), ..] => return Some(("sql-subquery", 5)),
        [Token::Word(_), Token::Open, ..] if dangerous(rest) => return Some(("sql-function", 5)),
        [Token::Word(_), Token::Word(b"having"), ..] => return Some(("sql-order", 5)),
        [Token::Word(_), Token::Comment(0..=2)] if from == From::Quote => return Some(("sql-order", 5)),
        _ => return None,
    };
    let ends =
        matches!(closed(after), [] | [Token::Comment(_) | Token::Comma | Token::Semicolon | Token::Word(b"asc" | b"desc"), ..]);
    let hides = matches!(closed(after), [Token::Comment(0..=2)]);
    ends.then_some(("sql-order", if from == From::Word && !hides { 3 } else { 5 }))
}

fn having(tokens: &[Token<'_>], from: From) -> Found {
    let (left, after) = operand(tokens)?;
    let compared = matches!(closed(after), [Token::Compare, ..]);
    (compared && (left == Operand::Literal || from != From::Word && left != Operand::Name)).then_some(("sql-order", 5))
}

fn limit(tokens: &[Token<'_>]) -> Found {
    let rest = {
        let numbers = tokens.iter().take_while(|token| matches!(token, Token::Number | Token::Comma | Token::Word(b"offset")));
        tokens.get(numbers.count()..).unwrap_or_default()
    };
    match rest {
        [Token::Word(b"union"), rest @ ..] => union(rest, From::Number),
        [Token::Comment(0..=2)] if tokens.len() > 1 => Some(("sql-order", 5)),
        [Token::Word(b"into" | b"procedure"), ..] => Some(("sql-file", 5)),
        _ => None,
    }
}

/// One operand and what follows it.
fn operand<'s, 't>(tokens: &'s [Token<'t>]) -> Option<(Operand, &'s [Token<'t>])> {
    let tokens = opened(tokens);
    let (first, rest) = tokens.split_first()?;
    Some(match first {
        Token::Number | Token::Text => (Operand::Literal, rest),
        Token::Variable => (Operand::Query, rest),
        Token::Word(b"select" | b"exists") => (Operand::Query, rest),
        Token::Word(b"case") if matches!(rest, [Token::Word(b"when"), ..]) => (Operand::Query, rest),
        Token::Word(b"true" | b"false" | b"null" | b"@@version") => (Operand::Constant, rest),
        Token::Word(name) => match rest {
            [Token::Open, inner @ ..] => {
                let kind = if is_function(name) { Operand::Function } else { Operand::Call };
                (kind, behind_arguments(inner))
            }
            _ => (Operand::Name, rest),
        },
        _ => return None,
    })
}

fn behind_arguments<'s, 't>(mut tokens: &'s [Token<'t>]) -> &'s [Token<'t>] {
    let mut depth = 1_u32;
    while let [first, rest @ ..] = tokens {
        tokens = rest;
        match first {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    tokens
}

/// Whether a function is called that nobody calls but to wait, to be told of an error, or to reach out.
fn dangerous(tokens: &[Token<'_>]) -> bool {
    tokens.windows(2).any(|pair| match pair {
        [Token::Word(name), Token::Open] => {
            matches!(
                *name,
                b"sleep"
                    | b"pg_sleep"
                    | b"benchmark"
                    | b"extractvalue"
                    | b"updatexml"
                    | b"load_file"
                    | b"randomblob"
                    | b"xmltype"
                    | b"name_const"
                    | b"sysdate"
                    | b"user"
                    | b"database"
                    | b"version"
            ) || [b"dbms_".as_slice(), b"utl_", b"xp_", b"ctxsys."].iter().any(|begin| name.starts_with(begin))
        }
        [Token::Word(b"concat"), _] => false,
        _ => false,
    }) || matches!(
        tokens,
        [Token::Word(b"select"), Token::Word(b"concat" | b"char" | b"chr"), Token::Open, Token::Number | Token::Word(_), ..]
    )
}

fn is_function(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 55] = [
        b"sleep",
        b"pg_sleep",
        b"benchmark",
        b"extractvalue",
        b"updatexml",
        b"substring",
        b"substr",
        b"mid",
        b"ascii",
        b"ord",
        b"char",
        b"chr",
        b"length",
        b"len",
        b"char_length",
        b"concat",
        b"concat_ws",
        b"convert",
        b"cast",
        b"count",
        b"database",
        b"user",
        b"version",
        b"current_user",
        b"system_user",
        b"session_user",
        b"if",
        b"ifnull",
        b"iif",
        b"nullif",
        b"exp",
        b"rand",
        b"floor",
        b"row",
        b"md5",
        b"sha1",
        b"hex",
        b"unhex",
        b"load_file",
        b"elt",
        b"make_set",
        b"randomblob",
        b"xmltype",
        b"name_const",
        b"json_keys",
        b"sqlite_version",
        b"group_concat",
        b"string_agg",
        b"least",
        b"greatest",
        b"coalesce",
        b"nvl",
        b"bitand",
        b"lower",
        b"schema",
    ];
    NAMES.contains(&name) || [b"dbms_".as_slice(), b"utl_", b"ctxsys.", b"xp_"].iter().any(|begin| name.starts_with(begin))
}
