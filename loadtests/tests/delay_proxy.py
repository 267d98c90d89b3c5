#!/usr/bin/env python3
"""A TCP proxy that hands everything on late: delay_proxy.py --to HOST:PORT --delay-ms 100 prints where it listens."""

import argparse
import asyncio
import threading

CHUNK_BYTES = 64 * 1024
# What is held up of one connection, at the most.
MAX_CHUNKS = 1024


class DelayProxy:
    """Runs on a thread of its own while it is entered. Only what comes back from the server is held up."""

    def __init__(self, upstream, delay_ms):
        self.host, port = upstream.rsplit(":", 1)
        self.port = int(port)
        self.delay_s = delay_ms / 1000
        self.loop = asyncio.new_event_loop()
        self.server = None
        self.address = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _hand_on(self, reader, writer, delay_s):
        """Everything arrives as fast as without, only later."""
        late = asyncio.Queue(MAX_CHUNKS)
        writing = asyncio.ensure_future(self._write(late, writer))
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                await late.put((self.loop.time() + delay_s, chunk))
        except ConnectionError:
            pass
        await late.put((0, None))
        await writing

    async def _write(self, late, writer):
        while True:
            due_s, chunk = await late.get()
            if chunk is None:
                break
            await asyncio.sleep(max(0, due_s - self.loop.time()))
            try:
                writer.write(chunk)
                await writer.drain()
            except ConnectionError:
                pass
        writer.close()

    async def _connected(self, reader, writer):
        try:
            from_server, to_server = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._hand_on(reader, to_server, 0), self._hand_on(from_server, writer, self.delay_s))

    async def _listen(self):
        self.server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]

    def __enter__(self):
        self.thread.start()
        self.address = asyncio.run_coroutine_threadsafe(self._listen(), self.loop).result()
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _end(self):
        self.server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--delay-ms", type=float, required=True)
    options = parser.parse_args()
    with DelayProxy(options.to, options.delay_ms) as proxy:
        print(proxy.address, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
