"""A program that has imported `authproxy` already and becomes the command: each start takes a tenth of the time.

It reads orders from the socket that is its standard input, one JSON object a packet, and answers each with one:

    {"argv": [...], "folder": ..., "variables": {...}, "own_group": ...}  with three descriptors  ->  {"pid": ...}
    {"ended": pid}                                                                              ->  {"code": ...}

A process is a fork that becomes the command: arguments, folder, variables, standard descriptors, exit code and all.
It stays a zombie until it is asked for. The program ends where its input does.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import socket
import sys
import threading
import time
from functools import cache
from typing import Any, NoReturn

MAX_ORDER_BYTES = 1 << 20


def check_passwords_in_time() -> None:
    """Make new passwords of the least cost where none is asked for, and check them in turn with everything else.

    The command leaves bcrypt what everything else leaves over (docs/decisions/0020): the tests leave nothing.
    """
    from authproxy.identity import bcrypt_hash, passwords

    bcrypt_hash.DEFAULT_COST = bcrypt_hash.MIN_COST  # modules that import it later get this one
    bcrypt_hash.hash_password.__defaults__ = (bcrypt_hash.MIN_COST,)
    passwords.NICENESS = 0


def import_everything() -> None:
    """What a start takes its time for."""
    import typer.main

    import authproxy.cli

    for module in pkgutil.walk_packages(authproxy.__path__, "authproxy."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    # What the command line is made of: a fifth of the rest of a start.
    typer.main.get_command = cache(typer.main.get_command)
    typer.main.get_command(authproxy.cli.app)
    gc.collect()
    gc.freeze()  # a fork's collector would copy every page of it


def serve(orders: socket.socket) -> None:
    """Follow orders until there are no more."""
    while True:
        packet, descriptors, _, _ = socket.recv_fds(orders, MAX_ORDER_BYTES, 3)
        if not packet:
            return
        order = json.loads(packet)
        if "ended" in order:
            answer = {"code": os.waitstatus_to_exitcode(os.waitpid(order["ended"], 0)[1])}
        else:
            pid = os.fork()
            if pid == 0:
                orders.close()
                become(order, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            answer = {"pid": pid}
        orders.sendall(json.dumps(answer).encode())


def become(order: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Be the command, as the shell would have started it."""
    code = 1
    try:
        if order["own_group"]:
            os.setpgid(0, 0)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["variables"])
        time.tzset()
        sys.argv = order["argv"]
        code = run_command()
    except BaseException:  # noqa: BLE001 - a fork must not go on as the nursery, whatever went wrong
        sys.excepthook(*sys.exc_info())
    finally:
        # What the interpreter does at its end, but for taking the modules apart.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run_command() -> int:
    """The console script: its exit code."""
    from authproxy.cli import main

    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__mp_main__":  # a worker process of a command begins by running the main file of its parent
    check_passwords_in_time()
if __name__ == "__main__":
    check_passwords_in_time()
    import_everything()
    with socket.socket(fileno=os.dup(0)) as orders:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        serve(orders)
