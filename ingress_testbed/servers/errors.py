"""What can go wrong with a server of the testbed.

ServerError
├── NoServerError       none of the ways leads to a server; the message names the ways
└── ServerFailedError   a server was found, but would not start; the message ends with its log
"""

import click


class ServerError(click.ClickException):
    """A server for a trial is not to be had. On a command line: the message, exit code 1."""


class NoServerError(ServerError):
    """There is no such server here."""


class ServerFailedError(ServerError):
    """The server is there and does not work."""
