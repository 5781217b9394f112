/** By this header, or metadata of gRPC, Seldon Core 2 routes calls of the Open Inference Protocol, whatever model their path names. */
export const SELDON_MODEL = 'seldon-model';

/**
 * The endpoint that the header names: `name`, or `name.pipeline` and `name.experiment`, which are endpoints here. Null where there is none.
 * @param value of the header
 */
export function seldonModelOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.replace(/\.(pipeline|experiment)$/, '') : null;
}
