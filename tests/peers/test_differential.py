"""Random but repeatable sequences of calls to us and to a real `docker-registry`: no answer differs without a reason.

The same sequences in each run; `make soak` has new ones.
"""

from pathlib import Path

from hypothesis import Phase, settings

from tests.peers.conversation import converse
from tests.peers.twins import Twins, running_guarded_twins

SEQUENCES = settings(max_examples=40, derandomize=True, database=None, phases=[Phase.generate])
FEW = settings(SEQUENCES, max_examples=5)


def test_sequences(twins: Twins) -> None:
    converse(twins, SEQUENCES)


def test_sequences_over_tls_with_tokens(tmp_path: Path) -> None:
    """The edge in front changes nothing of what a caller who may do everything is answered."""
    with running_guarded_twins(tmp_path) as twins:
        converse(twins, FEW)
