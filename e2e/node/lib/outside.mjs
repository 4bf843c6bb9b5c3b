// Whether a program tries to leave the machine.
import { once } from 'node:events';
import net from 'node:net';

/**
 * watchOutside starts a proxy for all that is not on this machine, which lets
 * nothing through. It returns environment variables for a program, and the list
 * of what programs have wanted from it.
 */
export async function watchOutside(t) {
  const wanted = [];
  const server = net.createServer((socket) => {
    socket.once('data', (head) => {
      wanted.push(String(head).split('\r\n')[0]);
      socket.destroy();
    });
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const proxy = `http://127.0.0.1:${server.address().port}`;
  return { env: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: '127.0.0.1,localhost' }, wanted };
}
