//! What gets out of queries, commands and header fields.

use super::Row;

pub(super) const SQL: &[Row] = &[
    ("sql-operator", 5, &["'"], r"^\s*'\s*[-+*&^|=/%<>]{1,3}\s*'\s*$"),
    ("sql-time", 5, &["waitfor"], r"[;)'\s]waitfor\s+delay\s*'\d"),
    ("sql-time", 5, &["benchmark"], r"\bbenchmark\s*\(\s*\d{4,}\s*,"),
    ("sql-time", 5, &["sleep"], r"\(\s*select\s*\(?\s*sleep\s*\(|\bif\s*\([^)]{1,60},\s*sleep\s*\("),
    ("sql-function", 5, &["extractvalue", "updatexml"], r"\b(?:extractvalue|updatexml)\s*\(.*\bconcat\s*\("),
    ("sql-file", 5, &["load_file"], r"\bload_file\s*\(\s*(?:'/|0x|char)"),
    (
        "sql-function",
        5,
        &["xp_cmdshell", "xp_dirtree", "sp_configure"],
        r"(?:^|[;'\s])exec(?:ute)?\s+(?:master\.+)?(?:dbo\.+)?(?:xp_|sp_configure)",
    ),
    ("sql-file", 4, &["outfile", "dumpfile"], r"\binto\s+(?:outfile|dumpfile)\s*['\x22]"),
    (
        "sql-function",
        5,
        &["utl_http", "utl_inaddr", "dbms_pipe", "dbms_ldap"],
        r"\b(?:utl_http\.request|utl_inaddr\.get_host|dbms_pipe\.receive_message|dbms_ldap\.init)",
    ),
    ("sql-subquery", 5, &["0x"], r"^\(?\s*select\s+(?:group_)?concat\s*\(\s*0x"),
    ("sql-union", 5, &["union"], r"[\d)'\x22]\s*(?:/\*[^*]*\*/\s*)+union\s*(?:/\*[^*]*\*/\s*)+(?:all\s*)?select"),
];

pub(super) const NOSQL: &[Row] = &[
    (
        "nosql-operator",
        5,
        &["$"],
        r#"^\s*[\[{(,]*\s*(?:\{\s*)?["']?(?:[\w.]+["']?\s*:\s*[\[{\s]*["']?)?\$(?:gte?|lte?|ne|eq|n?in|regex|where|exists|x?or|nor|and|not|expr|function|mod|all|elemmatch)["']?\s*:"#,
    ),
    (
        "nosql-operator",
        5,
        &["$match", "$lookup"],
        r#"^\s*\[\s*\{\s*["']?\$(?:match|lookup|group|project|out|merge|unionwith)["']?\s*:"#,
    ),
    ("nosql-operator", 5, &["[$"], r"^[\w.\[\]-]*\[\$(?:gte?|lte?|ne|eq|n?in|regex|where|exists|or|and|not|nor)\]\s*="),
    ("nosql-operator", 5, &["$"], r#"^[^\s"'{]*["']?\s*\}?\s*,\s*["']?\$(?:or|and|where|nor|ne|gt|regex|comment)["']?\s*:"#),
    ("nosql-operator", 5, &["$where"], r#"^\w{1,20},\s*["']?\$where"#),
    ("nosql-script", 5, &["return"], r"^[^\s'\x22]*['\x22]?\s*\)?\s*;\s*return\s*(?:\s(?:true|this\.|1\b)|\(|['\x22])"),
    ("nosql-script", 5, &["this."], r"^[^'\x22]*['\x22]\s*\)?\s*(?:\|\||&&|;)\s*\(?this\.\w"),
    ("nosql-script", 5, &["this."], r"^(?:function\s*\(\s*\)\s*\{\s*)?(?:return\s+)?this\.\w+(?:\.\w+)?\s*(?:[=!<>]=|[<>])"),
    ("nosql-script", 5, &["=="], r"^[^'\x22]*['\x22]\s*\)?\s*(?:\|\||&&)\s*['\x22]?(\w{1,20})['\x22]?\s*={2,3}\s*['\x22]?\w"),
    ("nosql-script", 5, &["while", "do{", "do {"], r"^[^\s'\x22]*['\x22]?\s*;.*?\b(?:while\s*\(|do\s*\{)"),
    ("nosql-script", 5, &["sleep("], r"^[^\s'\x22]*['\x22]?\s*;\s*sleep\s*\(\s*\d"),
    ("nosql-script", 5, &["sleep("], r"^\s*sleep\s*\(\s*\d{2,}\s*\)\s*;?\s*$"),
    (
        "nosql-script",
        5,
        &["db."],
        r"^[^\s'\x22]*(?:['\x22]?\s*;\s*)?db\.\w+\.(?:drop|remove|insert|deletemany|dropdatabase)\s*\(",
    ),
    ("nosql-script", 5, &["$function", "$accumulator"], r#"\{\s*["']?\$(?:function|accumulator)["']?\s*:"#),
];

pub(super) const NOSQL_NAMES: &[Row] = &[(
    "nosql-operator",
    5,
    &["$"],
    r"(?:^|[\[.])\$(?:gte?|lte?|ne|eq|n?in|exists|regex|where|x?or|and|nor|not|all|mod|elemmatch|expr|function|accumulator|lookup|match|out|merge)\]?$",
)];

pub(super) const COMMAND: &[Row] = &[
    (
        "command-separator",
        5,
        &["/bin/", "/sbin/", "usr/bin/"],
        r#"^[^\s=`<>]*["')]*\s*(?:;|\|\|?|&&?)\s*/?(?:usr/)?(?:local/)?s?bin/\w+"#,
    ),
    (
        "command-separator",
        5,
        &["net "],
        r#"^[^\s=`<>]*["')]*\s*(?:;|\|\|?|&&?)\s*net\s+(?:user|localgroup|view|share|start|stop|group)\b"#,
    ),
    (
        "command-windows",
        5,
        &["%systemroot%", "\\repair\\sam", "c:\\"],
        r"(?:;|\||&|^)\s*(?:type|dir|del|copy|more)\s+(?:%\w+%\\|c:\\)",
    ),
    ("command-separator", 5, &[";", "|", "&"], r#"^[^\s=`<>{}()\[\]]*["']?\s*(?:;|\|\|?|&&?)\s*["']?{C}"#),
    (
        "command-separator",
        5,
        &[";", "|", "&"],
        r#"^(?:[^\s=`<>{}()\[\]]*[./\d][^\s=`<>{}()\[\]]*)?["']?\s*(?:;|\|\|?|&&?)\s*{D}"#,
    ),
    ("command-separator", 5, &["&&", "||"], r#"^[^\s=`<>{}()\[\]]*["']?\s*(?:&&|\|\|)\s*{D}"#),
    ("command-line", 5, &["\n", "\r"], r#"^[\w.:/-]*["']?[\r\n]+\s*{D}"#),
    ("command-substitution", 5, &["$("], r"^[^\s`=(]*\$\(\s*{D}"),
    ("command-substitution", 5, &["`"], r"^[^\s`=(]*`\s*{D}[^`]*`?\s*$"),
    (
        "command-substitution",
        5,
        &["`"],
        r"^[^\s`=(]*`(?:/(?:usr/)?s?bin/)?(?:id|ls|ps|env|whoami|uname|pwd|hostname|ifconfig|netstat)`\s*$",
    ),
    ("command-shellshock", 5, &["()"], r"^\s*\(\)\s*\{.*?;\s*\}\s*;|^\s*\(\)\s*\{\s*_;|^\(\)\s*;\s*\{\s*:;\s*\}"),
    ("command-reverse-shell", 5, &["/dev/tcp/", "/dev/udp/"], r"/dev/(?:tcp|udp)/"),
    ("command-reverse-shell", 5, &["bash -i", "sh -i"], r"\b(?:ba|z|k)?sh\s+-i\s*(?:>|<|\d)"),
    ("command-reverse-shell", 5, &["nc ", "ncat ", "netcat "], r"\b(?:nc|ncat|netcat)\s+.*-e\s+/?(?:bin/)?(?:ba)?sh"),
    ("command-reverse-shell", 5, &["mkfifo"], r"\bmkfifo\s+/tmp/\w+\s*;"),
    ("command-powershell", 5, &["powershell"], r"\bpowershell(?:\.exe)?\s+.*-e(?:nc|ncodedcommand)?\s+[a-z0-9+/=]{8,}"),
    (
        "command-file",
        5,
        &["/etc/", "/proc/self"],
        r#"[;|&`\n(]\s*(?:/(?:usr/)?bin/)?(?:cat|head|tail|more|less|nl|tac|grep|od|xxd|base64)\s+(?:-\w+\s+)?/(?:etc/(?:passwd|shadow|hosts|group)|proc/self)"#,
    ),
    ("command-glob", 5, &["/?", "?/", "/c?t", "/???"], r"^[^\s=]*[;|&`]\s*/[a-z?*]{3,4}/[a-z?*]*[?*][a-z?*]*"),
    ("command-ssi", 5, &["<!--#"], r"<!--#\s*(?:exec|include|echo|config|printenv)\b"),
    ("command-pipe-to-shell", 5, &["curl", "wget"], r"^[^\s]*[;|&`(]?\s*(?:curl|wget)\s+[^|]{4,120}\|\s*(?:ba|z)?sh\b"),
    (
        "command-argument",
        5,
        &["--"],
        r"^\s*--?(?:upload-pack|receive-pack|checkpoint-action|use-compress-program|proxycommand|o\s*proxycommand)=",
    ),
    ("command-separator", 5, &["'", "\""], r#"^["']\s*;?\s*(?:python[23]?|perl|ruby|bash|sh|nc)\s+-[a-z]\b"#),
];

pub(super) const LDAP: &[Row] = &[
    ("ldap-filter", 5, &["(|(", "(&(", "(!("], r"^[\w*]*\*\s*\([|&!]\s*\(\w+[~<>]?="),
    ("ldap-filter", 5, &["*()"], r"^[\w*]*\*\(\)\s*[|&]"),
    ("ldap-filter", 5, &["(&)", "(|)"], r"^[\w*]{1,40}\)\s*\((?:&|\|)\)"),
];

pub(super) const XPATH: &[Row] = &[
    (
        "xpath-function",
        5,
        &["("],
        r"^[^'\x22]*['\x22]\s*[)\]]*\s*(?:and|or)\s+(?:not\s*\()?(?:count|name|local-name|string-length|substring(?:-before|-after)?|contains|starts-with|position|last|text|doc|normalize-space|translate|namespace-uri|string|boolean)\s*\(",
    ),
    ("xpath-function", 5, &["//", "/*"], r"^[^\s'\x22]*\s+(?:and|or)\s+(?:count|string-length|name|contains|substring)\s*\(\s*/"),
    ("xpath-axis", 5, &["]"], r"^[^'\x22\[]*['\x22]?\s*\]\s*(?:\||/|and\b|or\b)"),
    ("xpath-axis", 5, &["//"], r"^[^'\x22]*['\x22]\s*\)?\s*(?:and|or)\s+//?\w"),
    ("xpath-function", 5, &["doc("], r"\bdoc\s*\(\s*(?:concat\s*\(|['\x22]https?:)"),
];

pub(super) const CRLF: &[Row] = &[
    (
        "crlf-header",
        5,
        &[":"],
        r"^[^\s:]*(?:\s+http/\d\.\d)?[\r\n]+\s*(?:set-cookie|location|content-type|content-length|transfer-encoding|access-control-[a-z-]+|refresh|x-[a-z-]+|host|cookie|authorization|bcc|cc|to|subject|link|cache-control|content-disposition|content-security-policy)\s*:",
    ),
    ("crlf-response", 5, &["http/"], r"^[\w/.=%&?@+-]*[\r\n]+(?:[a-z-]+:[^\r\n]*[\r\n]+)*http/\d(?:\.\d)?\s+\d{3}\s+\w"),
    ("crlf-body", 5, &["<"], r"^[^\s<]*\r\n(?:[a-z-]+:[^\r\n]*\r\n)*\r\n\s*<(?:html|script|svg|body|img|h1|iframe)"),
];
