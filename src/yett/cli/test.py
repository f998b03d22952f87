"""`yett test`: whether a configuration lets in and refuses what its policy tests say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from yett.cli.output import FINDINGS, USAGE, Format, fail, print_json, print_problems

if TYPE_CHECKING:
    from yett.control.source import Loaded


def run_tests(
    file: Path = typer.Argument(..., help="The configuration, or a directory with a gateway.yaml."),
    tests: list[Path] = typer.Argument(None, help="Files of tests; those that `tests:` names by default."),
    coverage: bool = typer.Option(
        False, "--coverage", help="Say which routes, rules and reasons no test exercises."
    ),
    fail_under: float | None = typer.Option(
        None, "--fail-under", min=0, max=100, help="Fail where less than so many percent are covered."
    ),
    junit: Path | None = typer.Option(None, "--junit", help="Write a JUnit report to this file."),
    watch: bool = typer.Option(False, "--watch", help="Run again when a file changes, until Ctrl-C."),
    format: Format = typer.Option(Format.TEXT, "--format", help="text or json."),
) -> None:
    """Run policy tests: each is asked of the code that decides live requests. Nothing listens or is forwarded."""
    file = configuration(file)
    if watch and format is Format.JSON:
        fail("`--watch` is for people; leave out `--format json`", USAGE)
    once = _Once(file, tuple(tests or ()), coverage or fail_under is not None, fail_under, junit, format)
    if not watch:
        raise typer.Exit(once.run())
    _watch(once)


def configuration(path: Path) -> Path:
    """The file itself, or the gateway.yaml of a directory."""
    if not path.is_dir():
        return path
    found = next((path / name for name in ("gateway.yaml", "gateway.py") if (path / name).is_file()), None)
    return found or fail(f"`{path}` has no gateway.yaml; name the configuration", USAGE)


class _Once:
    """One run of all tests."""

    def __init__(
        self,
        file: Path,
        tests: tuple[Path, ...],
        coverage: bool,
        fail_under: float | None,
        junit: Path | None,
        format: Format,
    ) -> None:
        self.file, self.tests, self.coverage = file, tests, coverage
        self.fail_under, self.junit, self.format = fail_under, junit, format
        self.watched: frozenset[Path] = frozenset({file, *tests})

    def run(self) -> int:
        """The exit code."""
        from yett.control import source
        from yett.errors import ConfigurationError

        try:
            loaded = source.read(self.file)
        except source.Refused as refused:
            return self._problems(refused.problems)
        files = self.tests or loaded.tests
        self.watched = frozenset({*loaded.files, *files})
        if not files:
            fail(f"`{self.file}` names no `tests:`; write them there, or give files of tests", USAGE)
        try:
            return self._run(loaded, files)
        except source.Refused as refused:
            return self._problems(refused.problems)
        except ConfigurationError as error:
            return self._problems([source.problem(one) for one in error.errors])

    def _run(self, loaded: Loaded, files: Iterable[Path]) -> int:
        from yett.policy import engine as engines
        from yett.policy.testing import coverage, report, run

        engine = engines.of_loaded(loaded, self.file)
        done = run.run(engine, run.read(engine, files))
        covered = coverage.measure(engine.document, done.results) if self.coverage else None
        if self.junit is not None:
            try:
                report.write_junit(engine, done, self.junit)
            except OSError as error:
                fail(f"`{self.junit}` cannot be written: {(error.strerror or 'error').lower()}", USAGE)
        if self.format is Format.JSON:
            print_json(report.document(engine, done, covered))
        else:
            for line in report.lines(engine, done):
                typer.echo(line)
            for line in report.coverage_lines(covered) if covered else ():
                typer.echo(line)
        little = covered is not None and self.fail_under is not None and covered.percent < self.fail_under
        if little and self.format is Format.TEXT:
            typer.echo(f"less than {self.fail_under:g} % are covered", err=True)
        return FINDINGS if done.failed or little else 0

    def _problems(self, problems: list[dict[str, object]]) -> int:
        if self.format is Format.JSON:
            print_json({"ok": False, "problems": problems})
        else:
            print_problems(problems)
        return FINDINGS


def _watch(once: _Once) -> None:
    import watchfiles

    while True:
        once.run()
        directories = {path.absolute().parent for path in once.watched}
        names = {path.absolute() for path in once.watched}
        typer.echo("waiting for a change; Ctrl-C ends", err=True)
        changes = watchfiles.watch(*directories, recursive=False, raise_interrupt=False)
        # editors replace files: a change of the directory shows it
        if not any(any(Path(path) in names for _, path in change) for change in changes):
            return
        typer.echo("", err=True)
