/** The thread in which large answers are written, see large-answers.ts. */
import { parentPort } from 'node:worker_threads';
import { SlipwayError } from '../../base/errors.ts';
import { toWireError } from '../../base/wire-error.ts';
import type { WireAnswer } from '../protocols/protocol.ts';
import { inferRouteOf } from '../protocols/protocols.ts';
import { unpackTensor } from '../tensors/packed-text.ts';
import { canMove } from './answer-memory.ts';
import type { WriteJob, WriteOutcome } from './large-answers.ts';

parentPort!.on('message', (job: WriteJob) => {
  const outcome = write(job);
  const memory = new Set<ArrayBuffer>();
  const { body } = outcome.content ?? {};
  for (const part of body instanceof Uint8Array ? [body] : Array.isArray(body) ? (body as Uint8Array[]) : [])
    memory.add(part.buffer as ArrayBuffer);
  parentPort!.postMessage(outcome, [...memory]);
});

function write({ id, protocol, path, request, outputs, answered }: WriteJob): WriteOutcome {
  try {
    const route = inferRouteOf(protocol, path);
    const written = route.write(request, outputs.map(unpackTensor), answered);
    const content: WireAnswer =
      typeof written === 'string' ? { contentType: 'application/json', body: written } : written;
    return { id, content: { ...content, body: inOwnMemory(content.body) }, error: null };
  } catch (thrown) {
    return { id, content: null, error: toWireError(thrown instanceof RangeError ? tooLong() : thrown) };
  }
}

/** As bytes that can move: none of them in Node's pool of small buffers. */
function inOwnMemory(body: WireAnswer['body']): Uint8Array | Uint8Array[] {
  if (typeof body === 'string') return new TextEncoder().encode(body);
  if (body instanceof Uint8Array) return ownBytes(body);
  return body.map(ownBytes);
}

function ownBytes(bytes: Uint8Array): Uint8Array {
  return canMove(bytes) ? bytes : new Uint8Array(bytes);
}

/** A string, or memory, cannot be larger. */
function tooLong(): SlipwayError {
  return new SlipwayError('answer_too_large', 'The answer is longer than can be written', {
    hint: 'Send fewer rows at once, or ask for binary outputs.',
  });
}
