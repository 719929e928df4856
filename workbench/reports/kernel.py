"""The kernel of a notebook that nobody watches, and the way to talk to it."""

from typing import Any

import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.manager import AsyncKernelManager
from traitlets import Type


class Channel(AsyncZMQSocketChannel):
    """Requests to a kernel and its replies. A reply that arrives while something is sent is noticed.

    Otherwise the run waits for it forever: nbclient's issue 312. It sends in the midst of a cell with an `Output`
    widget, as `interact` has one.
    """

    def send(self, msg: dict[str, Any]) -> None:
        super().send(msg)
        self.socket.get(zmq.EVENTS)  # has the event loop look again


class Client(AsyncKernelClient):
    shell_channel_class = Type(Channel)


class Manager(AsyncKernelManager):
    """Starts a kernel, for papermill."""

    client_factory = Type(Client)
