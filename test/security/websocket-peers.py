"""The other end of test/security/autobahn.ts: LIBRARY client PORT, or LIBRARY server.

Sends messages of every length at which the head of a frame changes its form, and a ping, to an end that sends messages
back; prints what it found. Two libraries, since both wrote RFC 6455 anew.
"""

import os
import socket
import sys
import threading

LENGTHS = [0, 1, 125, 126, 127, 1_000, 32_768, 65_534, 65_535]
MESSAGES = [os.urandom(length) for length in LENGTHS]


def converse(send, receive, ping, close):
    for message in MESSAGES:
        send(message)
        assert receive() == message, f"a message of {len(message)} bytes"
    ping()
    close()
    print("every echo is right", flush=True)


def with_websockets(connection):
    def ping():
        assert connection.ping(b"are you there").wait(10)

    converse(connection.send, lambda: connection.recv(10), ping, connection.close)
    assert connection.protocol.close_rcvd.code == 1000


def websockets_client(port):
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{port}", compression=None) as connection:
        with_websockets(connection)


def websockets_server():
    from websockets.sync.server import serve

    def handle(connection):
        with_websockets(connection)
        # It waits for this handler, so it cannot be called in it.
        threading.Thread(target=server.shutdown).start()

    with serve(handle, "127.0.0.1", 0, compression=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


class WithWsproto:
    """A connection that reads until the library has an event of the kind that is wanted."""

    def __init__(self, kind, tcp):
        from wsproto import WSConnection

        self.protocol = WSConnection(kind)
        self.tcp = tcp
        self.tcp.settimeout(10)
        self.waiting = []

    def send(self, event):
        self.tcp.sendall(self.protocol.send(event))

    def until(self, kind):
        while True:
            while self.waiting:
                event = self.waiting.pop(0)
                if isinstance(event, kind):
                    return event
            got = self.tcp.recv(65_536)
            self.protocol.receive_data(got or None)
            self.waiting += self.protocol.events()

    def message(self):
        from wsproto.events import BytesMessage

        whole = b""
        while True:
            event = self.until(BytesMessage)
            whole += bytes(event.data)
            if event.message_finished:
                return whole

    def converse(self):
        from wsproto.events import BytesMessage, CloseConnection, Ping, Pong

        def ping():
            self.send(Ping(payload=b"are you there"))
            assert self.until(Pong).payload == b"are you there"

        def close():
            self.send(CloseConnection(code=1000))
            assert self.until(CloseConnection).code == 1000

        converse(lambda data: self.send(BytesMessage(data=data)), self.message, ping, close)


def wsproto_client(port):
    from wsproto import ConnectionType
    from wsproto.events import AcceptConnection, Request

    with socket.create_connection(("127.0.0.1", int(port))) as tcp:
        peer = WithWsproto(ConnectionType.CLIENT, tcp)
        peer.send(Request(host="127.0.0.1", target="/"))
        peer.until(AcceptConnection)
        peer.converse()


def wsproto_server():
    from wsproto import ConnectionType
    from wsproto.events import AcceptConnection, Request

    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        tcp, _ = listener.accept()
        with tcp:
            peer = WithWsproto(ConnectionType.SERVER, tcp)
            peer.until(Request)
            peer.send(AcceptConnection())
            peer.converse()


RUNS = {
    ("websockets", "client"): websockets_client,
    ("websockets", "server"): websockets_server,
    ("wsproto", "client"): wsproto_client,
    ("wsproto", "server"): wsproto_server,
}

RUNS[sys.argv[1], sys.argv[2]](*sys.argv[3:])
