"""What `bot_filter` finds of programs that pretend to be browsers: `python -m bench.bots` prints the tables of its page.

Every program is really run against a gateway with TLS: as it is, with the `User-Agent` of a browser, and with all fields of one. Beside them
stand browsers whose requests are recorded in `corpora/browsers.jsonl`. `--hellos` prints the ciphers of each program's hello as the filter's
table has them; `--only curl,go` runs some. Programs that are not there are left out, and named.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from tests.support import configs
from tests.support.chromium import chromium
from tests.support.gateway import Gateway
from tests.support.go_tools import go_program
from tests.support.origin import Origin
from tests.support.pretending import AGENT, COPIED

ROOT = Path(__file__).parent.parent
HOME = ROOT / "target" / "bots"
PACKAGES = ("requests", "httpx[http2]", "aiohttp", "curl_cffi")
Fields = dict[str, str]
WAYS: dict[str, Fields] = {"honest": {}, "named": {"user-agent": AGENT}, "copied": COPIED}
SCRIPTS = {
    "Python urllib": "import urllib.request as u, ssl\nu.urlopen(u.Request(url, headers=fields), context=ssl._create_unverified_context())",
    "requests": "import requests\nrequests.get(url, headers=fields, verify=False)",
    "httpx": "import httpx\nhttpx.Client(verify=False).get(url, headers=fields)",
    "httpx, HTTP/2": "import httpx\nhttpx.Client(verify=False, http2=True).get(url, headers=fields)",
    "aiohttp": (
        "import aiohttp, asyncio\nasync def go():\n  async with aiohttp.ClientSession() as s:\n"
        "    async with s.get(url, headers=fields, ssl=False) as r: await r.read()\nasyncio.run(go())"
    ),
}
NODE = "fetch(process.argv[1], {headers: JSON.parse(process.argv[2])}).then(r => r.text())"
JAVA = """
import java.net.URI; import java.net.http.*; import javax.net.ssl.*; import java.security.cert.X509Certificate;
public class Fetch { public static void main(String[] a) throws Exception {
  TrustManager all = new X509ExtendedTrustManager() {
    public void checkClientTrusted(X509Certificate[] c, String s) {} public void checkServerTrusted(X509Certificate[] c, String s) {}
    public void checkClientTrusted(X509Certificate[] c, String s, java.net.Socket x) {} public void checkServerTrusted(X509Certificate[] c, String s, java.net.Socket x) {}
    public void checkClientTrusted(X509Certificate[] c, String s, SSLEngine x) {} public void checkServerTrusted(X509Certificate[] c, String s, SSLEngine x) {}
    public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; } };
  SSLContext t = SSLContext.getInstance("TLS"); t.init(null, new TrustManager[]{all}, null);
  var request = HttpRequest.newBuilder(URI.create(a[0]));
  for (int i = 1; i + 1 < a.length; i += 2) request.header(a[i], a[i + 1]);
  HttpClient.newBuilder().sslContext(t).build().send(request.build(), HttpResponse.BodyHandlers.ofString()); } }
"""


class Absent(Exception):
    """A program that is not on this machine."""


@dataclass
class Program:
    """How one fetches a URL with these fields; whatever becomes of it is in the gateway's log."""

    name: str
    run: Callable[[str, Fields], None]
    ways: dict[str, Fields]


def command(*words: str, **more: Any) -> None:
    """Runs it to its end, whatever it says."""
    if shutil.which(words[0]) is None:
        raise Absent(words[0])
    subprocess.run(words, capture_output=True, timeout=60, check=False, **more)


def flags(fields: Fields, flag: str) -> list[str]:
    return [word for name, value in fields.items() for word in (flag, f"{name}: {value}")]


def python(code: str) -> Callable[[str, Fields], None]:
    def run(url: str, fields: Fields) -> None:
        program = HOME / "bin" / "python"
        if not program.exists():
            venv.create(HOME, with_pip=True)
            subprocess.run([program, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        given = f"import sys, json, warnings\nwarnings.simplefilter('ignore')\nurl, fields = sys.argv[1], json.loads(sys.argv[2])\n{code}"
        subprocess.run(
            [program, "-c", given, url, json.dumps(fields)], capture_output=True, timeout=60, check=False
        )

    return run


def impersonating(url: str, _: Fields) -> None:
    python("from curl_cffi import requests\nrequests.get(url, impersonate='chrome', verify=False)")(url, {})


def java(url: str, fields: Fields) -> None:
    source = HOME / "Fetch.java"
    source.write_text(JAVA)
    words = [word for pair in fields.items() for word in pair]
    off = ["-Djdk.internal.httpclient.disableHostnameVerification=true"]
    command("java", *off, str(source), url, *words)


def go(url: str, fields: Fields) -> None:
    command(str(go_program("fetch")), url, *[word for pair in fields.items() for word in pair])


def driven(become: str | None) -> Callable[[str, Fields], None]:
    """Chromium without a window: as it is, with another `User-Agent`, or as one with a window says."""

    def run(url: str, _: Fields) -> None:
        with tempfile.TemporaryDirectory() as directory:
            try:
                with chromium(Path(directory), {}) as browser:
                    agent = str(browser.run("return navigator.userAgent")).replace("HeadlessChrome", "Chrome")
                    if become == "all":
                        browser.become(agent)
                    elif become == "agent":
                        browser.become(agent, hints=False)
                    browser.go(url)
            except RuntimeError as error:
                raise Absent("chromium") from error

    return run


def flagged(url: str, fields: Fields) -> None:
    """The same, started by hand with a flag."""
    agent = [f"--user-agent={AGENT}"] if fields else []
    with tempfile.TemporaryDirectory() as directory:
        options = [
            "--headless",
            "--no-sandbox",
            "--ignore-certificate-errors",
            f"--user-data-dir={directory}",
            "--dump-dom",
        ]
        command("chromium", *options, *agent, url)


def programs() -> list[Program]:
    """All of them."""
    some = {"honest": {}, "named": {"user-agent": AGENT}}
    insecure = {"env": {**os.environ, "NODE_TLS_REJECT_UNAUTHORIZED": "0"}}
    return [
        Program("curl", lambda url, fields: command("curl", "-sk", *flags(fields, "-H"), url), WAYS),
        Program(
            "curl, HTTP/1.1",
            lambda url, fields: command("curl", "-sk", "--http1.1", *flags(fields, "-H"), url),
            WAYS,
        ),
        Program(
            "wget",
            lambda url, fields: command(
                "wget", "-q", "-O", "/dev/null", "--no-check-certificate", *flags(fields, "--header"), url
            ),
            WAYS,
        ),
        *[Program(name, python(code), WAYS) for name, code in SCRIPTS.items()],
        Program("Go net/http", go, WAYS),
        Program(
            "Node fetch",
            lambda url, fields: command("node", "-e", NODE, url, json.dumps(fields), **insecure),
            WAYS,
        ),
        Program("Java HttpClient", java, WAYS),
        Program("Chromium, headless", flagged, some),
        Program("Chromium, driven, `User-Agent` changed", driven("agent"), {"named": {}}),
        Program("Chromium, driven, says nothing of it", driven("all"), {"copied": {}}),
        Program("curl_cffi, as Chrome", impersonating, {"copied": {}}),
    ]


def gateway() -> Iterator[tuple[Gateway, Origin]]:
    """One with TLS, and a service behind it."""
    service, directory = Origin(), Path(tempfile.mkdtemp())
    leaf = trustme.CA().issue_cert("localhost")
    chain, key = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())
    key.chmod(0o600)
    tls = {"certificates": [{"chain": str(chain), "key": {"file": str(key)}}]}
    config = configs.public(service, bot_filter={})
    gate = Gateway({**config, "listeners": {"main": {"address": "127.0.0.1:0", "tls": tls}}})
    try:
        yield gate, service
    finally:
        gate.stop(0)
        service.close()


def measure(gate: Gateway, program: Program, times: int) -> dict[str, list[dict[str, Any]]]:
    """The lines of the log for each way."""
    found: dict[str, list[dict[str, Any]]] = {}
    for way, fields in program.ways.items():
        for number in range(times):
            slug = "".join(letter for letter in program.name.lower() if letter.isalnum())
            path = f"/{slug}/{way}/{number}"
            program.run(f"https://localhost:{gate.port}{path}", fields)
            found.setdefault(way, []).append(gate.log_line(path=path))
    return found


def refused(lines: list[dict[str, Any]]) -> int:
    return sum(line["status"] == 403 for line in lines)


def row(name: str, found: dict[str, list[dict[str, Any]]]) -> str:
    """Of the table."""
    cells = []
    for way in WAYS:
        lines = found.get(way)
        cells.append(
            "" if lines is None else f"{refused(lines)} of {len(lines)} ({lines[0]['bot']['score']})"
        )
    return f"| {name} | {' | '.join(cells)} |"


def recorded() -> list[dict[str, Any]]:
    """What each browser of the corpus comes to."""
    words = ["cargo", "run", "--locked", "--quiet", "--example", "bot_cost", "--", "--corpus"]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main(arguments: list[str]) -> int:
    """Runs every program, and says what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.bots", description=__doc__)
    parser.add_argument("--only", default="", help="programs whose names have one of these words, by comma")
    parser.add_argument("--times", type=int, default=3, help="how often each is run (3)")
    parser.add_argument("--hellos", action="store_true", help="print the ciphers of each hello")
    options = parser.parse_args(arguments)
    words = [word.lower() for word in options.only.split(",") if word]
    HOME.mkdir(parents=True, exist_ok=True)
    all_found, absent = {}, []
    for gate, _ in gateway():
        for program in programs():
            if words and not any(word in program.name.lower() for word in words):
                continue
            try:
                found = measure(gate, program, options.times)
            except Absent as missing:
                absent.append(f"{program.name} ({missing})")
                continue
            all_found[program.name] = found
            if options.hellos:
                lines = next(iter(found.values()))
                print(f"{program.name}: {sorted({line['ja4'] for line in lines})}")
    if options.hellos:
        return 0
    print("| | as it is | with the name of a browser | with all fields of one |\n|---|---|---|---|")
    for name, found in all_found.items():
        print(row(name, found))
    honest = [line for found in all_found.values() for line in found.get("honest", [])]
    lies = [
        line for found in all_found.values() for way in ("named", "copied") for line in found.get(way, [])
    ]
    browsers = recorded()
    wrong = refused(honest) + sum(one["refused"] for one in browsers)
    right = refused(lies)
    print(
        f"\nbrowsers of the corpus that are refused: {sum(one['refused'] for one in browsers)} of {len(browsers)}"
    )
    print(
        f"highest score of one: {max(one['score'] for one in browsers)}; with none: {sum(not one['score'] for one in browsers)}"
    )
    print(
        f"recall {right} of {len(lies)} ({right / max(len(lies), 1):.0%}), precision {right} of {right + wrong} ({right / max(right + wrong, 1):.0%})"
    )
    if absent:
        print(f"not here, and not measured: {', '.join(absent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
