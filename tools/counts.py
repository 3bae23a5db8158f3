"""How many tests passed, from what each kind of test leaves behind."""

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree


@dataclasses.dataclass
class Count:
    """The outcome of some tests; failures are names for people."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list = dataclasses.field(default_factory=list)

    def fail(self, name):
        """Count a failure under its name."""
        self.failed += 1
        self.failures.append(name)


def nothing(why):
    """Return the count of a step that found nothing to run: one failure."""
    count = Count()
    count.fail(why)
    return count


def of_status(status):
    """Return the count of one program, which passes with exit status 0."""
    return Count(passed=1) if status == 0 else Count(failed=1)


TAP = re.compile(r"^(not ok|ok) \d+(?: - )?(.*)$", re.MULTILINE)


def of_meson(path):
    """Return the count of a run of meson's tests from its JSON log.

    A program that speaks TAP, as cmocka is told to, counts once for each of
    its cases; any other once.  One that fails without a failed case counts as
    a failure, too: it crashed.
    """
    count = Count()
    if not path.exists():
        return nothing(f"meson wrote no {path.name}")
    for line in path.read_text(encoding="utf-8").splitlines():
        add_program(count, json.loads(line))
    return count if count.passed or count.failed else nothing("no test ran")


def add_program(count, test):
    """Add one program of meson's log to @count."""
    failed = count.failed
    cases = TAP.findall(test.get("stdout", ""))
    for outcome, name in cases:
        if "# SKIP" in name.upper():
            count.skipped += 1
        elif outcome == "ok":
            count.passed += 1
        else:
            count.fail(f"{test['name']}: {name}")
    if test["result"] == "SKIP":
        count.skipped += 1
    elif test["result"] != "OK":
        if count.failed == failed:
            count.fail(f"{test['name']}: {test['result'].lower()}")
    elif not cases:
        count.passed += 1


def of_junit(path):
    """Return the count of a run of pytest from its JUnit file."""
    if not path.exists():
        return nothing(f"pytest wrote no {path.name}")
    count = Count()
    for case in ElementTree.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            count.fail(f"{case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is not None:
            count.skipped += 1
        else:
            count.passed += 1
    return count if count.passed or count.failed else nothing("no test ran")


def tail(path, lines=30):
    """Return the end of a log, set in."""
    text = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in text[-lines:])
