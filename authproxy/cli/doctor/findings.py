"""What the doctor found, as text and as JSON."""

from authproxy.doctor.finding import Finding, Verdict

# How `--json` calls what came of it, and how text does; the doctor's own words are about tokens.
VERDICTS = {Verdict.TAKEN: "fine", Verdict.REFUSED: "wrong", Verdict.UNSAID: "unsaid"}
IN_WORDS = {
    Verdict.TAKEN: "nothing is wrong",
    Verdict.REFUSED: "something is wrong",
    Verdict.UNSAID: "that cannot be said",
}


def line_of(finding: Finding) -> str:
    """One check: a line, and a second one with the fix where there is one. What others said moves no cursor."""
    line = f"  {finding.level.value:6}  {finding.check}: {_printable(finding.what)}"
    return f"{line}\n          → {_printable(finding.fix)}" if finding.fix else line


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def row_of(finding: Finding) -> dict[str, str]:
    """The same for JSON."""
    return {"level": finding.level.value, "check": finding.check, "what": finding.what, "fix": finding.fix}
