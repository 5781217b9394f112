/** An open-loop load: requests leave on time, whether earlier ones were answered or not, each on a connection that is free. */
import { connect, type Socket } from 'node:net';

export type OpenLoopSpec = {
  readonly url: string;
  /** A whole request, head and body. */
  readonly request: Buffer;
  readonly perSecond: number;
  readonly seconds: number;
  /** Answers to requests sent before this are not counted. */
  readonly warmUpSeconds: number;
  /** Connections at most; a request that finds none counts as lost. */
  readonly maxConnections: number;
};

export type OpenLoopResult = {
  readonly sent: number;
  readonly lost: number;
  /** Milliseconds from when each request was due to its answer, by status. */
  readonly byStatus: ReadonlyMap<number, number[]>;
  /** Connections that broke with a request on them. */
  readonly broken: number;
  /** Seconds that were counted. */
  readonly seconds: number;
};

type Line = { readonly socket: Socket; dueMs: number; busy: boolean; text: string };

export async function openLoop(spec: OpenLoopSpec): Promise<OpenLoopResult> {
  const { hostname: host, port } = new URL(spec.url);
  const byStatus = new Map<number, number[]>();
  const free: Line[] = [];
  const all = new Set<Line>();
  let sent = 0;
  let lost = 0;
  let broken = 0;
  const startMs = performance.now();
  const countFromMs = startMs + spec.warmUpSeconds * 1000;
  const endMs = startMs + spec.seconds * 1000;

  const open = (): Line => {
    const line: Line = { socket: connect(Number(port), host), dueMs: 0, busy: false, text: '' };
    line.socket.setNoDelay(true);
    all.add(line);
    line.socket.on('data', (chunk: Buffer) => {
      line.text += chunk.toString('latin1');
      const head = line.text.indexOf('\r\n\r\n');
      if (head === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(line.text)?.[1] ?? 0);
      if (line.text.length < head + 4 + length) return;
      const status = Number(line.text.slice(9, 12));
      line.text = '';
      line.busy = false;
      if (line.dueMs >= countFromMs) {
        const times = byStatus.get(status) ?? [];
        times.push(performance.now() - line.dueMs);
        byStatus.set(status, times);
      }
      free.push(line);
    });
    const over = (): void => {
      if (!all.delete(line)) return;
      if (line.busy && line.dueMs >= countFromMs) broken++;
      const at = free.indexOf(line);
      if (at !== -1) free.splice(at, 1);
    };
    line.socket.on('error', over);
    line.socket.on('close', over);
    return line;
  };

  const ask = (dueMs: number): void => {
    const line = free.pop() ?? (all.size < spec.maxConnections ? open() : null);
    const counts = dueMs >= countFromMs;
    if (counts) sent++;
    if (line === null) {
      if (counts) lost++;
      return;
    }
    line.busy = true;
    line.dueMs = dueMs;
    line.socket.write(spec.request);
  };

  // Exponential gaps: independent callers.
  let nextMs = startMs;
  while (performance.now() < endMs) {
    const nowMs = performance.now();
    while (nextMs <= nowMs && nextMs < endMs) {
      ask(nextMs);
      nextMs += (-Math.log(1 - Math.random()) * 1000) / spec.perSecond;
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const waitUntilMs = performance.now() + 15_000;
  while ([...all].some((line) => line.busy) && performance.now() < waitUntilMs) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  for (const line of [...all]) line.socket.destroy();
  return { sent, lost, byStatus, broken, seconds: spec.seconds - spec.warmUpSeconds };
}

export function percentile(times: readonly number[], share: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function httpRequest(url: string, path: string, body: string, headers: readonly string[] = []): Buffer {
  const lines = [`POST ${path} HTTP/1.1`, `Host: ${new URL(url).host}`, 'Content-Type: application/json', ...headers];
  return Buffer.from(`${lines.join('\r\n')}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
