/** Reads the number of an external gate. Whatever cannot be read is an outage, with its reason; never a number that was made up. */
import type { Outbound } from '../base/http/outbound.ts';
import type { ExternalGate } from './gates/gate.ts';
import type { ExternalReading, Rollout } from './rollout.ts';

type Value = ExternalReading['values'][number];

const MAX_ANSWER_BYTES = 256 * 1024;
/** Readings kept of one gate. */
const MAX_READINGS = 20;

export type Ask = (
  asked: Omit<Outbound, 'allowedHosts'>,
) => Promise<{ readonly status: number; readonly text: string }>;

export async function readExternal(
  gate: ExternalGate,
  rollout: Rollout,
  ask: Ask,
  nowMs: () => number,
): Promise<Value> {
  try {
    const { source, timeoutMs } = gate;
    const common = { timeoutMs, maxBytes: MAX_ANSWER_BYTES };
    const answer =
      source.kind === 'prometheus'
        ? await ask({ ...common, url: queryUrl(source.url, source.query) })
        : await ask({ ...common, url: source.url, method: 'POST', body: questionOf(gate, rollout) });
    if (answer.status !== 200) throw new Error(`it answered with ${answer.status}`);
    const parsed = parsedJson(answer.text);
    const value = source.kind === 'prometheus' ? prometheusValue(parsed) : webhookValue(parsed);
    return { kind: 'value', value, atMs: nowMs() };
  } catch (error) {
    return { kind: 'outage', reason: error instanceof Error ? error.message : String(error), atMs: nowMs() };
  }
}

export function addReading(known: ExternalReading | undefined, value: Value): ExternalReading {
  return { values: [value, ...(known?.values ?? [])].slice(0, MAX_READINGS) };
}

function queryUrl(base: string, query: string): string {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/api/v1/query`;
  url.searchParams.set('query', query);
  return url.href;
}

/** What a webhook is told: which comparison it is asked about. */
function questionOf(gate: ExternalGate, { id, project, endpoint, from, to, phase }: Rollout): object {
  return {
    gate: gate.name,
    rollout: id,
    project,
    endpoint,
    from: from?.version ?? null,
    to: to.version,
    stage: 'stage' in phase ? phase.stage : null,
  };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('its answer is no JSON');
  }
}

/** One number: a scalar, or a vector of one series. None is no data, and several would have to be chosen from. */
function prometheusValue(answer: unknown): number {
  const { status, data, error } = (answer ?? {}) as {
    status?: string;
    error?: string;
    data?: { resultType?: string; result?: unknown };
  };
  if (status !== 'success') throw new Error(`the query failed: ${String(error ?? 'no reason given').slice(0, 200)}`);
  const { resultType, result } = data ?? {};
  if (resultType === 'scalar') return numberOf((result as [unknown, unknown] | undefined)?.[1]);
  if (resultType !== 'vector' || !Array.isArray(result))
    throw new Error(`the query gives ${resultType}, not one number`);
  if (result.length !== 1) throw new Error(`the query gives ${result.length} series, and one is needed`);
  return numberOf((result[0] as { value?: [unknown, unknown] }).value?.[1]);
}

function webhookValue(answer: unknown): number {
  const value = (answer as { value?: unknown } | null)?.value;
  if (typeof value !== 'number') throw new Error('its answer has no number under "value"');
  return numberOf(value);
}

function numberOf(given: unknown): number {
  const value = typeof given === 'string' && given.trim() !== '' ? Number(given) : given;
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new Error(`it gives ${String(given).slice(0, 50)}, not a number`);
  return value;
}
