"""`python -m authproxy` is the command `authproxy`."""

from authproxy.cli import main

main()
