/** A thread in which large bodies are parsed, see large-bodies.ts. */
import { parentPort } from 'node:worker_threads';
import { toWireError } from '../../base/wire-error.ts';
import { PROTOCOLS } from '../protocols/protocols.ts';
import type { ParseJob, ParseOutcome } from './large-bodies.ts';

parentPort!.on('message', (job: ParseJob) => {
  const { body } = job;
  const outcome = parse(job);
  // Tensors may be views on the body, or on one another's memory, which is handed over once.
  const memory = new Set<ArrayBuffer>([body.buffer as ArrayBuffer]);
  for (const { data } of outcome.request?.inputs ?? []) if ('buffer' in data) memory.add(data.buffer as ArrayBuffer);
  parentPort!.postMessage(outcome, [...memory]);
});

function parse({ path, body, headers, target }: ParseJob): ParseOutcome {
  try {
    const route = PROTOCOLS.flatMap((protocol) => protocol.routes).find(
      (one) => one.kind === 'infer' && one.path === path,
    );
    if (route?.kind !== 'infer') throw new Error(`no prediction route ${path}`);
    return { body, request: route.parse({ body, headers }, target), error: null };
  } catch (thrown) {
    return { body, request: null, error: toWireError(thrown) };
  }
}
