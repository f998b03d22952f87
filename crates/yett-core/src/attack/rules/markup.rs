//! Markup that runs, and XML that fetches.

use super::Row;

pub(super) const XSS: &[Row] = &[
    (
        "xss-script",
        5,
        &["<script"],
        r"<script\b[^>]*>[^<]*\b(?:alert|prompt|confirm|eval|document|window|fetch|location|atob)\s*[(.=`\[]",
    ),
    (
        "xss-style",
        5,
        &["<style", "style"],
        r#"<style\b[^>]*(?:javascript|>[^<]*(?:@im|expression|javascript|behaviou?r\s*:|-moz-binding|-o-link))|<[a-z][^>]*style\s*=[^>]*(?:expr[^>]*ession\s*\(|behaviou?r\s*:\s*url|-o-link)"#,
    ),
    (
        "xss-frame",
        5,
        &["<layer", "<xml", "<bgsound", "<isindex"],
        r"<(?:layer|xml|bgsound|isindex)\b[^>]*\b(?:src|action|formaction)\s*=",
    ),
    ("xss-utf7", 5, &["+adw-"], r"\+adw-[a-z/!]"),
    ("xss-script", 5, &["<script"], r#"<script\b[^>]*\bsrc\s*="#),
    (
        "xss-script",
        5,
        &["<script"],
        r#"<script\b[^>]*>(?:\s|/\*[^*]*\*/|//[^\n]*\n)*(?:[\w$.'"\[\]\\+!;-]*[(`=\[]|(?:var|let|const)\s+\w+\s*=|(?:if|for|while|with|switch)\s*\(|new\s+\w+\s*[(.]|throw\s|import\s*['"(]|try\s*\{|on\w+\s*=|[\w.$]+\s*=\s*\S|document\.|window\.)"#,
    ),
    ("xss-script", 4, &["<script"], r"<script\b[^>]*>\s*\S{1,40}\s*</script"),
    (
        "xss-script",
        5,
        &["</script", "</style", "</textarea", "</title"],
        r"</(?:script|style|textarea|title)\s*>\s*<(?:script|svg|img|iframe|body|input|details)\b",
    ),
    ("xss-handler", 5, &["on"], r#"<[a-z!/?][^>]*[\s/"'\x0c](?:on[a-z]{3,25})\s*=\s*[^\s{]"#),
    ("xss-attribute", 5, &["on"], r#"^[^<>]*["'`]\s*[^<>=]*\s*\bon[a-z]{3,25}\s*=\s*["'`]?\s*[\w(\[]"#),
    ("xss-attribute", 5, &["on"], r#"^\S*["'][^<>]*\s(?:autofocus|tabindex=\S+)\s+on[a-z]{3,25}\s*="#),
    ("xss-scheme", 5, &["script"], r"^\s*(?:java|vb|live)\s*script\s*:\s*(?://|/\*|[^\s]*[(`=\[])"),
    ("xss-scheme", 5, &[":"], r"^\s*j\s*a\s*v\s*a\s*s\s*c\s*r\s*i\s*p\s*t\s*:\S*[(`=]"),
    (
        "xss-scheme",
        5,
        &["script"],
        r#"(?:href|src|action|formaction|background|poster|data|srcdoc|to|values|from)\s*=\s*["'`]?\s*[\x00-\x20]*(?:java|vb)\s*script\s*:"#,
    ),
    ("xss-scheme", 5, &["](javascript", "](vbscript", "](data"], r"\]\(\s*(?:(?:java|vb)script:|data:text/html)"),
    (
        "xss-scheme",
        5,
        &["data:"],
        r#"(?:^|=\s*["']?)\s*data:(?:text/(?:html|xml|javascript)|image/svg\+?\s?xml|application/(?:xhtml\+xml|javascript))[;,]"#,
    ),
    (
        "xss-frame",
        5,
        &["<iframe", "<object", "<embed", "<applet", "<frame", "<portal"],
        r#"<(?:iframe|object|embed|applet|frame|portal)\b[^>]*\b(?:src|srcdoc|data|code)\s*="#,
    ),
    (
        "xss-base",
        5,
        &["<base", "<meta", "<link"],
        r#"<base\b[^>]*\bhref\s*=|<meta\b[^>]*http-equiv\s*=\s*["']?(?:refresh|set-cookie|link|content-security)|<link\b[^>]*\bhref\s*=\s*["']?(?://|javascript|data|http)"#,
    ),
    (
        "xss-style",
        5,
        &["expression", "@import", "-moz-binding", "javascript"],
        r#"<[a-z][^>]*style\s*=[^>]*(?:expression\s*\(|javascript:|-moz-binding)|<style\b[^>]*>.*(?:@import|expression\s*\(|javascript:)"#,
    ),
    (
        "xss-breakout",
        5,
        &[
            "alert",
            "prompt",
            "confirm",
            "eval",
            "document",
            "window",
            "location",
            "fetch",
            "import",
            "settimeout",
            "atob",
            "self",
            "top[",
            "print",
            "console",
        ],
        r#"^[^\s'"`]*\\?['"`]\s*[;,\-+*/|&?:)}\]^]+\s*(?:window|self|top|document|alert|prompt|confirm|eval|fetch|location|settimeout|setinterval|import|print|atob|console\.\w+)\s*[.(`\[=]"#,
    ),
    (
        "xss-breakout",
        5,
        &["alert", "prompt", "confirm", "document.", "eval"],
        r"\$\{\s*(?:alert|prompt|confirm|document\.|eval|fetch)\b",
    ),
    ("xss-svg", 5, &["<svg", "<math"], r"<(?:svg|math)\b[^>]*>.*(?:<script|<foreignobject|<set\b|href\s*=\s*.?javascript)"),
    ("xss-cookie", 3, &["document.cookie", "localstorage"], r"(?:document\.cookie|localstorage\.\w+)\s*\)"),
];

pub(super) const XXE: &[Row] = &[
    ("xxe-entity", 5, &["<!entity"], r"<!entity\s+(?:%\s*)?[\w.:-]+\s"),
    ("xxe-doctype", 5, &["<!doctype"], r"<!doctype\s+[\w:.-]+\s*(?:system\b[^\[>]*|public\b[^\[>]*)?\["),
    ("xxe-doctype", 5, &["<!doctype"], r#"<!doctype\s+[\w:.-]+\s+system\s*["'](?:https?:|file:|ftp:|php:|expect:|/|\.)"#),
    (
        "xxe-doctype",
        5,
        &["<!doctype"],
        r#"<!doctype\s+[\w:.-]+\s+public\s*["'](?:[^"'-][^"']*|-//[^w"'][^"']*|)["']\s*["'](?:https?|ftp|file|php):"#,
    ),
    ("xxe-include", 5, &["xinclude", "xi:include"], r"<(?:\w+:)?include\b[^>]*\bhref\s*="),
    ("xxe-stylesheet", 5, &["<?xml-stylesheet"], r#"<\?xml-stylesheet\b[^>]*href\s*=\s*["'](?:https?:|//|file:)"#),
];
