import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { add, end, type GatewayProcess, serve, tensor } from '../../../test/fixtures/gateway.ts';

let gateway: GatewayProcess;
let port = 0;

beforeAll(async () => {
  const slow = {
    model: 'slow',
    file: 'slow.onnx',
    signature: {
      inputs: [tensor('X', 'FP32', -1, 1), tensor('rounds', 'INT64', -1, 1)],
      outputs: [tensor('Y', 'FP32', -1, 1)],
    },
    sampleRequest: { records: [{ X: 1, rounds: 1 }] },
  };
  gateway = await serve({ versions: [add(), slow] });
  port = Number(new URL(gateway.url).port);
});
afterAll(() => end(gateway));

const body = (x: number): string => JSON.stringify({ records: [{ X: [x, x, x] }] });

function post(path: string, content: string, ...headers: string[]): string {
  const lines = [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    `Content-Length: ${Buffer.byteLength(content)}`,
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${content}`;
}
const predict = (x: number, ...headers: string[]): string => post('/endpoints/add/predict', body(x), ...headers);
const slowly = (rounds: number): string =>
  post('/endpoints/slow/predict', JSON.stringify({ records: [{ X: 1, rounds }] }));

type Answer = { status: number; headers: Record<string, string>; text: string };

/** Sends and gives the answers, as many as asked for, and whether the connection was closed after them. */
async function talk(
  send: (socket: Socket) => void | Promise<void>,
  count: number,
): Promise<{ answers: Answer[]; closed: boolean }> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let raw = Buffer.alloc(0);
  let closed = false;
  const answers: Answer[] = [];
  const done = Promise.withResolvers<void>();
  const take = (): void => {
    for (;;) {
      const at = raw.indexOf('\r\n\r\n');
      if (at === -1) return;
      const [first, ...lines] = raw.toString('latin1', 0, at).split('\r\n');
      const headers = Object.fromEntries(
        lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
      );
      const length = Number(headers['content-length']);
      if (raw.length < at + 4 + length) return;
      answers.push({
        status: Number(first!.split(' ')[1]),
        headers,
        text: raw.toString('utf8', at + 4, at + 4 + length),
      });
      raw = raw.subarray(at + 4 + length);
      if (answers.length === count) done.resolve();
    }
  };
  socket.on('data', (chunk) => {
    raw = Buffer.concat([raw, chunk as Buffer]);
    take();
  });
  socket.on('error', () => {});
  socket.on('close', () => done.resolve());
  socket.on('end', () => {
    closed = true;
    done.resolve();
  });
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  await send(socket);
  await done.promise;
  await new Promise((resolve) => setTimeout(resolve, 30));
  socket.destroy();
  expect(raw.toString()).toBe(''); // never more than was asked for
  return { answers, closed };
}

const sumsOf = (answers: Answer[]): unknown[] =>
  answers.map(({ text }) => (JSON.parse(text) as { predictions: { Y: number[] }[] }).predictions[0]?.Y[0]);

describe('the lean path', () => {
  it('answers with the headers of node:http, and the connection stays', async () => {
    const lean = await talk((socket) => void socket.write(predict(1) + predict(2)), 2);
    const node = await talk((socket) => void socket.write(predict(1, 'TE: trailers') + predict(2)), 2);
    expect(sumsOf(lean.answers)).toEqual(sumsOf(node.answers));
    const names = ({ headers }: Answer): string[] => Object.keys(headers).sort();
    expect(names(lean.answers[0]!)).toEqual(names(node.answers[0]!));
    expect(lean.answers[0]!.headers).toMatchObject({ connection: 'keep-alive', 'keep-alive': 'timeout=75' });
    expect(Math.abs(Date.parse(lean.answers[0]!.headers['date']!) - Date.now())).toBeLessThan(3000);
    expect([lean.closed, node.closed]).toEqual([false, false]);
  });

  it('answers in the order of the questions, however long each takes', async () => {
    const { answers } = await talk(
      (socket) => void socket.write(slowly(300_000) + predict(1) + slowly(1) + predict(2)),
      4,
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(answers.map(({ text }) => (JSON.parse(text) as { endpoint: string }).endpoint)).toEqual([
      'slow',
      'add',
      'slow',
      'add',
    ]);
  });

  it('answers a hundred pipelined requests, each once', async () => {
    const all = Array.from({ length: 100 }, (_, i) => predict(i)).join('');
    const { answers } = await talk((socket) => void socket.write(all), 100);
    const first = sumsOf(answers) as number[];
    expect(first.map((sum) => sum - first[0]!)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  it('goes over to node:http in the middle of a pipeline without losing or repeating a request', async () => {
    const odd = [
      predict(2, 'TE: trailers'),
      `POST /endpoints/add/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${body(2).length.toString(16)}\r\n${body(2)}\r\n0\r\n\r\n`,
    ];
    for (const one of odd) {
      const { answers } = await talk((socket) => void socket.write(slowly(100_000) + predict(1) + one + predict(3)), 4);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
      expect(
        sumsOf(answers)
          .slice(1)
          .map((sum) => (sum as number) - (sumsOf(answers)[1] as number)),
      ).toEqual([0, 1, 2]);
    }
  });

  it('takes bodies and heads in whatever pieces they come', async () => {
    const text = predict(1) + predict(2) + predict(3);
    for (const size of [1, 7, 64, 190, 200, 333]) {
      const { answers } = await talk(async (socket) => {
        for (let at = 0; at < text.length; at += size) {
          socket.write(text.slice(at, at + size));
          if (at % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
      }, 3);
      expect([size, answers.map(({ status }) => status)]).toEqual([size, [200, 200, 200]]);
    }
  });

  it('takes a head at once and a large body in pieces, then the next request', async () => {
    const many = JSON.stringify({ records: Array.from({ length: 5000 }, (_, i) => ({ X: [i, i, i] })) });
    const { answers } = await talk(async (socket) => {
      const text = post('/endpoints/add/predict', many) + predict(7);
      for (let at = 0; at < text.length; at += 20_000) {
        socket.write(text.slice(at, at + 20_000));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }, 2);
    expect((JSON.parse(answers[0]!.text) as { predictions: unknown[] }).predictions.length).toBe(5000);
    expect(answers[1]!.status).toBe(200);
  });

  it('takes bodies of megabytes, as JSON read in a thread and as binary tensors, with the next request right behind', async () => {
    const rows = 120_000;
    const numbers = Float32Array.from({ length: rows * 3 }, (_, i) => i % 100);
    const shape = [rows, 3];
    const json = JSON.stringify({ inputs: [{ name: 'X', datatype: 'FP32', shape, data: [...numbers] }] });
    const parameters = { binary_data_size: numbers.byteLength };
    for (const spaces of [0, 1, 5]) {
      const header =
        JSON.stringify({ inputs: [{ name: 'X', datatype: 'FP32', shape, parameters }] }) + ' '.repeat(spaces);
      const binary = Buffer.concat([Buffer.from(header), Buffer.from(numbers.buffer)]);
      const head = `POST /v2/models/add/infer HTTP/1.1\r\nHost: localhost\r\nInference-Header-Content-Length: ${header.length}\r\nContent-Length: ${binary.length}\r\n\r\n`;
      const { answers } = await talk((socket) => {
        socket.write(head);
        socket.write(binary);
        socket.write(predict(1) + post('/v2/models/add/infer', json) + predict(2));
      }, 4);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
      const outputs = [answers[0]!, answers[2]!].map(({ text }) => {
        return (JSON.parse(text) as { outputs: { data: number[] }[] }).outputs[0]!.data;
      });
      expect(outputs[0]!.length).toBe(rows * 3);
      expect(outputs[0]).toEqual(outputs[1]);
    }
  });

  it('refuses before the body what needs no body, and reads on after it', async () => {
    const { answers } = await talk(async (socket) => {
      socket.write('POST /endpoints/nobody/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n');
      await new Promise((resolve) => setTimeout(resolve, 30));
      socket.write(`0123456789${predict(1)}`);
    }, 2);
    expect(answers.map(({ status }) => status)).toEqual([404, 200]);
  });

  it('takes a client that has ended its side for gone, as node:http does, and does not go on computing for it', async () => {
    const cancelled = async (): Promise<number> => {
      const stats = await (await fetch(`${gateway.url}/v2/models/slow/stats`)).json();
      return (stats as { model_stats: { response_stats: { 0: { cancel: { count: number } } } }[] }).model_stats[0]!
        .response_stats[0].cancel.count;
    };
    const before = await cancelled();
    const { answers, closed } = await talk((socket) => void socket.end(slowly(2_000_000)), 1);
    expect([answers.length, closed]).toEqual([0, true]);
    expect(await cancelled()).toBe(before + 1);
  });

  it('answers 400 to a body that ends early, and closes', async () => {
    const { answers, closed } = await talk((socket) => void socket.end(predict(1).slice(0, -3)), 1);
    expect([answers[0]?.status, closed]).toEqual([400, true]);
  });

  it('reads on only as fast as its answers are read, and gives the rest when they are', async () => {
    const data = new Array(6000).fill(1.5);
    const wide = JSON.stringify({ inputs: [{ name: 'X', datatype: 'FP32', shape: [2000, 3], data }] });
    const socket = connect({ port, host: '127.0.0.1' });
    socket.pause();
    const text = post('/v2/models/add/infer', wide);
    const count = 800;
    for (let i = 0; i < count; i++) socket.write(text);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(socket.writableLength).toBeGreaterThan(0); // it stopped taking
    let tail = '';
    let answers = 0;
    socket.on('data', (chunk: Buffer) => {
      const parts = (tail + chunk.toString('latin1')).split('HTTP/1.1 200 OK');
      answers += parts.length - 1;
      tail = parts.at(-1)!.slice(-14); // one short of what is looked for
    });
    socket.resume();
    const untilMs = performance.now() + 25_000;
    while (answers < count && performance.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(answers).toBe(count);
    socket.destroy();
  });
});
