import pytest

from benchmarks.errors import BenchmarkError, WrongAnswer
from benchmarks.load import read_rate

# As wrk 4.1 prints it.
GOOD = """\
Running 3s test @ https://127.0.0.1:5000/v2/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.07ms    1.14ms  25.05ms   91.34%
    Req/Sec     5.27k   531.07     5.81k    86.67%
  15741 requests in 3.00s, 2.31MB read
Requests/sec:   5243.38
Transfer/sec:    788.52KB
"""

FAILURES = {
    "answers that are errors": "  Non-2xx or 3xx responses: 12\n",
    "connections that broke": "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
}


def test_the_rate_is_read_from_what_wrk_prints() -> None:
    assert read_rate(GOOD) == pytest.approx(5243.38)


@pytest.mark.parametrize("line", FAILURES.values(), ids=FAILURES)
def test_a_failure_is_no_rate(line: str) -> None:
    with pytest.raises(WrongAnswer, match=line.strip()):
        read_rate(GOOD.replace("Requests/sec", f"{line}Requests/sec"))


def test_output_without_a_rate_is_an_error() -> None:
    with pytest.raises(BenchmarkError, match="no rate"):
        read_rate("unable to connect to 127.0.0.1:1 Connection refused")
