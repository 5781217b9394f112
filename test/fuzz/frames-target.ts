import type { TensorSpec } from '../../src/registry/signature.ts';
import { createFrameReader, readJson, readTensors } from '../../src/serving/runner/frame-reader.ts';
import { FRAME, FrameError, frameTensors } from '../../src/serving/runner/frames.ts';
import { type FuzzTarget, outcomeOf } from './target.ts';

const SPECS: readonly TensorSpec[] = [
  { name: 'X', datatype: 'FP32', shape: [-1, 3] },
  { name: 'S', datatype: 'BYTES', shape: [-1], optional: true },
  { name: 'I', datatype: 'INT64', shape: [-1, -1], optional: true },
];
const TENSORS = frameTensors(SPECS);
const MAX_FRAME_BYTES = 1024 * 1024;

/** What comes through the socket between gateway and runner. It comes in pieces as well as at once: both must give the same frames. */
export const frames: FuzzTarget = {
  name: 'frames',
  dictionary: ['\u0001', '\u0007', '{"a":1}', '\0\0\0\0\0\0\0\0'],
  run(input) {
    const whole = read([input]);
    const pieces: Buffer[] = [];
    for (let at = 0, size = 1; at < input.length; at += size, size = (size * 7) % 61) {
      pieces.push(input.subarray(at, at + size));
    }
    const inPieces = read(pieces);
    if (whole !== inPieces) throw new Error(`at once it is ${whole}, in pieces ${inPieces}`);
    return whole;
  },
};

function read(chunks: readonly Buffer[]): string {
  const seen: string[] = [];
  const reader = createFrameReader((kind, source, at, size) => {
    if (kind === FRAME.infer || kind === FRAME.result) {
      const tensors = readTensors(source, at, size, TENSORS);
      for (const { name, shape, data } of tensors) {
        const elements = shape.reduce((product, one) => product * one, 1);
        if (data.length !== elements) throw new Error(`${name} has ${data.length} of ${elements} elements`);
      }
      seen.push(`${kind}:${tensors.map((tensor) => `${tensor.name}${tensor.data.length > 0 ? '+' : ''}`).join('')}`);
    } else if (kind !== FRAME.cancel && kind !== FRAME.skipped) {
      seen.push(`${kind}:${Object.keys(readJson(source, at, size)).length > 0 ? 'object' : 'empty'}`);
    } else {
      seen.push(String(kind));
    }
  }, MAX_FRAME_BYTES);
  try {
    for (const chunk of chunks) reader.push(chunk);
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    seen.push(outcomeOf(error.message));
  }
  return seen.slice(-4).join(',');
}
