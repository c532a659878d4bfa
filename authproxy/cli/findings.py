"""What the doctor found, as text and as JSON."""

from authproxy.doctor.finding import Finding


def line_of(finding: Finding) -> str:
    """One check: a line, and a second one with the fix where there is one."""
    line = f"  {finding.level.value:6}  {finding.check}: {finding.what}"
    return f"{line}\n          → {finding.fix}" if finding.fix else line


def row_of(finding: Finding) -> dict[str, str]:
    """The same for JSON."""
    return {"level": finding.level.value, "check": finding.check, "what": finding.what, "fix": finding.fix}
