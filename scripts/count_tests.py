#!/usr/bin/env python3
"""Adds up the results of ctest and lit.

Usage: count_tests.py CTEST_JUNIT_XML LIT_JSON

Prints the names of the tests that failed, then `N passed, N failed, N skipped`.
Exit status: 0 if none failed and some passed, 1 otherwise. A file of results
that is missing or cannot be read counts as a failure.
"""

import collections
import json
import sys
import xml.etree.ElementTree

# What lit calls a test that went as it should, and one that it did not run.
LIT_PASSED = {"PASS", "FLAKYPASS", "XFAIL"}
LIT_SKIPPED = {"UNSUPPORTED", "SKIPPED", "EXCLUDED"}


def ctest_results(path):
    """Yields (outcome, name) of each test in ctest's JUnit file."""
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        skipped = case.find("skipped")
        if case.get("status") == "run":
            outcome = "passed"
        elif case.get("status") == "disabled" or (
            # A test whose program is missing stands here as skipped too, with
            # other words.
            skipped is not None
            and skipped.get("message", "").startswith("SKIP_")
        ):
            outcome = "skipped"
        else:
            outcome = "failed"
        yield outcome, case.get("name")


def lit_results(path):
    """Yields (outcome, name) of each test in lit's file of results."""
    with open(path, encoding="utf-8") as file:
        tests = json.load(file)["tests"]
    for test in tests:
        if test["code"] in LIT_PASSED:
            outcome = "passed"
        elif test["code"] in LIT_SKIPPED:
            outcome = "skipped"
        else:
            outcome = "failed"
        yield outcome, test["name"]


def main():
    count = collections.Counter()
    for read, path in zip((ctest_results, lit_results), sys.argv[1:3]):
        try:
            for outcome, name in read(path):
                count[outcome] += 1
                if outcome == "failed":
                    print(f"failed: {name}")
        except (OSError, ValueError, KeyError, xml.etree.ElementTree.ParseError) as e:
            count["failed"] += 1
            print(f"failed: no results: {e}")
    print(", ".join(f"{count[x]} {x}" for x in ("passed", "failed", "skipped")))
    return 0 if count["passed"] and not count["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
