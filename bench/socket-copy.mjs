/**
 * What moving bytes costs at the least: every body is written back as it arrives, over node:net, behind a fixed head. It reads no more of
 * HTTP than the end of the first head and its Content-Length, which every request has to have alike.
 */
import { createServer } from 'node:net';

const server = createServer({ noDelay: true }, (socket) => {
  let headBytes = 0;
  let bodyBytes = 0;
  let answer = null;
  /** Bytes of the request under way that came so far. */
  let came = 0;
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    if (answer === null) {
      const head = chunk.toString('latin1').split('\r\n\r\n', 1)[0];
      headBytes = head.length + 4;
      bodyBytes = Number(/\r\ncontent-length: (\d+)/i.exec(head)[1]);
      answer = `HTTP/1.1 200 OK\r\nContent-Length: ${bodyBytes}\r\n\r\n`;
    }
    if (came === 0) socket.write(answer);
    const body = came < headBytes ? chunk.subarray(headBytes - came) : chunk;
    came += chunk.length;
    if (came >= headBytes + bodyBytes) came = 0;
    socket.write(body);
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
