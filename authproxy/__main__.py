"""`python -m authproxy` is the command `authproxy`."""

from authproxy.entry import main

main()
