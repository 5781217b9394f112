/**
 * Load whose requests come when they come, whether or not earlier ones were answered: a server that stalls is not spared, and latency counts
 * from the moment a request was due.
 */
import { Agent, request } from 'node:http';

export type Arrival = { readonly path: string; readonly body: string };

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Since the request was due. */
  readonly ms: number;
};

export type OpenLoop = {
  readonly sent: number;
  readonly answered: number;
  /** Connections that failed or broke before the whole answer, by what the system said. */
  readonly broken: readonly string[];
  /** Milliseconds of all answers since the last call, sorted. */
  takeLatencies(): number[];
  /** Sends no more, and waits for every answer. */
  stop(): Promise<void>;
};

const TICK_MS = 4;

/**
 * @param how.arrival the next request, by its number
 * @param how.onAnswer called with every whole answer, of any status
 */
export function startOpenLoop(how: {
  url: string;
  perSecond: number;
  connections: number;
  arrival: (number: number) => Arrival;
  onAnswer: (answer: Answer, number: number) => void;
}): OpenLoop {
  const agent = new Agent({ keepAlive: true, maxSockets: how.connections });
  const startedMs = performance.now();
  const broken: string[] = [];
  const settled = Promise.withResolvers<void>();
  let latencies: number[] = [];
  let sent = 0;
  let answered = 0;
  let stopping = false;

  const settle = (): void => {
    if (stopping && answered + broken.length === sent) settled.resolve();
  };
  const send = (number: number, dueMs: number): void => {
    const { path, body } = how.arrival(number);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const outgoing = request(new URL(path, how.url), { agent, method: 'POST', headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        const ms = performance.now() - dueMs;
        answered++;
        latencies.push(ms);
        how.onAnswer({ status: response.statusCode!, headers: response.headers, text, ms }, number);
        settle();
      });
      response.on('error', fail);
    });
    const fail = (error: Error): void => {
      broken.push(`request ${number}: ${(error as NodeJS.ErrnoException).code ?? error.message}`);
      settle();
    };
    outgoing.on('error', fail);
    outgoing.end(body);
  };
  const clock = setInterval(() => {
    const due = ((performance.now() - startedMs) / 1000) * how.perSecond;
    while (sent < due) {
      const number = sent++;
      send(number, startedMs + (number / how.perSecond) * 1000);
    }
  }, TICK_MS);

  return {
    get sent() {
      return sent;
    },
    get answered() {
      return answered;
    },
    broken,
    takeLatencies() {
      const taken = latencies.sort((a, b) => a - b);
      latencies = [];
      return taken;
    },
    async stop() {
      clearInterval(clock);
      stopping = true;
      settle();
      await settled.promise;
      agent.destroy();
    },
  };
}
