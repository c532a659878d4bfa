"""`authproxy images …`: images of any registry; each command is a module of its own."""

import inspect

from authproxy.cli.group import Commands
from authproxy.cli.images import copy as images_copy
from authproxy.cli.images import delete as images_delete
from authproxy.cli.images import inspect as images_inspect
from authproxy.cli.images import list as images_list
from authproxy.cli.images import pull as images_pull
from authproxy.cli.images import push as images_push
from authproxy.cli.images import tag as images_tag

app = Commands()
for name, command, examples in (
    ("list", images_list.list_images, images_list.EXAMPLES),
    ("inspect", images_inspect.inspect, images_inspect.EXAMPLES),
    ("copy", images_copy.copy, images_copy.EXAMPLES),
    ("push", images_push.push, images_push.EXAMPLES),
    ("pull", images_pull.pull, images_pull.EXAMPLES),
    ("tag", images_tag.tag, images_tag.EXAMPLES),
    ("delete", images_delete.delete, images_delete.EXAMPLES),
):
    # Each paragraph is one line, which the terminal's width then breaks.
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    app.command(name, help="\n\n".join(text.replace("\n", " ") for text in paragraphs), epilog=examples)(command)


@app.callback()
def images() -> None:
    """Images of any registry: list, look at, copy, push out of files, pull into files, tag, delete."""
