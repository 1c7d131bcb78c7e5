"""The gate as a JUnit file: one test case per condition, for CI that shows such files."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from reindex.gate import Condition
from reindex.report.gather import Report

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """One suite. A condition that fails is a failure, an inconclusive one is skipped.

    Without judgements there is one case, which is skipped: nothing was decided.
    """
    conditions = report.decision.conditions
    if report.judged is None and report.unjudged is not None:
        wanted = "judged queries (reindex pool, reindex judge)"
        conditions = (Condition("judged", report.verdict, report.sentence, wanted),)
    verdicts = [item.verdict for item in conditions]
    failed = verdicts.count("fail")
    skipped = len(verdicts) - failed - verdicts.count("pass")
    counts = {"tests": str(len(verdicts)), "failures": str(failed), "skipped": str(skipped)}
    name = _clean(f"{report.project} {report.version}: gate")
    root = ET.Element("testsuites", {"name": name, **counts, "errors": "0"})
    suite = ET.SubElement(
        root, "testsuite", {"name": name, **counts, "errors": "0", "timestamp": report.made_at}
    )
    properties = ET.SubElement(suite, "properties")
    for key, value in (("verdict", report.verdict), ("sentence", report.sentence)):
        ET.SubElement(properties, "property", {"name": key, "value": _clean(value)})
    for item in conditions:
        _case(suite, report, item)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, report: Report, item: Condition) -> None:
    where = _clean(f"reindex.gate.{report.version}")
    case = ET.SubElement(suite, "testcase", {"classname": where, "name": _clean(item.name)})
    told = _clean(f"{item.figure} (required: {item.required})")
    if item.verdict == "fail":
        ET.SubElement(case, "failure", {"type": "fail", "message": told}).text = told
    elif item.verdict != "pass":
        ET.SubElement(case, "skipped", {"message": f"{item.verdict}: {told}"})
    else:
        ET.SubElement(case, "system-out").text = told


def _clean(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return _NOT_IN_XML.sub("\ufffd", text)
