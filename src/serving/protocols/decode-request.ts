import { decodeInputs } from '../inputs/decode-inputs.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import type { InferRequest } from './protocol.ts';

/** The step of `decode` for protocols that take pictures. */
export async function decodeRequest(
  { encoded, ...request }: InferRequest,
  target: InputTarget,
  isWanted: () => boolean,
): Promise<InferRequest> {
  const files = encoded === undefined ? {} : { encoded };
  const given = { inputs: [...request.inputs], rows: request.rows, ...files };
  return { ...request, ...(await decodeInputs(given, target, isWanted)) };
}
