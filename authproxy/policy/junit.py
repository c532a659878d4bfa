"""The results of cases as JUnit XML for CI systems: one suite per file, one test case per case.

There is no specification; these are the elements that all readers support (testsuites, testsuite, testcase, failure).
"""

from itertools import groupby
from xml.etree import ElementTree as ET

from authproxy.policy.cases import Report


def to_junit(report: Report) -> str:
    """The XML document, with its declaration."""
    root = ET.Element("testsuites", name="authproxy policy test")
    for file, group in groupby(report.outcomes, key=lambda outcome: outcome.case.file):
        outcomes = list(group)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=file,
            tests=str(len(outcomes)),
            failures=str(sum(bool(outcome.faults) for outcome in outcomes)),
        )
        for case, faults in ((outcome.case, outcome.faults) for outcome in outcomes):
            name = f"{case.line}: {case} → {case.expected}"
            element = ET.SubElement(suite, "testcase", classname=file, name=name, file=file, line=str(case.line))
            if faults:
                failure = ET.SubElement(element, "failure", message=faults[0])
                failure.text = "\n".join([*faults, *([case.why] if case.why else [])])
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
