//! Paths and files that nobody asks for who does not look for holes, and the programs that do.

use super::Row;

pub(super) const TRAVERSAL: &[Row] = &[
    ("traversal-file", 5, &["../", "..\\", "/..", "\\.."], r"\.\.[/\\][^\s]*(?:etc[/\\](?:passwd|shadow|hosts|group|fstab|issue)|win(?:dows|nt)[/\\]|boot\.ini|proc[/\\]self|var[/\\]log|web-inf|meta-inf|web\.config|wp-config|\.env\b|\.git[/\\]|\.ssh[/\\]|\.aws[/\\]|id_rsa)"),
    ("traversal-up", 5, &["../", "..\\"], r"^[^\s]*?(?:\.{1,2}[/\\]+){0,2}(?:\.\.[/\\]+){3,}[^\s]*$"),
    ("traversal-up", 4, &["../", "..\\"], r"^(?:\.\.[/\\]){2,}[^\s]*$"),
    ("traversal-odd", 5, &["...", "..;"], r"\.{4}(?:[/\\]{2}|\\/)|(?:\.\.\.?/\./){2,}|(?:\.\.;/){1,}|\.{3}/\.{3}//|\.\.\./\.\.\.//"),
    ("traversal-odd", 5, &["./"], r"(?:\.\./\./|\.{2}/{2,}){2,}|\.\.\\/"),
    ("traversal-etc", 5, &["/etc/", "/proc/", "/root/", "/."], r"^(?:file:)?/{0,3}(?:etc/(?:passwd|shadow|hosts|group|sudoers|issue|fstab|hostname|crontab|ssh/)|proc/(?:self|version|cpuinfo|\d+/)|root/\.|home/[^/\s]+/\.(?:ssh|aws|bash)|var/run/secrets/)[^\s]*$"),
    ("traversal-windows", 5, &[":\\", ":/"], r"^[a-z]:[/\\]+(?:win(?:dows|nt)[/\\]|boot\.ini|inetpub[/\\])"),
    ("traversal-unc", 5, &["\\\\"], r"^\\\\[\w.-]+\.[\w.-]+\\[^\s]+$"),
    ("traversal-null", 5, &["\0"], r"^[^\s\x00]*\x00(?:\.[a-z0-9]{1,5}(?:\b|$)|$)"),
    ("traversal-home", 5, &["~/.", "~root"], r"^~\w*/\.(?:ssh|aws|bash|netrc|env|kube|docker|gnupg)"),
    ("traversal-file", 5, &["/.git/", "web-inf"], r"^\.{0,2}/?(?:\.git/(?:config|head|index)|web-inf/web\.xml)"),
];

pub(super) const INCLUSION: &[Row] = &[
    ("inclusion-wrapper", 5, &["php:", "expect:", "phar:", "zip:", "zlib:", "bzip2:", "glob:", "ogg:", "rar:", "ssh2."], r"^\s*(?:php://(?:filter|input|fd|memory|temp|stdin)|expect://|phar://|zip://|compress\.(?:zlib|bzip2)://|glob://|ogg://|rar://|ssh2\.\w+://)"),
    ("inclusion-wrapper", 5, &["php://filter", "phar://"], r"(?:php://filter/|phar://)"),
    ("inclusion-data", 5, &["data:"], r"^\s*data:(?://)?text/plain(?:;base64)?,\s*(?:pd9|<\?)"),
    ("inclusion-remote", 5, &["://", "//", "\\\\"], r"^\s*(?:https?:|ftp:)?(?://|\\\\)[^\s]{1,200}\.(?:php\d?|phtml|txt|asp|aspx|jsp|inc|cgi|pl|sh)(?:\?|\x00)\s*$"),
    ("inclusion-remote", 5, &["://"], r"^\s*(?:https?|ftp)://[^\s]{1,200}/(?:c99|r57|b374k|wso|shell|cmd|backdoor|evil|webshell)[\w-]*\.(?:php\d?|txt|asp|aspx|jsp|gif|jpg)\b"),
    ("inclusion-remote", 5, &["ftp://", "\\\\"], r"^\s*(?:ftp://[^\s]{1,200}|\\\\[\w.-]+\\[^\s]+)\.(?:php\d?|phtml|asp|aspx|jsp)$"),
    ("inclusion-log", 5, &["/var/", "/proc/", "/tmp/sess", "access_log", "error_log"], r"^/?(?:var/log/(?:apache2?|httpd|nginx|auth|syslog|messages|mail|vsftpd)[^\s]*|var/lib/php\d?/sessions?/sess_\w+|proc/self/(?:environ|fd/\d+|cmdline)|tmp/sess_\w+)$"),
];

pub(super) const PATHS: &[Row] = &[
    ("scanner-hidden", 5, &["/."], r"/\.(?:env(?:\.\w+)?|git(?:/|ignore$|config$)|svn/|hg/|bzr/|ds_store|aws/|ssh/|kube/|docker/|htaccess|htpasswd|vscode/|idea/|npmrc|netrc|bash_history|config/gcloud)"),
    ("scanner-wordpress", 5, &["wp-", "xmlrpc.php", "wlwmanifest"], r"/(?:wp-(?:login|config|admin|content|includes|json/wp)|xmlrpc\.php|wlwmanifest\.xml)"),
    ("scanner-admin", 5, &["phpmyadmin", "/pma/", "adminer", "/myadmin", "manager/html", "invoker/", "jmx-console", "web-console", "webconsole"], r"/(?:phpmyadmin|pma/|myadmin|adminer\.php|manager/html|invoker/(?:jmx|ejb)|jmx-console|web-console|struts/webconsole)"),
    ("scanner-php", 5, &[".php"], r"/(?:phpinfo|info|shell|cmd|c99|r57|wso|alfa|eval-stdin|test|phpunit|upl|webshell|adminer|install|setup-config)\.php"),
    ("scanner-status", 5, &["server-status", "server-info", "actuator", "/jolokia", "/heapdump"], r"/(?:server-(?:status|info)|actuator/(?:env|heapdump|gateway|mappings|configprops|jolokia|trace|beans|threaddump|shutdown|loggers)|jolokia/|heapdump)"),
    ("scanner-exploit", 5, &["cgi-bin", "phpunit", "_ignition", "telescope", "/solr/", "hnap1", "boaform", "gponform", "/owa/", "autodiscover", "geoserver", "/druid/", "fgt_lang", "jenkins/script", "/debug/default", "sdk/vimservice", "/ecp/"], r"/(?:cgi-bin/|vendor/phpunit/|_ignition/|telescope/requests|solr/admin|hnap1|boaform/|gponform/|owa/auth|autodiscover/|geoserver/web|druid/index|remote/fgt_lang|jenkins/script|debug/default/view|sdk/vimservice|ecp/\w+\.js)"),
    ("scanner-backup", 5, &[".bak", ".old", ".sql", ".swp", ".orig", ".save", ".php~", ".zip", ".tar", ".sqlite", ".rar", ".7z"], r"\.(?:bak|old|swp|orig|save|php~|sqlite3?|sql(?:\.gz|\.zip)?)$|/(?:backup|dump|db|site|www|database|htdocs|public_html|web)[\w.-]*\.(?:zip|tar|tar\.gz|tgz|rar|7z|sql|gz)$"),
    ("scanner-config", 5, &["web.config", "web-inf", "docker-compose", "id_rsa", "id_dsa", "composer.", "config.php", "configuration.php", "settings.php", "credentials"], r"/(?:web\.config|web-inf/|docker-compose\.ya?ml|id_(?:rsa|dsa|ecdsa|ed25519)(?:\.pub)?$|composer\.(?:json|lock)$|(?:config|configuration|settings|localsettings)\.php|\.?aws/credentials)"),
];

pub(super) const AGENTS: &[Row] = &[
    ("scanner-agent", 5, &["sqlmap", "nikto", "nmap", "masscan", "zgrab", "gobuster", "dirbuster", "ffuf", "fuzz faster", "wfuzz", "dirsearch", "whatweb", "w3af", "arachni", "acunetix", "nessus", "openvas", "nuclei", "commix", "havij", "jaeles", "qualys", "xspider", "joomscan", "wpscan", "httpx - open", "interactsh", "cmsmap", "skipfish", "netsparker", "xsstrike", "feroxbuster", "blackwidow", "sqlninja", "bsqlbf", "metasploit", "burpcollaborator", "fimap", "grendel", "paros", "webshag", "golismero", "appscan", "detectify", "projectdiscovery", "zmeu", "morfeus", "dirb"], r"(?:sqlmap|nikto|nmap|masscan|zgrab|gobuster|dirbuster|\bffuf|fuzz faster|wfuzz|dirsearch|whatweb|w3af|arachni|acunetix|nessus|openvas|nuclei|commix|havij|jaeles|qualys|xspider|joomscan|wpscan|httpx - open|interactsh|cmsmap|skipfish|netsparker|xsstrike|feroxbuster|blackwidow|sqlninja|bsqlbf|metasploit|burpcollaborator|fimap|grendel|paros|webshag|golismero|appscan|detectify|projectdiscovery|zmeu|morfeus|\bdirb\b)"),
    ("scanner-agent", 5, &["hydra", "vega/"], r"^(?:mozilla/[45]\.0 \()?hydra\b|\bvega/\d"),
];
