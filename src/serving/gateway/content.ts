/** What routes are given and what they give, as the gateway has it. */
import { isWritten, type WireAnswer, type WireHead } from '../protocols/protocol.ts';
import { writeJson } from '../tensors/json-text.ts';
import type { Exchange } from './exchange.ts';
import type { Match } from './route-table.ts';

export function headOf({ wire, method }: Exchange, { params, query }: Match): WireHead {
  return { headers: wire.headers, params, query, method };
}

/** An answer of a `read` or `act`: a JSON value, or what it has written itself. */
export function contentOf(value: unknown): string | WireAnswer {
  return isWritten(value) ? value : writeJson(value);
}
