#!/usr/bin/env python3
"""Stands between clients and a server, and lets what either says arrive later: delay_proxy.py PORT SERVER CONTROL_PORT.

It begins without a delay. A line with a number of milliseconds on the control port changes it, and is answered.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

CHUNK_BYTES = 64 * 1024
# Chunks of one direction that are under way; a sender that is faster has to wait.
MAX_UNDER_WAY = 256


class Delay:
    def __init__(self) -> None:
        self.seconds = 0.0


async def main(port: int, server: str, control_port: int) -> None:
    delay = Delay()
    host, server_port = server.rsplit(":", 1)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection(host, int(server_port))
        except OSError:
            writer.close()
            return
        directions = ((reader, to_writer), (to_reader, writer))
        ways = [asyncio.create_task(pass_on(from_one, to_other, delay)) for from_one, to_other in directions]
        # Whichever side ends, both do.
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.close()
        to_writer.close()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        delay.seconds = max(0.0, float(line)) / 1_000
        writer.write(line)
        await writer.drain()
        writer.close()

    served = [await asyncio.start_server(accept, "127.0.0.1", port)]
    served.append(await asyncio.start_server(control, "127.0.0.1", control_port))
    await asyncio.gather(*(one.serve_forever() for one in served))


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: Delay) -> None:
    """Delays what is said, and not how much of it may be under way."""
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_UNDER_WAY)
    clock: Callable[[], float] = asyncio.get_running_loop().time

    async def read() -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await under_way.put((clock() + delay.seconds, chunk))
        await under_way.put((clock() + delay.seconds, b""))

    reading = asyncio.create_task(read())
    try:
        while True:
            due, chunk = await under_way.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()
    except OSError:
        return
    finally:
        reading.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
