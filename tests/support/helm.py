"""Helm's own SDK as a client of a registry, in a process of its own: Go reads the trusted CAs once, from a variable."""

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.program import Outcome, environment, run

CODE = """
import sys
import helm_python as helm

verb, credentials, *arguments = sys.argv[1:]
try:
    with helm.RegistryClient(credentials_file=credentials) as client:
        match verb:
            case "login":
                client.login(*arguments, sys.stdin.read())
            case "logout":
                client.logout(*arguments)
            case "push":
                print(client.push(*arguments))
            case "pull":
                print(client.pull(arguments[0], version=arguments[1], destination=arguments[2]))
            case "tags":
                print(client.tags(*arguments))
except helm.HelmError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@dataclass(frozen=True, slots=True)
class Helm:
    """What `helm registry login`, `helm push` and `helm pull` do, for one person."""

    home: Path
    ca: Path

    def __call__(self, verb: str, *arguments: str, stdin: str = "") -> Outcome:
        """Do it to its end, good or bad."""
        self.home.mkdir(exist_ok=True)
        env = environment(self.home, SSL_CERT_FILE=str(self.ca))
        return run(sys.executable, "-c", CODE, verb, str(self.home / "config.json"), *arguments, env=env, stdin=stdin)

    def must(self, verb: str, *arguments: str, stdin: str = "") -> str:
        """The same for what has to end well: what it printed. Raises AssertionError with its words."""
        outcome = self(verb, *arguments, stdin=stdin)
        assert outcome.code == 0, str(outcome)
        return outcome.out
