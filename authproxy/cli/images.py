"""`authproxy images …`: images of any registry; each command is a module of its own."""

import typer

from authproxy.cli import (
    images_copy,
    images_delete,
    images_inspect,
    images_list,
    images_pull,
    images_push,
    images_tag,
)

app = typer.Typer(no_args_is_help=True)
app.command("list", epilog=images_list.EXAMPLES)(images_list.list_images)
app.command("inspect", epilog=images_inspect.EXAMPLES)(images_inspect.inspect)
app.command("copy", epilog=images_copy.EXAMPLES)(images_copy.copy)
app.command("push", epilog=images_push.EXAMPLES)(images_push.push)
app.command("pull", epilog=images_pull.EXAMPLES)(images_pull.pull)
app.command("tag", epilog=images_tag.EXAMPLES)(images_tag.tag)
app.command("delete", epilog=images_delete.EXAMPLES)(images_delete.delete)


@app.callback()
def images() -> None:
    """Images of any registry: list, look at, copy, push out of files, pull into files, tag, delete."""
