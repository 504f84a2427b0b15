import { createServer } from 'node:net';

/** A port of 127.0.0.1 that was free a moment ago. Nothing reserves it: programs that can choose their port themselves should. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
