"""What the doctor found, as text and as JSON."""

from authproxy.doctor.finding import Finding


def line_of(finding: Finding) -> str:
    """One check: a line, and a second one for the fix if there is one. Control characters are replaced."""
    line = f"  {finding.level.value:7}  {finding.check}: {_printable(finding.what)}"
    return f"{line}\n           → {_printable(finding.fix)}" if finding.fix else line


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def row_of(finding: Finding) -> dict[str, str]:
    """The same for JSON."""
    return {"level": finding.level.value, "check": finding.check, "what": finding.what, "fix": finding.fix}
