/** A thread in which large bodies are parsed, see large-bodies.ts. */
import { parentPort } from 'node:worker_threads';
import { toWireError } from '../../base/wire-error.ts';
import { PROTOCOLS } from '../protocols/protocols.ts';
import { packTensor } from '../tensors/packed-text.ts';
import type { ParseJob, ParseOutcome } from './large-bodies.ts';

parentPort!.on('message', (job: ParseJob) => {
  const { body } = job;
  // Tensors may be views on the body, or on one another's memory, which is handed over once.
  const memory = new Set<ArrayBuffer>([body.buffer as ArrayBuffer]);
  const outcome = parse(job, memory);
  parentPort!.postMessage(outcome, [...memory]);
});

function parse({ path, body, headers, target }: ParseJob, memory: Set<ArrayBuffer>): ParseOutcome {
  try {
    const route = PROTOCOLS.flatMap((protocol) => protocol.routes).find(
      (one) => one.kind === 'infer' && one.path === path,
    );
    if (route?.kind !== 'infer') throw new Error(`no prediction route ${path}`);
    const request = route.parse({ body, headers }, target);
    const inputs = request.inputs.map((tensor) => packTensor(tensor, memory));
    return { body, request: { ...request, inputs }, error: null };
  } catch (thrown) {
    return { body, request: null, error: toWireError(thrown) };
  }
}
