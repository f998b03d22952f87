"""What answers have to be: `response_validation` of two routes, part by part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from yett.policy.diff.change import (
    Change,
    at,
    bound,
    flag,
    moves,
    narrows,
    quoted,
    rest,
    switched,
    unknown,
    widens,
)
from yett.policy.diff.validation import JSON

Document = dict[str, Any]
# From strict to weak: refused, what is too much taken out, let through.
MODES = ("enforce", "strip", "report")
MODE_TEXTS = {
    "enforce": "answers that do not fit are refused",
    "strip": "what the schema does not know is taken out of answers, and they pass",
    "report": "answers that do not fit pass, and are reported",
}
PARTS = {"mode", "answers", "size", "json", "leaks", "streams", "internals", "formats"}
STATUSES = range(100, 600)
_STATUS = re.compile(r"[1-5]([0-9][0-9]|xx)|default", re.ASCII)


def compare(old: Document | None, new: Document | None) -> Iterator[Change]:
    """Every difference. A schema that is another one cannot be shown to be stricter."""
    if old == new:
        return
    if old is None and new is not None and new["mode"] == "report":
        yield moves("on", "answers are looked at now, and pass whatever they are", old, new)
        return
    if old is None or new is None:
        strict, loose = "answers are validated now", "answers are not validated any more"
        yield from switched("on", strict, loose, old, new)
        return
    yield from _mode(old["mode"], new["mode"])
    yield from _answers(old["answers"], new["answers"], strips=new["mode"] == "strip")
    yield from bound("size", "the largest body that is looked at", old["size"], new["size"], " bytes")
    for key in JSON:
        yield from bound(f"json.{key}", f"the largest `{key}` of JSON answers", old["json"].get(key), new["json"].get(key))  # fmt: skip
    yield from rest("json", "bounds of JSON answers", old["json"], new["json"], JSON)
    yield from _leaks(set(old["leaks"]), set(new["leaks"]))
    streams = [not one.get("streams", False) for one in (old, new)]
    yield from flag("streams", "bodies without an end are refused", "bodies without an end pass", *streams)
    hidden = [one.get("internals", True) for one in (old, new)]
    strict, loose = "fields that say what a service is made of are taken away", "fields that say what a service is made of pass"  # fmt: skip
    yield from flag("internal_headers", strict, loose, *hidden)
    formats = [one.get("formats", True) for one in (old, new)]
    yield from flag("formats", "formats are checked", "formats are not checked any more", *formats)
    yield from rest("", "what answers have to be", old, new, PARTS)


def _mode(old: str, new: str) -> Iterator[Change]:
    if old == new:
        return
    known = {old, new} <= set(MODES)
    stricter = known and MODES.index(new) < MODES.index(old)
    text = f"{MODE_TEXTS.get(new, new)}; before, {MODE_TEXTS.get(old, old)}"
    yield (narrows if stricter else widens)("mode", text, old, new)


def _leaks(old: set[str], new: set[str]) -> Iterator[Change]:
    """Each is something that may not leave: fewer of them widen."""
    pair = sorted(old), sorted(new)
    if old - new:
        yield widens("leaks", f"answers are not searched for {quoted(old - new)} any more", *pair)
    if new - old:
        yield narrows("leaks.more", f"answers are searched for {quoted(new - old)}", *pair)


def _answers(old: list[Document], new: list[Document], strips: bool) -> Iterator[Change]:
    """What bodies may be, status by status, as the most precise entry says it."""
    if old == new:
        return
    if not all(_known(one) for one in (*old, *new)):
        yield unknown("answers", "which answers pass", old, new)
        return
    found: dict[tuple[int | None, int | None], list[int]] = {}
    for status in STATUSES:
        found.setdefault((_of(old, status), _of(new, status)), []).append(status)
    for (one, other), statuses in found.items():
        before, after = (
            None if index is None else these[index] for index, these in ((one, old), (other, new))
        )
        where, what = f"answers.{_shown(statuses, '+')}", f"answers with status {_shown(statuses, ', ')}"
        if before is None and after is not None:
            yield widens(where, f"{what} pass", before, after)
        elif before is not None and after is None:
            yield narrows(where, f"{what} are refused", before, after)
        elif before is not None and after is not None:
            yield from at(where, _bodies(what, before.get("bodies"), after.get("bodies"), strips))
    if not any(_effect(old, status) != _effect(new, status) for status in STATUSES):
        yield moves("answers", "which answers pass is written otherwise", old, new)


def _known(answer: Document) -> bool:
    return answer.keys() <= {"status", "bodies"} and _STATUS.fullmatch(answer["status"]) is not None


def _of(answers: list[Document], status: int) -> int | None:
    """The entry that counts for a status, as the data plane finds it; a 304 stands for the answer that it saves."""
    found, best = None, -1
    for index, answer in enumerate(answers):
        rank = _rank(answer["status"], status)
        if rank is not None and rank >= best:
            found, best = index, rank
    if found is None and status == 304:
        return _of(answers, 200)
    return found


def _rank(written: str, status: int) -> int | None:
    if written == "default":
        return 0
    if written.endswith("xx"):
        return 1 if written[0] == str(status // 100) else None
    return 2 if int(written) == status else None


def _effect(answers: list[Document], status: int) -> Any:
    index = _of(answers, status)
    return None if index is None else (True, answers[index].get("bodies"))


def _shown(statuses: list[int], between: str) -> str:
    """`2xx, 404, 500-511`"""
    left = set(statuses)
    names = []
    for hundred in range(1, 6):
        whole = set(range(hundred * 100, hundred * 100 + 100))
        if whole <= left:
            names.append(f"{hundred}xx")
        else:
            names += _ranges(sorted(left & whole))
    return between.join(names)


def _ranges(numbers: Iterable[int]) -> list[str]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]


def _bodies(
    what: str, old: list[Document] | None, new: list[Document] | None, strips: bool
) -> Iterator[Change]:
    """What bodies may be: anything, where there is no list."""
    if old == new:
        return
    if old is None and new is not None and not (strips and any("schema" in one for one in new)):
        types = quoted(one["content_type"] for one in new)
        text = f"only bodies of {types} pass" if new else "no body passes"
        yield narrows("bodies", f"{what}: {text}", old, new)
        yield from _extra(what, new)
        return
    if old is None or new is None:
        text = "bodies may be anything" if new is None else "bodies have another schema, and what it does not know is taken out"  # fmt: skip
        yield widens("bodies", f"{what}: {text}", old, new)
        return
    before, after = ({one["content_type"]: one for one in these} for these in (old, new))
    if (
        len(before) < len(old)
        or len(after) < len(new)
        or any(name.startswith("*") for name in (*before, *after))
    ):
        yield unknown("bodies", f"{what}: which bodies pass", old, new)
        return
    if _whole(old) and not _whole(new):
        yield widens("body", f"{what}: they may have no body", old, new)
    for name in sorted(before.keys() | after.keys()):
        yield from _body(
            what, name, before.get(name), after.get(name), any("*" in one for one in after), strips
        )
    if before == after:
        yield moves("bodies.order", f"{what}: kinds of bodies stand in another order", old, new)


def _extra(what: str, new: list[Document]) -> Iterator[Change]:
    """Keys of a body that nobody knows."""
    for one in new:
        yield from rest(
            "bodies", f"{what}: bodies of `{one['content_type']}`", {}, one, {"content_type", "schema"}
        )


def _whole(bodies: list[Document]) -> bool:
    """Whether an answer without a body does not fit: each has to be of some schema."""
    return bool(bodies) and all("schema" in one for one in bodies)


def _body(
    what: str, name: str, old: Document | None, new: Document | None, wide: bool, strips: bool
) -> Iterator[Change]:
    where, what = f"bodies.{name}", f"{what}: bodies of `{name}`"
    if old == new:
        return
    if old is None:
        yield widens(where, f"{what} pass, too", old, new)
    elif new is None and wide:
        yield unknown(where, what, old, new)
    elif new is None:
        yield narrows(where, f"{what} are refused", old, new)
    elif "schema" not in old and new == {**old, "schema": new.get("schema")} and not strips:
        yield narrows(where, f"{what} are held against a schema", old, new)
    elif "schema" not in new and "schema" in old and old == {**new, "schema": old["schema"]}:
        yield widens(where, f"{what} are held against no schema any more", old, new)
    else:
        yield unknown(where, what, old, new)
