//! Templates and lookups that compute on the server.

use super::Row;

pub(super) const TEMPLATE: &[Row] = &[
    (
        "template-arithmetic",
        5,
        &["{{", "${", "#{", "*{", "@{", "[["],
        r#"(?:\{\{|[$#*@]\{|\[\[)\s*['"]?\d{1,12}['"]?\s*[*+/%-]\s*['"]?\d{1,12}['"]?\s*(?:\}|\]\])"#,
    ),
    ("template-arithmetic", 5, &["<%", "@("], r"<%=?\s*\d+\s*[*+-]\s*\d+\s*%>|^@\(\s*\d+\s*[*+-]\s*\d+\s*\)$"),
    (
        "template-object",
        5,
        &["__"],
        r"(?:\{\{|\{%|\$\{|#\{|<%)[^}%]*__(?:class|globals|init|builtins|mro|base|bases|subclasses|import|dict|getattribute)__",
    ),
    (
        "template-object",
        5,
        &["{{", "{%"],
        r"\{\{\s*(?:config|self|request\.(?:application|environ|server)|app\.request|settings\.secret|get_flashed_messages|url_for|cycler|joiner|namespace|lipsum|_self|_context|dump\(app)\b\s*(?:\}|\.|\[|\|)",
    ),
    (
        "template-object",
        5,
        &["{%"],
        r"\{%-?\s*(?:import|include|from|extends|debug|load|set)\s+(?:os|sys|subprocess|debug|['\x22]/)\b?",
    ),
    (
        "template-object",
        5,
        &["{{"],
        r"\{\{[^}]*(?:popen|\bsystem\b|\bexec\b|subprocess|constructor|\bprocess\.|registerundefinedfilter|setcache|\|\s*filter\s*\(|passthru|phpinfo|getruntime)",
    ),
    ("template-object", 5, &["{{#with"], r"\{\{#with\s+['\x22]s['\x22]\s+as\s+\|"),
    (
        "template-java",
        5,
        &["java.lang", "java.io", "java.util", "getclass", "forname", "getruntime", "freemarker", ".class."],
        r"(?:[$#*%@]\{|\{\{|<#|#set|<%|\$class|\$\w+\.|\bt\()[^\n}]*(?:java\.(?:lang|io|util|net)\.|getclass\s*\(|forname\s*\(|getruntime|freemarker\.template|\.class\.)",
    ),
    (
        "template-java",
        5,
        &["freemarker.template.utility"],
        r"freemarker\.template\.utility\.(?:execute|objectconstructor|jythonruntime)",
    ),
    ("template-java", 5, &["#set"], r"#set\s*\(\s*\$\w+\s*=.*\$\w+\.(?:class|getclass)"),
    (
        "template-code",
        5,
        &["<%", "#{", "${", "{php}", "{system", "@{"],
        r"(?:<%=?|#\{|\$\{|\{php\}|@\{)\s*[^%}]*?(?:\bsystem\s*[(']|\bexec\s*\(|`[^`]+`|file\.(?:open|read)|dir\.entries|\bpopen\b|io\.popen|process\.(?:mainmodule|env|start)|require\s*\(|\beval\s*\(|diagnostics\.process)",
    ),
    ("template-code", 5, &["<%", "os.popen", "os.system"], r"<%\s*import\s+\w+\s*%>|\$\{[^}]*\bos\.(?:system|popen)"),
    (
        "template-code",
        5,
        &["{system", "smarty", "{php", "{exec", "{passthru"],
        r"\{(?:system|exec|passthru|shell_exec)\s*\(|smarty_internal_write_file|\{/?php\}",
    ),
];

pub(super) const LOOKUP: &[Row] = &[
    ("lookup-jndi", 5, &["jndi"], r"\$\{[^\n}]*jndi\s*:"),
    ("lookup-nested", 5, &["${"], r"\$\{[^}\n]*\$\{\s*(?:lower|upper|env|sys|date|ctx|main|java|base64|:|[\w:]{1,30}:-)"),
    ("lookup-nested", 5, &["${"], r"\$\{[\w:]*:-[^}]{0,4}\}[^\n]*:"),
    ("lookup-nested", 5, &["${env::", "${::"], r"\$\{(?:env:|:)?:-"),
    (
        "lookup-script",
        5,
        &["${script:", "${url:", "${dns:", "${file:", "${const:"],
        r"\$\{(?:script:\w+|url:[\w-]+|dns:\w+\||file:[\w-]+|const):?",
    ),
    (
        "lookup-secret",
        5,
        &["${env:", "${sys:", "${java:"],
        r"\$\{(?:env|sys):[\w.]*(?:secret|password|passwd|token|_key|credential)",
    ),
];
