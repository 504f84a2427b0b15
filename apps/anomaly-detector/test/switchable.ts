import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort } from '@claviger/testing';

/** A door to a document store, closed at first: the network between the two. */
export async function switchable(url: string) {
  const port = await freePort();
  const { hostname, port: target } = new URL(url);
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  return {
    url: `mongodb://127.0.0.1:${port}/?directConnection=true`,
    async open() {
      server = createServer((from) => {
        const to = connect(Number(target || 27_017), hostname);
        for (const socket of [from, to]) {
          sockets.add(socket);
          socket.on('error', () => undefined).on('close', () => [from, to].forEach((s) => void s.destroy()));
        }
        from.pipe(to).pipe(from);
      });
      await new Promise<void>((resolve) => server?.listen(port, '127.0.0.1', resolve));
    },
    async close() {
      if (!server) return;
      const closed = new Promise((resolve) => server?.close(resolve));
      for (const socket of sockets) socket.destroy();
      sockets.clear();
      await closed;
      server = undefined;
    },
  };
}
