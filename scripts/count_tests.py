#!/usr/bin/env python3
"""count_tests.py STATUS REPORT...: counts the test cases of JUnit reports. Fails if STATUS is not 0, or if a case or a report failed."""
import re
import sys
import xml.etree.ElementTree as xml

status, reports = int(sys.argv[1]), sys.argv[2:]
passed = failed = skipped = 0
for report in reports:
    try:
        with open(report, encoding="utf-8", errors="replace") as file:
            # The report contains the programs' output unchanged, including characters that XML does not allow.
            text = re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", file.read())
        cases = list(xml.fromstring(re.sub(r"^<\?xml[^>]*\?>", "", text)).iter("testcase"))
    except (OSError, xml.ParseError) as error:
        print(f"{report}: {error}")
        failed += 1
        continue
    for case in cases:
        children = {child.tag for child in case}
        if children & {"failure", "error"}:
            failed += 1
            print(f"failed: {case.get('classname', '')} {case.get('name', '')}")
        elif "skipped" in children or case.get("result") == "skipped" or case.get("status") == "notrun":
            skipped += 1
        else:
            passed += 1
if status and not failed:
    print("a test program failed without naming a test case (crash or time-out): see above")
    failed += 1
if not passed and not failed:
    print("no test was run")
    failed += 1
print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
sys.exit(1 if failed else 0)
