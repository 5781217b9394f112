/** A thread in which large bodies are parsed, see large-bodies.ts. */
import { parentPort } from 'node:worker_threads';
import { toWireError } from '../../base/wire-error.ts';
import { inferRouteOf } from '../protocols/protocols.ts';
import { packTensor } from '../tensors/packed-text.ts';
import type { ParseJob, ParseOutcome } from './large-bodies.ts';

parentPort!.on('message', (job: ParseJob) => {
  const { body } = job.call;
  // Tensors may be views on the body, or on one another's memory, which is handed over once.
  const memory = new Set<ArrayBuffer>([body.buffer as ArrayBuffer]);
  const outcome = parse(job, memory);
  parentPort!.postMessage(outcome, [...memory]);
});

function parse({ protocol, path, call, target }: ParseJob, memory: Set<ArrayBuffer>): ParseOutcome {
  try {
    const request = inferRouteOf(protocol, path).parse(call, target);
    const inputs = request.inputs.map((tensor) => packTensor(tensor, memory));
    return { body: call.body, request: { ...request, inputs }, error: null };
  } catch (thrown) {
    return { body: call.body, request: null, error: toWireError(thrown) };
  }
}
