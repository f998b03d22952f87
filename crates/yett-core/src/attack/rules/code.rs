//! Code that is run, and objects that run some when they are read.

use super::Row;

pub(super) const CODE: &[Row] = &[
    (
        "code-php",
        5,
        &["<?"],
        r"<\?(?:php|=)?[^?]*\b(?:system|exec|passthru|shell_exec|eval|assert|popen|proc_open|phpinfo|base64_decode|file_get_contents|create_function)\s*\(",
    ),
    ("code-php", 5, &["<?"], r"<\?(?:php|=)?[^?]*(?:`|\$_(?:get|post|request|cookie|server)\b)"),
    ("code-php", 5, &["phpinfo"], r#"^[^\s]*(?:['"]?\s*[;.]\s*|\{\s*|\(\s*)?\bphpinfo\s*\(\s*\)"#),
    (
        "code-php",
        5,
        &["system", "passthru", "shell_exec", "exec", "popen", "assert", "eval"],
        r#"^\s*['"]?\s*[;.]?\s*@?(?:system|passthru|shell_exec|popen|proc_open|pcntl_exec)\s*\(\s*['"$]"#,
    ),
    (
        "code-php",
        5,
        &["eval", "assert"],
        r"\b(?:eval|assert)\s*\(\s*(?:base64_decode|gzinflate|str_rot13|phpinfo|\$_|stripslashes)",
    ),
    ("code-php", 5, &["${@", "{${"], r"\$\{@\w+\(|\{\$\{\w+\("),
    ("code-python", 5, &["__import__"], r#"__import__\s*\(\s*['"]?\w"#),
    (
        "code-python",
        5,
        &["__subclasses__", "__globals__", "__bases__", "__mro__"],
        r"__(?:class|bases|mro|base)__.*__(?:subclasses|bases|mro|globals)__|__globals__\s*[\[.]",
    ),
    (
        "code-python",
        5,
        &["exec", "eval"],
        r#"^\s*['"]?[;+]?\s*(?:exec|eval)\s*\(\s*(?:['"]|compile\s*\()\s*.*(?:import\s|__|os\.)"#,
    ),
    ("code-python", 5, &["compile("], r"\beval\s*\(\s*compile\s*\("),
    ("code-python", 5, &["open("], r#"^\s*['"]?[;+]?\s*open\s*\(\s*['"]/(?:etc|proc|root|home)/.*\.read\s*\("#),
    ("code-node", 5, &["child_process"], r#"require\s*\(\s*['"`](?:node:)?child_process['"`]\s*\)\s*[.\[]"#),
    ("code-node", 5, &["require"], r#"^[^\s]*\brequire\s*\(\s*['"`](?:node:)?(?:fs|child_process|net|vm|os)['"`]\s*\)\s*\."#),
    ("code-node", 5, &["mainmodule"], r"process\.mainmodule\b"),
    (
        "code-node",
        5,
        &["process"],
        r#"(?:function\s*\(|constructor\s*\()\s*\)?\s*['"{]?\s*\{?\s*(?:return\s+)(?:global\.)?process\b|\bglobal\.process\.|\bfunction\s*\(\s*['"]return\s"#,
    ),
    ("code-node", 5, &["constructor"], r#"constructor\s*[.\[]\s*['"]?constructor['"]?\]?\s*\("#),
    (
        "code-java",
        5,
        &["runtime", "processbuilder"],
        r"(?:java\.lang\.|@java\.lang\.|\()?runtime\s*(?:@|\.)?\s*getruntime\s*\(\s*\)\s*\)?\s*\.?\s*exec\s*\(",
    ),
    ("code-java", 5, &["java.lang.processbuilder"], r"new\s+java\.lang\.processbuilder|\(\s*#\w+\s*=\s*new\s+java"),
    (
        "code-java",
        5,
        &["ognl", "#_memberaccess", "#context[", "xwork", "#_="],
        r"@ognl\.|#_memberaccess|#context\s*\[|xwork\.methodaccessor|%\{\s*\(#_?=",
    ),
    ("code-java", 5, &["%{("], r"%\{\s*\(\s*#\w+\s*="),
    ("code-java", 5, &["classloader"], r"\bclass\.(?:module\.)?classloader\b"),
    (
        "code-prototype",
        5,
        &["__proto__"],
        r#"^\s*(?:[\[{(\s]*["']?[\w.]*["']?\s*:?\s*\{?\s*)?["']?__proto__["']?\s*(?:\[|\.|:|["'\]])"#,
    ),
    (
        "code-prototype",
        5,
        &["constructor"],
        r#"^\s*(?:\{\s*)?["']?constructor["']?\s*(?:\.|\[\s*["']?|:\s*\{\s*["']?)prototype\b"#,
    ),
];

pub(super) const CODE_NAMES: &[Row] = &[
    ("code-prototype", 5, &["__proto__"], r"(?:^|[\[.])__proto__(?:\]|\.|\[|$)"),
    ("code-prototype", 5, &["constructor"], r"(?:^|[\[.])constructor\]?[\[.]prototype"),
    ("code-java", 5, &["classloader", "class[", "class."], r"^class(?:\.|\[)(?:module|classloader|protectiondomain)"),
    ("code-java", 5, &["#", "ognl"], r"#_memberaccess|@ognl\.|#context\s*\["),
];

pub(super) const DESERIALISATION: &[Row] = &[
    ("deserialisation-java", 5, &["ro0ab"], r"^ro0ab[a-z0-9+/=_-]{6,}"),
    ("deserialisation-java", 5, &["aced0005"], r"^aced0005[0-9a-f]{4,}"),
    ("deserialisation-php", 5, &[":\""], r#"(?:^|[;{])[oc]:\+?\d{1,4}:"[\w\\]{1,120}":\d{1,6}:\{"#),
    ("deserialisation-dotnet", 5, &["aaeaaad/////"], r"^aaeaaad/////"),
    (
        "deserialisation-dotnet",
        5,
        &["$type"],
        r#""\$type"\s*:\s*"(?:system|microsoft)\.[\w.]*(?:objectdataprovider|process|windowsidentity|assemblyinstaller|xamlreader|sessionsecuritytoken|configuration)"#,
    ),
    (
        "deserialisation-pickle",
        5,
        &["\n"],
        r"^\s*\(?c(?:os|posix|nt|__builtin__|builtins|subprocess|commands|pty|sys|importlib)\n\w+\n",
    ),
    ("deserialisation-yaml", 5, &["!!python/", "!!python:"], r"!!python[/:](?:object|name|module)"),
    ("deserialisation-yaml", 5, &["!ruby/"], r"!ruby/(?:object|hash|struct|regexp|sym|class|module)"),
    ("deserialisation-yaml", 5, &["!!javax.", "!!java.", "!!com.sun", "!!org."], r"!!(?:javax?|com\.sun|org)\.[\w.]+\s*\["),
    (
        "deserialisation-json",
        5,
        &["@type"],
        r#""@type"\s*:\s*"(?:java|javax|com\.sun|org\.apache|com\.mchange|org\.hibernate|org\.springframework|sun|ch\.qos|com\.zaxxer|oracle)\."#,
    ),
    (
        "deserialisation-json",
        5,
        &["jdbcrowsetimpl", "templatesimpl", "c3p0"],
        r"com\.sun\.(?:rowset\.jdbcrowsetimpl|org\.apache\.xalan)|com\.mchange\.v2\.c3p0",
    ),
    ("deserialisation-node", 5, &["_$$nd_func$$_"], r"_\$\$nd_func\$\$_"),
    (
        "deserialisation-xml",
        5,
        &["xmldecoder", "eventhandler", "processbuilder", "java.lang.runtime"],
        r#"class\s*=\s*"java\.(?:beans\.|lang\.(?:runtime|processbuilder))"#,
    ),
    ("deserialisation-ruby", 5, &["bahv", "bahb", "bahi", "bahu"], r"^bah(?:vo|bbw|vok|bio)[a-z0-9+/=]{8,}$"),
];
